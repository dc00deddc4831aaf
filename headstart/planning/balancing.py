"""Whether there is anything to balance: tasks that learn by steps from a sum of their losses."""

from __future__ import annotations

from collections.abc import Sequence

from headstart.errors import invalid_field
from headstart.specs.balancing import Balancing, Sampling

POINTER = "/training/balancing/type"


def check_balancing(balancing: Balancing, sampling: Sampling, weights: Sequence[float], *, stepped: bool) -> None:
    """See that a balancer, and the weights of tasks beside it, can do what they are asked for.

    Args:
        weights: of the tasks, as their specs give them.
        stepped: whether anything is trained by steps.

    Raises:
        BadInput: `invalid_field`.
    """
    if sampling == "balanced" and not stepped:
        message = "A head that is solved sees every row once; there are no epochs to draw rows for."
        raise invalid_field("/training/sampling", message, 'Set the head\'s solver to null, or sampling to "proportional".')
    if balancing.type == "fixed":
        return
    if len(weights) < 2:
        message = f"There is one task, and {balancing.type} balances several."
        raise invalid_field(POINTER, message, 'Leave balancing out, or set its type to "fixed".')
    if not stepped:
        message = f"Heads that are solved learn apart from each other, so that {balancing.type} has nothing to balance."
        raise invalid_field(POINTER, message, "Set the head's solver to null to train all heads together.")
    for number, weight in enumerate(weights):
        if weight != 1.0:
            message = f"The weights of tasks are found by {balancing.type}, which would undo the weight {weight:g}."
            raise invalid_field(f"/tasks/{number}/weight", message, 'Leave weight out, or set balancing to {"type": "fixed"}.')
