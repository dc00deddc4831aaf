"""Views of images: the same key gives the same pixels, whatever else is going on; another key gives others."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from headstart.data.images import open_image
from headstart.engine.examples import digest
from headstart.engine.inputs.augmenting import TRANSFORMS, Augmenter
from headstart.engine.inputs.image import ImagePreprocessor
from headstart.specs.augmentation import Augmentation
from headstart.specs.backbones import ImageInput
from tests.engine.inputs.media import photo

TARGET = ImageInput(size=(32, 48), resize=[64], interpolation="bicubic", mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
CERTAIN = {"horizontal_flip": {"p": 1.0}, "vertical_flip": {"p": 1.0}, "grayscale": {"p": 1.0}, "color_jitter": {"hue": 0.3}}
"""What makes chance do something in every view."""

PHOTOS = [photo(90, 70, seed) for seed in range(6)]


def augmenter(*transforms: dict[str, Any], seed: int = 0, target: ImageInput = TARGET) -> Augmenter:
    said = transforms or [{"type": type_} for type_ in TRANSFORMS]
    return Augmenter(Augmentation.model_validate({"transforms": list(said)}), target, seed)


def altered(content: bytes, number: int = 0, *, seed: int = 0) -> np.ndarray:
    return shown(augmenter(seed=seed), content, number)


def shown(made: Augmenter, content: bytes, number: int) -> np.ndarray:
    return np.asarray(made.view(content, number).altered(open_image(content)))


@pytest.mark.parametrize("type_", sorted(TRANSFORMS))
def test_every_transform_changes_an_image_and_does_it_again(type_):
    made = augmenter({"type": type_, **CERTAIN.get(type_, {})})
    before, after = np.asarray(open_image(PHOTOS[0])), shown(made, PHOTOS[0], 1)
    assert before.shape != after.shape or (before != after).any()
    assert np.array_equal(after, shown(made, PHOTOS[0], 1))


@pytest.mark.parametrize(("type_", "flip"), [("horizontal_flip", np.fliplr), ("vertical_flip", np.flipud)])
def test_a_flip_is_what_it_says(type_, flip):
    assert np.array_equal(shown(augmenter({"type": type_, "p": 1.0}), PHOTOS[0], 0), flip(np.asarray(open_image(PHOTOS[0]))))


def test_transforms_run_in_the_order_of_the_spec():
    turn, crop = {"type": "rotation", "degrees": 90.0}, {"type": "random_resized_crop", "scale": [0.3, 0.3]}
    assert not np.array_equal(shown(augmenter(turn, crop), PHOTOS[0], 0), shown(augmenter(crop, turn), PHOTOS[0], 0))


def test_image_number_and_seed_each_give_another_view():
    looks = [altered(PHOTOS[0]), altered(PHOTOS[0], 1), altered(PHOTOS[0], seed=1)]
    assert not any(np.array_equal(one, other) for number, one in enumerate(looks) for other in looks[:number])
    digests = {digest(made.view(content, number)) for made in (augmenter(), augmenter(seed=1)) for content in PHOTOS for number in range(3)}
    assert len(digests) == 2 * 6 * 3
    assert digest(augmenter({"type": "grayscale"}).view(PHOTOS[0], 0)) != digest(augmenter({"type": "rotation"}).view(PHOTOS[0], 0))
    assert digest(augmenter().view(PHOTOS[0], 0)) == digest(augmenter().view(PHOTOS[0], 0))


def test_company_order_and_threads_change_no_pixel():
    made, preprocessor = augmenter(), ImagePreprocessor(TARGET, "x")
    views = [made.view(content, number) for content in PHOTOS for number in range(4)]
    alone = [preprocessor.encode([view], None).batch(np.array([0])).tensors["x"][0] for view in views]
    encoded = preprocessor.encode(views, None)
    order = np.random.default_rng(0).permutation(len(views))
    with ThreadPoolExecutor(3) as threads:
        batches = list(threads.map(encoded.batch, [order, order[::-1], order]))
    for rows, batch in zip([order, order[::-1], order], batches, strict=True):
        assert torch.equal(batch.tensors["x"], torch.stack([alone[row] for row in rows]))


def test_views_take_nothing_from_the_chance_that_training_draws_from():
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    altered(PHOTOS[0])
    assert torch.equal(torch.rand(4), expected)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear", "bicubic", "lanczos"])
@pytest.mark.parametrize("resize", [[64], [40, 56]])
def test_a_view_fits_every_backbone(interpolation, resize):
    target = TARGET.model_copy(update={"interpolation": interpolation, "resize": resize})
    view = augmenter(target=target).view(PHOTOS[0], 0)
    assert ImagePreprocessor(target, "x").encode([view], None).batch(np.array([0])).tensors["x"].shape == (1, 3, 32, 48)


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (3, 2)])
def test_an_image_of_any_shape_has_views(size):
    content = photo(*size)
    for number in range(5):
        view = augmenter().view(content, number)
        assert isinstance(view.altered(open_image(content)), Image.Image)
