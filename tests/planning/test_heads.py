"""Heads and losses in a plan: their size, and every reason to refuse them."""

from __future__ import annotations

from typing import Any

import pytest

from headstart.errors import BadInput, Fault
from headstart.planning.plan import make_plan
from headstart.specs.jobs import JobSpec
from tests.planning import factories
from tests.planning.factories import column, dataset

LINEAR, KNN = {"type": "linear"}, {"type": "knn"}


@pytest.mark.parametrize(
    ("head", "parameters"),
    [
        (LINEAR, 770),
        ({"type": "prototype"}, 770),
        ({"type": "mlp", "hidden": [16, 8]}, 385 * 16 + 17 * 8 + 9 * 2),
        (KNN, 1400 * 385 + 2 + 1),  # every training row with its class, the rows of each class, and k
    ],
)
def test_a_plan_counts_what_a_head_keeps_and_the_artifact_holds_it(plan, head, parameters):
    made = plan(method={"head": head})
    assert made.tasks[0].head_parameters == parameters
    assert made.estimate.artifact_bytes == parameters * 4 + 6 + 4096


def test_a_model_that_keeps_its_rows_is_warned_of(plan):
    assert [warning.model_dump() for warning in plan(method={"head": KNN}).warnings] == [
        {
            "code": "rows_kept",
            "pointer": "/method/head/type",
            "message": "The model keeps the features of all 1,400 training rows, 2,150,400 bytes.",
        }
    ]


def refused(**overrides: Any) -> BadInput:
    profile = overrides.pop("profile", None) or dataset()
    method = {"type": "feature-extraction", **overrides.pop("method", {})}
    spec = JobSpec.model_validate({**factories.spec(**overrides).model_dump(mode="json"), "method": method})
    with pytest.raises(BadInput) as caught:
        make_plan(spec, profile, factories.anatomy(), None, cache_budget_bytes=1 << 40)
    return caught.value


TUNED = {"type": "fine-tuning", "top_layers": 2}
CASES: dict[str, tuple[dict[str, Any], str, str]] = {
    "dropout of a solved head": (
        {"method": {"head": {**LINEAR, "dropout": 0.1}}},
        "/method/head/dropout",
        "A solved head has no dropout.",
    ),
    "focal loss for a solver": (
        {"training": {"loss": "focal"}},
        "/training/loss",
        "The focal loss has more than one valley, so that no solver finds its least value.",
    ),
    "focal loss for a head that is solved before the backbone learns": (
        {"training": {"loss": "focal"}, "method": {**TUNED, "head": LINEAR}},
        "/training/loss",
        "The focal loss has more than one valley, so that no solver finds its least value.",
    ),
    "fine-tuning by a computed head": (
        {"method": {**TUNED, "head": {"type": "prototype"}}},
        "/method/head/type",
        "A prototype head is computed from features and gives no gradient that the backbone could learn by.",
    ),
    "class weights for a computed head": (
        {"method": {"head": {"type": "prototype"}}, "training": {"class_weights": "balanced"}},
        "/training/class_weights",
        "A prototype head is computed, by no loss that class_weights could change.",
    ),
    "smoothing for a computed head": (
        {"method": {"head": KNN}, "training": {"label_smoothing": 0.1}},
        "/training/label_smoothing",
        "A knn head is computed, by no loss that label_smoothing could change.",
    ),
    "focal loss for a computed head": (
        {"method": {"head": KNN}, "training": {"loss": "focal"}},
        "/training/loss",
        "A knn head is computed, by no loss that loss could change.",
    ),
    "more neighbours than rows": (
        {"method": {"head": {**KNN, "k": 8}}, "profile": dataset(column("review"), column("label", {"neg": 5, "pos": 5}), rows=10)},
        "/method/head/k",
        "There are 6 rows to train on, fewer than the 8 that shall vote.",
    ),
    "a weight for no class": (
        {"training": {"class_weights": {"pos": 2.0, "negg": 1.0}}},
        "/training/class_weights/negg",
        "No row has the label 'negg'.",
    ),
    "a weight for a label that a pointer must escape": (
        {"training": {"class_weights": {"a/b~c": 1.0}}},
        "/training/class_weights/a~1b~0c",
        "No row has the label 'a/b~c'.",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_head_or_loss_that_cannot_be_is_refused_with_the_field_and_what_to_do(case):
    overrides, pointer, message = CASES[case]
    refusal = refused(**overrides)
    assert (refusal.code, refusal.message) == ("invalid_field", message)
    assert refusal.faults == (Fault(pointer, message),)
    assert refusal.hint


def test_the_closest_labels_are_named():
    assert refused(training={"class_weights": {"negg": 1.0}}).hint == "Did you mean 'neg'?"
    assert refused(training={"class_weights": {"zzz": 1.0}}).hint == "Labels are: neg, pos."


@pytest.mark.parametrize("training", [{"class_weights": {" pos ": 2.0}}, {"class_weights": "balanced", "label_smoothing": 0.1}])
def test_weights_and_smoothing_go_with_a_solver(plan, training):
    assert plan(training=training).tasks[0].head_parameters == 770
