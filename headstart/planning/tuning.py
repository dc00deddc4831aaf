"""Time and memory of training a suffix, as arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from headstart.planning.estimates import PREPARING_SECONDS, START_SECONDS, USE, Work, estimate, prefix_flops, rate_of, rounded
from headstart.specs.backbones import Anatomy, Layer
from headstart.specs.plans import Estimate, Hardware

BACKWARD = 3.0
"""A step costs a forward pass and a backward pass of about twice its products,"""

SPARING_BACKWARD = 2.0
"""or of as many, where the matrices themselves do not learn: they need no gradient."""

STEP_USE = 0.31
"""Share of the measured matrix rate that training reaches: dropout, norms and the optimiser are not products.

Measured beside the prefix: a row's step took 4.2 times its forward pass (two layers, all layers), 2.8 times with LoRA; so 0.7 of `USE`.
"""

STATE = 4
"""Copies of each parameter that learns: the value, its gradient and two moments."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """What learns: above `boundary` (None: the input), so many parameters, for so many epochs; `sparing`: beside matrices that stay."""

    boundary: Layer | None
    parameters: int
    epochs: int
    sparing: bool


def estimate_tuning(
    work: Work, tunings: Sequence[Tuning], anatomy: Anatomy, hardware: Hardware | None, *, head_parameters: int, label_bytes: int
) -> Estimate:
    """What the job will take, phase by phase; `work.boundary` is the layer whose output is pooled.

    Each phase runs the prefix up to its own boundary.
    """
    whole = estimate(work, anatomy, hardware, head_parameters=head_parameters, label_bytes=label_bytes)
    below = [0.0 if tuning.boundary is None else prefix_flops(tuning.boundary, anatomy) for tuning in tunings]
    above = [prefix_flops(work.boundary, anatomy) - each for each in below]
    passes = sum(tuning.epochs * each for tuning, each in zip(tunings, above, strict=True))
    rate = rate_of(hardware, work.dtype)
    rows = work.rows
    units = work.kept_rows * work.mean_units
    anew = 0.0
    if work.passes:  # in each phase as often as it has epochs
        anew = (rows.train + rows.validation) * sum(tuning.epochs * each for tuning, each in zip(tunings, below, strict=True))
    judged = (rows.validation + rows.test) * above[-1] + work.anew_scored * below[-1]
    backward = SPARING_BACKWARD if tunings[-1].sparing else BACKWARD
    steps = rows.train * work.mean_units * backward * passes / (STEP_USE * rate)
    looks = rows.validation * work.mean_units * passes / (USE * rate)
    return Estimate(
        preparing_seconds=rounded(PREPARING_SECONDS + units * sum(below) / (USE * rate)),
        training_seconds=rounded(START_SECONDS + steps + looks + anew * work.mean_units / (USE * rate)),
        evaluating_seconds=rounded(START_SECONDS + judged * work.mean_units / (USE * rate)),
        peak_memory_bytes=whole.peak_memory_bytes + STATE * 4 * tunings[-1].parameters,
        artifact_bytes=whole.artifact_bytes + 4 * tunings[-1].parameters,
    )
