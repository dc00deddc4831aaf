"""A number for each text, image or recording.

Axes: N rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from headstart.engine.losses import squared_objective
from headstart.engine.tasks.kinds import Cells, Targets, TaskKind
from headstart.specs.jobs import TaskReport
from headstart.specs.predictions import Value


def encode(columns: Cells, classes: Sequence[str]) -> NDArray[np.float64]:  # noqa: ARG001 - `TaskKind`
    """The numbers [N]; NaN where there is none."""
    (cells,) = columns
    return np.array([_number(cell) for cell in cells], np.float64)


def _number(cell: str | None) -> float:
    try:
        value = math.nan if cell is None else float(cell)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def labelled(targets: Targets) -> NDArray[np.bool_]:
    return ~np.isnan(targets)


def strata(targets: Targets) -> Targets:
    """As they are."""
    return targets


def evaluate(
    logits: NDArray[np.float64], targets: Targets, classes: Sequence[str], train_targets: Targets, split: Literal["validation", "test"]
) -> TaskReport:
    """Mean absolute error, root of the mean squared error and R², and those of always saying the mean of the training rows."""
    return TaskReport(
        split=split,
        rows=len(targets),
        classes=list(classes),
        metrics=_metrics(targets, logits[:, 0]),
        baselines={"mean": _metrics(targets, np.full(len(targets), train_targets.mean()))},
        per_class=[],
        confusion=[],
    )


def _metrics(targets: Targets, values: NDArray[np.float64]) -> dict[str, float]:
    errors = values - targets
    spread = float(np.square(targets - targets.mean()).sum())
    r2 = 1 - float(np.square(errors).sum()) / spread if spread else 0.0
    return {"mae": float(np.abs(errors).mean()), "rmse": float(np.sqrt(np.square(errors).mean())), "r2": r2}


def decode(logits: NDArray[np.float64], classes: Sequence[str], top_k: int | None) -> list[Value]:  # noqa: ARG001 - `TaskKind`
    return [Value.model_construct(value=value) for value in logits[:, 0].tolist()]


KIND = TaskKind(encode, labelled, strata, squared_objective, evaluate, decode)
