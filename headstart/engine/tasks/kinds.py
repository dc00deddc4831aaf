"""What the engine asks of a kind of task.

Axes: N rows, K numbers that the head gives: a score for each class, or one value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from headstart.engine.losses import Objective
from headstart.specs.jobs import TaskReport, Training
from headstart.specs.predictions import Output

Targets = NDArray[Any]
"""What is to be learnt of each row, [N] or [N, C], where the whole example is answered for."""
Cells = Sequence[Sequence[Any]]
"""Of each target column, the cells of all rows, None where missing; before them, where words are answered for, the sentences of all rows."""


@dataclass(frozen=True, slots=True)
class TaskKind:
    """What the engine needs of a task. Targets are an array [N, …], or `Tagged` where words are answered for: then K numbers are given for each word.

    Attributes:
        encode: (cells, classes) → targets of all rows.
        labelled: targets → whether each row has an answer, [N].
        strata: targets → what a split deals rows alike by: class numbers [N], 0 and 1 [N, C], or numbers [N].
        objective: (options, classes, targets of the labelled training rows) → what training lowers.
        evaluate: (logits [N, K], targets [N, …], classes, targets of the training rows, split) → its part of the report.
        decode: (logits [N, K], classes, how many scores or None) → one answer for each row; where words are answered for, the first is `OfWords`.
    """

    encode: Callable[[Cells, Sequence[str]], Any]
    labelled: Callable[[Any], NDArray[np.bool_]]
    strata: Callable[[Any], Targets]
    objective: Callable[[Training, Sequence[str], Any], Objective]
    evaluate: Callable[[NDArray[np.float64], Any, Sequence[str], Any, Literal["validation", "test"]], TaskReport]
    decode: Callable[[Any, Sequence[str], int | None], Sequence[Output]]
