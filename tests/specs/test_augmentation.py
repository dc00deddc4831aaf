"""Augmentation as data: what a spec may say of it, and that it comes back as it was said."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from headstart.engine.inputs.augmenting import TRANSFORMS
from headstart.specs.augmentation import Augmentation

TYPES = sorted(TRANSFORMS)


@pytest.mark.parametrize("type_", TYPES)
def test_every_transform_needs_no_more_than_its_name_and_comes_back_from_json(type_):
    said = Augmentation.model_validate({"transforms": [{"type": type_}], "views": 3})
    assert Augmentation.model_validate_json(said.model_dump_json()) == said
    assert Augmentation.model_validate(said.model_dump(mode="json")) == said


@pytest.mark.parametrize(
    "said",
    [
        {"transforms": []},
        {"transforms": [{"type": "horizontal_flip"}] * 17},
        {"transforms": [{"type": "mixup"}]},
        {"transforms": [{"type": "horizontal_flip", "degrees": 3.0}]},
        {"transforms": [{"type": "horizontal_flip", "p": 1.1}]},
        {"transforms": [{"type": "random_resized_crop", "scale": [1.0, 0.5]}]},
        {"transforms": [{"type": "random_resized_crop", "scale": [0.0, 0.5]}]},
        {"transforms": [{"type": "random_resized_crop", "scale": ["0.5", 1.0]}]},
        {"transforms": [{"type": "random_resized_crop", "scale": [0.5]}]},
        {"transforms": [{"type": "color_jitter", "hue": 0.6}]},
        {"transforms": [{"type": "rotation", "degrees": 0.0}]},
        {"transforms": [{"type": "rotation", "degrees": float("nan")}]},
        {"transforms": [{"type": "grayscale"}], "views": 0},
        {"transforms": [{"type": "grayscale"}], "views": 17},
    ],
)
def test_what_no_transform_can_do_is_refused(said):
    with pytest.raises(ValidationError):
        Augmentation.model_validate(said)
