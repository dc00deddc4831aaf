"""A number for each text, image or recording.

Axes: N rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from headstart.engine.evaluation.baselines import Baseline, trivial_baseline
from headstart.engine.evaluation.reports import regression_report
from headstart.engine.evaluation.scoring import Scoring, plain_scoring
from headstart.engine.extras import finite_number
from headstart.engine.losses import squared_objective
from headstart.engine.tasks.kinds import Cells, Targets, TaskKind
from headstart.errors import EngineFault
from headstart.specs.predictions import Value

LARGEST = 1e30
"""Heads are kept in float32, which ends near 3e38."""


def encode(columns: Cells, classes: Sequence[str]) -> NDArray[np.float64]:  # noqa: ARG001 - `TaskKind`
    """The numbers [N]; NaN where there is none.

    Raises:
        EngineFault: `bad_data`, one is too large to be learnt.
    """
    (cells,) = columns
    numbers = np.array([finite_number(cell) for cell in cells], np.float64)
    too_large = numbers[np.abs(numbers) > LARGEST]
    if len(too_large):
        message = f"A target is {too_large[0]:g}, and numbers up to {LARGEST:g} can be learnt."
        raise EngineFault("bad_data", message, "Leave the cell empty if it stands for a missing number, or choose another unit.")
    return numbers


def decode(
    logits: NDArray[np.float64],
    classes: Sequence[str],  # noqa: ARG001 - `TaskKind`
    top_k: int | None,  # noqa: ARG001
    scoring: Scoring,  # noqa: ARG001
) -> list[Value]:
    return [Value.model_construct(value=value) for value in logits[:, 0].tolist()]


def guesses(train: Targets, tested: Targets) -> list[Baseline]:
    return [trivial_baseline("regression", train, len(tested))]


KIND = TaskKind(encode, squared_objective, guesses, "regression", plain_scoring, regression_report, decode)
