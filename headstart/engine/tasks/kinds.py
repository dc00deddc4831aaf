"""What the engine asks of a kind of task.

Axes: N rows, K numbers that the head gives: a score for each class, or one value.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.engine.evaluation.baselines import Baseline, Problem
from headstart.engine.evaluation.reports import Trial
from headstart.engine.evaluation.scoring import Scoring
from headstart.engine.losses import Objective
from headstart.engine.strata import labelled as has_target
from headstart.specs.jobs import Training
from headstart.specs.predictions import Output
from headstart.specs.reports import TaskReport

Targets = NDArray[Any]
"""What is to be learnt of each row, [N] or [N, C], where the whole example is answered for."""
Cells = Sequence[Sequence[Any]]
"""Of each target column, the cells of all rows, None where missing; before them, where words are answered for, the sentences of all rows."""


@dataclass(frozen=True, slots=True)
class TaskKind:
    """What the engine needs of a task. Targets are an array [N, …], or `Tagged` where words are answered for: then K numbers are given for each word.

    Attributes:
        encode: (cells, classes) → targets of all rows.
        objective: (options, classes, targets of the labelled training rows) → what training lowers.
        guesses: (targets of the labelled training rows, targets of the tested ones) → baselines that need no model.
        problem: by which a linear model of the raw inputs is fitted, to compare with; None: it would be no comparison.
        scoring: (logits [N, K], targets [N, …]) of labelled validation rows → how logits become answers.
        evaluate: (logits [N, K], targets [N, …], classes, trial, scoring) → its part of the report.
        decode: (logits [N, K], classes, how many scores or None, scoring) → one answer for each row; where words are answered for, the first is
            `OfWords`.
        labelled: targets → whether each row has an answer, [N].
        strata: targets → what a split deals rows alike by: class numbers [N], 0 and 1 [N, C], or numbers [N]; the targets, where they are such.
    """

    encode: Callable[[Cells, Sequence[str]], Any]
    objective: Callable[[Training, Sequence[str], Any], Objective]
    guesses: Callable[[Any, Any], list[Baseline]]
    problem: Problem | None
    scoring: Callable[[NDArray[np.float64], Any], Scoring]
    evaluate: Callable[[NDArray[np.float64], Any, Sequence[str], Trial, Scoring], TaskReport]
    decode: Callable[[Any, Sequence[str], int | None, Scoring], Sequence[Output]]
    labelled: Callable[[Any], NDArray[np.bool_]] = has_target
    strata: Callable[[Any], Targets] = lambda targets: targets
