"""Augmentation in a plan: what it costs, whether views are kept, and every reason to refuse it."""

from __future__ import annotations

from typing import Any

import pytest

from headstart.errors import BadInput, Fault
from headstart.planning.estimates import USE
from headstart.planning.plan import make_plan
from headstart.specs.backbones import Anatomy, ImageInput
from headstart.specs.jobs import JobSpec
from headstart.specs.plans import Plan
from tests.planning.factories import HARDWARE, anatomy, column, dataset

FLIP = [{"type": "horizontal_flip"}]
BY_STEPS = {"type": "feature-extraction", "head": {"type": "linear", "solver": None}}
TUNED = {"type": "fine-tuning", "top_layers": 2}
TRAIN, REST = 1400, 600


def vision(**overrides: Any) -> Anatomy:
    pixels = ImageInput(size=(224, 224), resize=[256], interpolation="bicubic", mean=(0.5,) * 3, std=(0.5,) * 3)
    return anatomy(input=pixels, **overrides)


def planned(views: int | None = None, *, augmented: bool = True, budget: int = 1 << 40, **overrides: Any) -> Plan:
    task = {"type": "image-classification", "inputs": {"image": "photo"}, "target": "label"}
    training = {"augmentation": {"transforms": FLIP, "views": views} if augmented else None, "dtype": "float32"}
    body = {"backbone": "net", "dataset": "photos", "tasks": [task], "method": overrides.get("method", BY_STEPS), "training": training}
    profile = dataset(column("photo").model_copy(update={"type": "image"}), column("label", {"a": 970, "b": 1030}))
    return make_plan(JobSpec.model_validate(body), profile, vision(), HARDWARE, cache_budget_bytes=budget)


@pytest.mark.parametrize("method", [BY_STEPS, TUNED, {"type": "fine-tuning", "trainable": ["*"]}])
def test_a_plan_says_that_new_views_in_every_epoch_are_not_kept(method):
    cache = planned(method=method).cache
    assert (cache.mode, cache.reason, cache.bytes) == ("recomputed", "each epoch sees other pixels", 0)


@pytest.mark.parametrize("method", [{"type": "feature-extraction"}, BY_STEPS, TUNED])
def test_a_plan_says_how_many_fixed_views_are_kept_and_in_how_many_bytes(method):
    plain, made = planned(augmented=False, method=method).cache, planned(4, method=method).cache
    assert (made.mode, made.reason) == ("cached", "fits the budget with 4 fixed views of each training row")
    assert made.bytes * (TRAIN + REST) == plain.bytes * (4 * TRAIN + REST)
    assert planned(1, method=method).cache.reason == "fits the budget with one fixed view of each training row"
    assert planned(1, method=method).cache.bytes == plain.bytes


def test_views_beyond_the_budget_are_recomputed():
    cache = planned(4, budget=1000).cache
    assert (cache.mode, cache.reason) == ("recomputed", f"needs {(4 * TRAIN + REST) * 384 * 4:,} bytes, and the budget is 1,000")


def test_fixed_views_cost_nothing_where_nothing_is_frozen():
    cache = planned(4, method={"type": "fine-tuning", "trainable": ["*"]}).cache
    assert (cache.mode, cache.reason) == ("recomputed", "training starts at the input: nothing below it stays the same")


@pytest.mark.parametrize("method", [BY_STEPS, TUNED])
def test_the_estimate_follows_the_views(method):
    plain, kept, anew = (
        made.estimate for made in (planned(augmented=False, method=method), planned(4, method=method), planned(method=method))
    )
    assert anew.preparing_seconds <= plain.preparing_seconds <= kept.preparing_seconds
    assert anew.training_seconds >= plain.training_seconds


def test_the_estimate_of_new_views_moves_what_f_takes_into_the_epochs():
    backbone = 3.6e6 * 6 / (USE * 1e11)  # seconds of one image through six layers
    plain, anew = planned(augmented=False).estimate, planned().estimate
    assert anew.training_seconds - plain.training_seconds == pytest.approx(10 * (1400 + 200) * backbone, abs=0.01)
    assert plain.preparing_seconds - anew.preparing_seconds == pytest.approx(2000 * backbone, abs=0.01)
    assert anew.evaluating_seconds - plain.evaluating_seconds == pytest.approx(600 * backbone, abs=0.01)


def test_a_head_that_keeps_its_rows_keeps_every_view():
    made = planned(4, method={"type": "feature-extraction", "head": {"type": "knn"}})
    assert made.tasks[0].head_parameters == 4 * TRAIN * 385 + 2 + 1
    assert made.warnings[0].message == "The model keeps the features of all 5,600 training rows, their views counted, 8,601,600 bytes."


@pytest.mark.parametrize("head", [{"type": "linear"}, {"type": "prototype"}, {"type": "knn"}])
def test_a_solved_head_needs_fixed_views(head):
    kind = head["type"]
    with pytest.raises(BadInput) as caught:
        planned(method={"type": "feature-extraction", "head": head})
    message = f"A {kind} head that is not trained by steps needs the views of all rows at once, and every epoch sees new ones."
    assert caught.value.faults == (Fault("/training/augmentation/views", message),)
    assert caught.value.hint == "Set views to a number, or train a linear head by steps: its solver null."
    planned(2, method={"type": "feature-extraction", "head": head})


def test_a_head_that_is_solved_before_the_backbone_learns_needs_them_too():
    with pytest.raises(BadInput) as caught:
        planned(method={**TUNED, "head": {"type": "linear", "solver": "lbfgs"}})
    assert caught.value.faults[0].pointer == "/training/augmentation/views"


def test_only_images_are_augmented(plan):
    with pytest.raises(BadInput) as caught:
        plan(training={"augmentation": {"transforms": FLIP, "views": 2}})
    assert caught.value.faults == (Fault("/training/augmentation", "Augmentation changes images, and text-classification has none."),)
