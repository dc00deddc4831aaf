"""One label for each text, image or recording.

Axes: N rows, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from headstart.engine.evaluation.baselines import Baseline, trivial_baseline
from headstart.engine.evaluation.reports import single_label_report
from headstart.engine.evaluation.scoring import Scoring, single_label_scoring
from headstart.engine.losses import softmax_objective
from headstart.engine.tasks.kinds import Cells, Targets, TaskKind
from headstart.specs.labels import normal_label
from headstart.specs.predictions import Classification, Score


def encode(columns: Cells, classes: Sequence[str]) -> NDArray[np.int64]:
    """Class numbers [N] by the position in `classes`; −1 for a missing label and for one that is no class of the plan."""
    (cells,) = columns
    numbers = {label: number for number, label in enumerate(classes)}
    known: dict[str | None, int] = {None: -1}
    for cell in set(cells):
        if cell is not None:
            known[cell] = numbers.get(normal_label(cell), -1)
    return np.fromiter((known[cell] for cell in cells), dtype=np.int64, count=len(cells))


def decode(logits: NDArray[np.float64], classes: Sequence[str], top_k: int | None, scoring: Scoring) -> list[Classification]:
    """Label and scores of each row, highest first; equal scores stand in the order of the classes.

    Args:
        top_k: how many scores to give; None: all.
    """
    warm = scoring.warmed(logits)
    powers = np.exp(warm - warm.max(axis=1, keepdims=True))
    scores = powers / powers.sum(axis=1, keepdims=True)  # [N, C]
    order = np.argsort(-scores, axis=1, kind="stable")[:, :top_k]
    sorted_scores = np.take_along_axis(scores, order, axis=1).tolist()
    # model_construct: the values are ours, and checking C scores for each of N rows took longer than the head
    return [
        Classification.model_construct(
            label=classes[places[0]],
            score=values[0],
            scores=[Score.model_construct(label=classes[place], score=value) for place, value in zip(places, values, strict=True)],
        )
        for places, values in zip(order.tolist(), sorted_scores, strict=True)
    ]


def guesses(train: Targets, tested: Targets) -> list[Baseline]:
    return [trivial_baseline("single-label", train, len(tested))]


KIND = TaskKind(encode, softmax_objective, guesses, "single-label", single_label_scoring, single_label_report, decode)
