"""Tasks: what a head learns. One entry in one table for each kind, one file for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from headstart.engine.tasks import classification
from headstart.specs.jobs import TaskReport
from headstart.specs.predictions import Classification

Targets = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class TaskKind:
    """What the engine needs of a task.

    Attributes:
        problem: the kind of answer.
        encode: (cells, classes) → class numbers [N], −1 where there is no label.
        evaluate: (logits [N, C], targets [N], classes, targets of the training rows, split) → its part of the report.
        decode: (logits [N, C], classes, how many scores or None) → one answer for each row.
    """

    problem: str
    encode: Callable[[Sequence[str | None], Sequence[str]], Targets]
    evaluate: Callable[[NDArray[np.float64], Targets, Sequence[str], Targets, Literal["validation", "test"]], TaskReport]
    decode: Callable[[NDArray[np.float64], Sequence[str], int | None], list[Classification]]


_CLASSIFICATION = TaskKind("single-label", classification.encode, classification.evaluate, classification.decode)

TASKS = dict.fromkeys(("text-classification", "image-classification", "audio-classification"), _CLASSIFICATION)
"""A task's `type` → the task."""
