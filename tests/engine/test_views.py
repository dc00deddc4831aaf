"""Jobs whose training rows are augmented: fixed views that are kept, or other pixels in every epoch, by the same path."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
import pytest
import torch

from headstart.engine.activations import RecomputingFeeder
from headstart.engine.artifacts import load_artifact
from headstart.engine.backbones.loading import Backbone
from headstart.engine.examples import Varied
from headstart.engine.features import Recomputed
from headstart.engine.inputs.augmenting import Augmenter
from headstart.engine.prefix import Prefix
from headstart.engine.views import Viewed, Views
from headstart.specs.augmentation import Augmentation
from headstart.specs.backbones import ImageInput
from headstart.specs.plans import Plan
from tests.engine.conftest import Listener, World
from tests.engine.samples import image

ROWS = 40
TRANSFORMS = [{"type": "horizontal_flip"}, {"type": "random_resized_crop", "scale": [0.5, 1.0]}, {"type": "color_jitter"}]
TASK = {"name": "kind", "type": "image-classification", "inputs": {"image": "image"}, "target": "label"}
BACKBONES = ["vit", pytest.param("resnet50", marks=pytest.mark.slow)]
TOP = {"type": "fine-tuning", "top_layers": 1}
BY_STEPS = {"type": "feature-extraction", "head": {"type": "linear", "solver": None}}


@pytest.fixture
def gallery(world):
    world.types = {"image": "image", "label": "category"}
    return world


def pictures() -> list[tuple[str, str]]:
    return [(base64.b64encode(image(seed)).decode(), "ab"[seed % 2]) for seed in range(ROWS)]


def run(gallery: World, backbone: Backbone, *, views: int | None, **overrides: Any) -> Any:
    training = {
        "dtype": "float32",
        "epochs": 2,
        "augmentation": {"transforms": TRANSFORMS, "views": views},
        **overrides.pop("training", {}),
    }
    return gallery.run(backbone, pictures(), header=("image", "label"), tasks=[TASK], training=training, **overrides)


def contents(folder: Any) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# the split by seed of 40 rows: 28 to train, 4 to validate, 8 to test
TRAIN = 28


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("method", [{"type": "feature-extraction"}, BY_STEPS, TOP], ids=["solved", "stepped", "tuned"])
def test_fixed_views_are_computed_once_for_training_rows_alone_and_a_second_job_finds_them(gallery, backbones, backbone, method):
    first, one = run(gallery, backbones(backbone), views=3, method=method)
    second, two = run(gallery, backbones(backbone), views=3, method=method)
    assert first.cache == {"rows_computed": 3 * TRAIN + ROWS - TRAIN, "rows_reused": 0}
    assert second.cache == {"rows_computed": 0, "rows_reused": 3 * TRAIN + ROWS - TRAIN}
    assert contents(one) == contents(two)


def test_more_views_find_those_that_are_there_and_held_out_rows_are_those_of_a_job_without_augmentation(gallery, backbones):
    run(gallery, backbones("vit"), views=None, training={"augmentation": None})
    assert run(gallery, backbones("vit"), views=2)[0].cache == {"rows_computed": 2 * TRAIN, "rows_reused": ROWS - TRAIN}
    assert run(gallery, backbones("vit"), views=3)[0].cache == {"rows_computed": TRAIN, "rows_reused": 2 * TRAIN + ROWS - TRAIN}
    other = run(gallery, backbones("vit"), views=3, training={"augmentation": {"transforms": TRANSFORMS[:1], "views": 1}})
    assert other[0].cache["rows_computed"] == TRAIN


@pytest.mark.parametrize("backbone", BACKBONES)
@pytest.mark.parametrize("method", [BY_STEPS, TOP, {"type": "fine-tuning", "trainable": ["*"]}], ids=["stepped", "tuned", "whole"])
def test_views_that_are_new_in_every_epoch_keep_nothing_and_give_the_same_bits_again(gallery, backbones, backbone, method):
    listener = Listener()
    outcome, one = run(gallery, backbones(backbone), views=None, method=method, reporter=listener)
    _, two = run(gallery, backbones(backbone), views=None, method=method)
    _, plain = run(gallery, backbones(backbone), views=None, method=method, training={"augmentation": None})
    assert outcome.cache == {"rows_computed": 0, "rows_reused": 0}
    assert contents(one) == contents(two)
    assert any(
        not np.array_equal(value, load_artifact(plain).heads["kind"][name]) for name, value in load_artifact(one).heads["kind"].items()
    )
    assert "Training rows are augmented: every epoch sees other views." in [line for _, line in listener.lines]


def test_another_seed_gives_other_views(gallery, backbones):
    run(gallery, backbones("vit"), views=1)
    assert run(gallery, backbones("vit"), views=1, training={"seed": 1})[0].cache["rows_computed"] >= TRAIN


def test_fixed_views_that_do_not_fit_the_budget_train_to_what_kept_ones_do(gallery, backbones):
    def without(plan):
        return plan.model_copy(update={"cache": plan.cache.model_copy(update={"mode": "recomputed"})})

    kept, one = run(gallery, backbones("vit"), views=2, method=TOP)
    anew, two = run(gallery, backbones("vit"), views=2, method=TOP, change=without)
    assert anew.cache["rows_computed"] == 0 < kept.cache["rows_computed"]
    ours, theirs = load_artifact(one).delta, load_artifact(two).delta
    for name, value in ours.items():
        assert np.allclose(value, theirs[name], atol=2e-4), name


def test_a_head_that_keeps_its_rows_keeps_all_their_views(gallery, backbones):
    plans: list[Plan] = []

    def keep(plan: Plan) -> Plan:
        plans.append(plan)
        return plan

    outcome, _ = run(
        gallery,
        backbones("vit"),
        views=3,
        method={"type": "feature-extraction", "head": {"type": "knn"}},
        change=keep,
    )
    assert outcome.trainable_parameters == plans[0].tasks[0].head_parameters
    assert outcome.trainable_parameters > 3 * TRAIN * backbones("vit").anatomy.width


def test_the_head_can_learn_first(gallery, backbones):
    outcome, _ = run(gallery, backbones("vit"), views=2, method={**TOP, "head_first_epochs": 2})
    assert outcome.cache["rows_computed"] == 2 * TRAIN + ROWS - TRAIN
    run(gallery, backbones("vit"), views=2, method={**TOP, "head": {"type": "linear"}})
    run(gallery, backbones("vit"), views=None, method={**TOP, "head_first_epochs": 1})


def looks(backbone: Backbone, views: Views) -> Viewed:
    spec = backbone.anatomy.input
    assert isinstance(spec, ImageInput)
    augmenter = Augmenter(Augmentation.model_validate({"transforms": TRANSFORMS}), spec, 0)
    return Viewed([image(seed) for seed in range(views.rows)], views, augmenter)


@pytest.mark.parametrize("family", BACKBONES)
def test_recomputed_features_change_by_epoch_for_training_rows_and_for_no_others(backbones, family):
    backbone, views = backbones(family), Views(rows=6, train=np.array([4, 1, 3]), count=3)
    layer = backbone.anatomy.layer(backbone.anatomy.default_layer)
    examples, prefix = looks(backbone, views), Prefix(backbone.module, [layer], "mean", "float32")
    features = Recomputed(prefix, backbone.preprocessor, examples, None, 8, lambda _: None)
    plain = Recomputed(prefix, backbone.preprocessor, [image(seed) for seed in range(6)], None, 8, lambda _: None)
    held_out = np.array([5, 0, 2])
    assert np.array_equal(features[held_out], plain[held_out])
    by_epoch = [features[views.of_epoch(epoch)] for epoch in (1, 2, 3)]
    for number, one in enumerate(by_epoch):
        assert not any(np.allclose(one, other, atol=1e-4) for other in [*by_epoch[:number], plain[views.train]])
    assert np.array_equal(features[views.of_epoch(4)], by_epoch[0])
    order = np.array([2, 0, 1])
    assert np.allclose(features[views.of_epoch(1)[order]], by_epoch[0][order], atol=1e-5)


def test_a_boundary_that_is_recomputed_sees_other_pixels_in_another_epoch(backbones):
    backbone, views = backbones("vit"), Views(rows=3, train=np.array([2, 0]), count=2)
    prefix = Prefix(backbone.module, [backbone.anatomy.layers[1]], "none", "float32")
    feeder = RecomputingFeeder(prefix, backbone.preprocessor.encode(looks(backbone, views), None))
    first, second = (feeder(views.of_epoch(epoch))[0] for epoch in (1, 2))
    assert not torch.allclose(first, second, atol=1e-4)
    assert torch.equal(first, feeder(views.of_epoch(1))[0])


def test_every_place_shows_one_view_of_one_row(backbones):
    views = Views(rows=5, train=np.array([3, 0, 2]), count=4)
    examples = looks(backbones("vit"), views)
    assert len(examples) == len(views) == 5 + 3 * 3
    assert views.row(views.every()).tolist() == [3, 0, 2] * 4
    assert sorted({*views.every().tolist(), 1, 4}) == list(range(len(views)))
    assert [views.view(place) for place in views.every().tolist()] == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    assert [isinstance(example, Varied) for example in examples] == [place not in {1, 4} for place in range(len(views))]
    assert len({example.key for example in examples if isinstance(example, Varied)}) == 12
    assert [example.content for example in examples[5:8]] == [examples[place].content for place in (3, 0, 2)]


def test_without_augmentation_a_row_is_its_own_and_only_view():
    views = Views(rows=5, train=np.array([3, 0]))
    assert views.of_epoch(7).tolist() == views.every().tolist() == [3, 0]
    assert views.row(np.array([4, 1])).tolist() == [4, 1]
    assert len(views) == 5
