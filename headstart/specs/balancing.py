"""How tasks that learn together are kept in balance: by the weights of their losses, and by how often their rows are seen.

A balancer is one class here, and one entry in `engine.balancing.BALANCERS`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from headstart.specs.fields import Input

Rate = Annotated[float, Field(ge=1e-6, le=1.0)]


class FixedWeights(Input):
    """The loss is the sum of the tasks' losses, each times its task's `weight`."""

    type: Literal["fixed"] = "fixed"


class UncertaintyWeights(Input):
    """Each task has a variance that is learnt; a task that stays noisy counts less (Kendall, Gal & Cipolla 2018)."""

    type: Literal["uncertainty"]
    learning_rate: Rate = Field(default=0.025, description="Of the log-variances (Adam).")


class GradNorm(Input):
    """Weights under which every task pulls as hard at what they share, harder when it learns slower (Chen et al. 2018)."""

    type: Literal["gradnorm"]
    alpha: float = Field(default=1.5, ge=0, le=10, description="How much harder a slow task pulls; 0: all alike.")
    learning_rate: Rate = Field(default=0.025, description="Of the logarithms of the weights (Adam).")


class Famo(Input):
    """Weights under which the losses of all tasks fall at one relative rate (FAMO, Liu et al. 2023)."""

    type: Literal["famo"]
    gamma: float = Field(default=0.01, ge=0, le=10, description="Pull of the weights' logits towards all alike.")
    learning_rate: Rate = Field(default=0.025, description="Of the weights' logits (Adam).")
    second_look: bool = Field(
        default=False,
        description="How far a step lowered each loss is seen by a second forward pass of the same batch, as in the paper, at about a third "
        "more work; false: by the next batch, at none.",
    )


Balancing = Annotated[FixedWeights | UncertaintyWeights | GradNorm | Famo, Field(discriminator="type")]

Sampling = Literal["proportional", "balanced"]
"""How often the rows of an epoch come from each group: as often as it has rows, or all groups alike."""
