"""What cannot be balanced is refused with words."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from headstart.errors import BadInput
from headstart.planning.balancing import check_balancing
from headstart.specs.balancing import Balancing, Sampling


def parsed(spec: dict[str, Any]) -> Any:
    return TypeAdapter(Balancing).validate_python(spec)


@pytest.mark.parametrize(
    ("type_", "sampling", "weights", "stepped", "pointer", "message"),
    [
        ("famo", "proportional", [1.0], True, "/training/balancing/type", "There is one task, and famo balances several."),
        (
            "gradnorm",
            "proportional",
            [1.0, 1.0],
            False,
            "/training/balancing/type",
            "Heads that are solved learn apart from each other, so that gradnorm has nothing to balance.",
        ),
        (
            "uncertainty",
            "proportional",
            [1.0, 0.25],
            True,
            "/tasks/1/weight",
            "The weights of tasks are found by uncertainty, which would undo the weight 0.25.",
        ),
        (
            "fixed",
            "balanced",
            [1.0],
            False,
            "/training/sampling",
            "A head that is solved sees every row once; there are no epochs to draw rows for.",
        ),
    ],
)
def test_what_has_nothing_to_balance_is_refused(type_, sampling: Sampling, weights, stepped, pointer, message):
    with pytest.raises(BadInput) as caught:
        check_balancing(parsed({"type": type_}), sampling, weights, stepped=stepped)
    assert caught.value.faults[0].pointer == pointer
    assert caught.value.message == message
    assert caught.value.hint


@pytest.mark.parametrize(("type_", "weights"), [("fixed", [3.0]), ("fixed", [1.0, 0.2]), ("famo", [1.0, 1.0])])
def test_what_can_be_balanced_is_taken(type_, weights):
    check_balancing(parsed({"type": type_}), "balanced", weights, stepped=True)


@pytest.mark.parametrize(
    "spec", [{"type": "gradnorm", "alpha": -1.0}, {"type": "famo", "alpha": 1.0}, {"type": "fixed", "gamma": 0.1}, {"type": "pcgrad"}]
)
def test_a_number_out_of_range_or_of_another_balancer_is_refused(spec):
    with pytest.raises(ValidationError):
        parsed(spec)


def test_what_is_left_out_is_as_in_the_papers():
    assert parsed({"type": "gradnorm"}).alpha == 1.5
    assert parsed({"type": "famo"}).model_dump() == {"type": "famo", "gamma": 0.01, "learning_rate": 0.025, "second_look": False}
