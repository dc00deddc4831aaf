"""Schedules: the boundary of each phase, learning rates by layer, and every reason to refuse them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstart.errors import BadInput
from headstart.planning.plan import make_plan
from headstart.planning.schedule import rate_scales, spans
from headstart.specs.jobs import JobSpec
from headstart.specs.plans import Plan
from tests.planning import factories
from tests.planning.test_trainable import A_LAYER, ANATOMY


def planned(training: Any = None, init: str = "pretrained", budget: int = 1 << 40, **method: Any) -> Plan:
    body = {**factories.spec(training=training).model_dump(mode="json"), "init": init, "method": {"type": "fine-tuning", **method}}
    return make_plan(JobSpec.model_validate(body), factories.dataset(), ANATOMY, factories.HARDWARE, cache_budget_bytes=budget)


def test_each_phase_has_its_boundary_and_the_plan_is_that_of_the_last():
    schedule = [{"epoch": 2, "top_layers": 4}, {"epoch": 5, "trainable": ["embeddings.*"]}]
    plan = planned(top_layers=2, schedule=schedule)
    assert [(phase.epoch, phase.boundary, phase.parameters) for phase in plan.phases] == [
        (1, "encoder.layer.3", 2 * A_LAYER),
        (2, "encoder.layer.1", 4 * A_LAYER),
        (5, "input", 4 * A_LAYER + 30522 * 384),
    ]
    assert (plan.boundary, plan.trainable.tensors) == ("input", plan.phases[-1].tensors)


def test_what_joins_in_adds_to_what_learns_and_never_raises_the_boundary():
    plan = planned(trainable=["encoder.layer.2.*"], schedule=[{"epoch": 2, "top_layers": 1}])
    assert [phase.boundary for phase in plan.phases] == ["encoder.layer.1", "encoder.layer.1"]
    assert plan.trainable.parameters == 2 * A_LAYER


def test_cache_holds_the_features_of_each_boundary_once():
    one = planned(top_layers=2)
    two = planned(top_layers=2, schedule=[{"epoch": 2, "top_layers": 4}])
    same = planned(trainable=["encoder.layer.4.*"], schedule=[{"epoch": 2, "top_layers": 1}])
    whole = planned(top_layers=2, schedule=[{"epoch": 2, "trainable": ["*"]}])
    assert (two.cache.bytes, same.cache.bytes, whole.cache.bytes) == (2 * one.cache.bytes, one.cache.bytes, one.cache.bytes)
    assert {plan.cache.mode for plan in (one, two, same, whole)} == {"cached"}
    assert planned(top_layers=2, schedule=[{"epoch": 2, "top_layers": 4}], budget=one.cache.bytes).cache.mode == "recomputed"


def test_estimate_lies_between_those_of_its_first_and_last_phase():
    low, high = planned(top_layers=1), planned(top_layers=4)
    mixed = planned(top_layers=1, schedule=[{"epoch": 6, "top_layers": 4}])
    assert low.estimate.training_seconds < mixed.estimate.training_seconds < high.estimate.training_seconds
    assert mixed.estimate.artifact_bytes == high.estimate.artifact_bytes
    assert low.phases == []


CASES: dict[str, tuple[dict[str, Any], str, str]] = {
    "an epoch that never comes": (
        {"schedule": [{"epoch": 11, "top_layers": 2}]},
        "/method/schedule/0/epoch",
        "There are 10 epochs, so epoch 11 never comes.",
    ),
    "epochs that do not rise": (
        {"schedule": [{"epoch": 3, "top_layers": 2}, {"epoch": 3, "top_layers": 3}]},
        "/method/schedule/1/epoch",
        "Epoch 3 does not come after epoch 3, where the phase before it begins.",
    ),
    "nothing that joins in": (
        {"schedule": [{"epoch": 2}]},
        "/method/schedule/0",
        "Exactly one of trainable and top_layers says what joins in.",
    ),
    "both ways to say it": (
        {"schedule": [{"epoch": 2, "trainable": ["*"], "top_layers": 2}]},
        "/method/schedule/0",
        "Exactly one of trainable and top_layers says what joins in.",
    ),
    "what learns already": (
        {"schedule": [{"epoch": 2, "top_layers": 3}, {"epoch": 3, "top_layers": 2}]},
        "/method/schedule/1",
        "All that this entry names learns already.",
    ),
    "more layers than there are": (
        {"schedule": [{"epoch": 2, "top_layers": 9}]},
        "/method/schedule/0/top_layers",
        "The backbone has 6 layers, not 9.",
    ),
    "a pattern that matches nothing": (
        {"schedule": [{"epoch": 2, "top_layers": 2}, {"epoch": 3, "trainable": ["*", "x.*"]}]},
        "/method/schedule/1/trainable/1",
        "The pattern 'x.*' matches no parameter.",
    ),
    "a schedule where all learns at once": (
        {"top_layers": None, "trainable": ["*"], "init": "random", "schedule": [{"epoch": 2, "top_layers": 2}]},
        "/method/schedule/0",
        "All that this entry names learns already.",
    ),
    "a pull to nothing": (
        {"top_layers": None, "trainable": ["*"], "init": "random", "l2_sp": 0.1},
        "/method/l2_sp",
        "A backbone that begins at random has no pretrained parameters to be pulled to.",
    ),
    "a head that is first solved and then stepped": (
        {"head": {"type": "linear"}, "head_first_epochs": 2},
        "/method/head_first_epochs",
        "The head is solved first already; steps would add nothing.",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_is_refused_with_the_field_and_what_to_do(case):
    method, pointer, message = CASES[case]
    with pytest.raises(BadInput) as caught:
        planned(**{"top_layers": 1, **method})
    assert (caught.value.message, caught.value.faults[0].pointer, caught.value.faults[0].message) == (message, pointer, message)
    assert caught.value.hint


@given(st.sets(st.integers(2, 60), max_size=8), st.integers(60, 80))
def test_phases_are_all_epochs_each_once(later, epochs):
    parts = spans([1, *sorted(later)], epochs)
    assert [epoch for part in parts for epoch in part] == list(range(1, epochs + 1))
    assert all(len(part) for part in parts)


def test_rates_fall_layer_by_layer_and_are_least_for_the_embeddings():
    scales = rate_scales([tensor.name for tensor in ANATOMY.tensors], ANATOMY, 0.5)
    assert scales["encoder.layer.5.output.dense.weight"] == 0.5
    assert scales["encoder.layer.0.output.dense.weight"] == 0.5**6
    assert scales["embeddings.word_embeddings.weight"] == 0.5**7 == min(scales.values())
    assert scales["pooler.dense.weight"] == 0.5  # above the uppermost block: as that
    assert rate_scales(["mask_token"], ANATOMY, 0.5) == {"mask_token": 0.5**7}  # outside of all layers
