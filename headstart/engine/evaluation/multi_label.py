"""How good a classifier with any number of labels a row is.

Axes: N rows, C classes, R resamples.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from headstart.engine.evaluation.resampling import Measure, Measured, Weights
from headstart.engine.evaluation.single_label import class_reports, ratio
from headstart.specs.reports import ClassReport

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

MOST_RANKED = 2_000_000
"""Cells N × C up to which mean average precision is resampled: each time all scores are gone through in their order, 2 s in all."""


def measure(scores: Floats, decided: Flags, targets: Flags) -> Measure:
    """Micro-, macro- and samples-F1, subset accuracy, Hamming loss and mean average precision as functions of how often rows count.

    Macro-F1 is over the classes that occur, true or predicted; mean average precision over those that truly do. A row without labels
    that gets none has a samples-F1 of 1.

    Args:
        scores: [N, C], any that rank.
        decided: the labels that are given, [N, C].
        targets: those that are true, [N, C].
    """
    both, true, said = decided & targets, targets.sum(axis=1), decided.sum(axis=1)
    empty = true + said == 0
    by_row = np.column_stack(
        [
            np.where(empty, 1.0, ratio(2.0 * both.sum(axis=1), true + said)),
            (decided == targets).all(axis=1),
            (decided != targets).mean(axis=1),
        ]
    ).astype(np.float32)
    counted = [csr_array(each.T.astype(np.float32)) for each in (both, targets, decided)]  # [C, N]
    ranked = _Ranked(scores, targets)

    def measured(weights: Weights) -> Measured:
        hits, positives, given = (np.asarray(each @ weights.T, np.float64).T for each in counted)  # [R, C]
        means = (weights @ by_row).astype(np.float64) / weights.sum(axis=1, dtype=np.float64)[:, None]
        f1, occurs = ratio(2 * hits, positives + given), positives + given > 0
        made = {
            "micro_f1": ratio(2 * hits.sum(axis=1), (positives + given).sum(axis=1)),
            "macro_f1": ratio((f1 * occurs).sum(axis=1), occurs.sum(axis=1)),
            "samples_f1": means[:, 0],
            "subset_accuracy": means[:, 1],
            "hamming_loss": means[:, 2],
        }
        if len(weights) == 1 or scores.size <= MOST_RANKED:
            made["mean_average_precision"] = np.array([ranked.mean(each) for each in weights])
        return made

    return measured


def per_class(decided: Flags, targets: Flags, classes: Sequence[str]) -> list[ClassReport]:
    return class_reports((decided & targets).sum(axis=0), decided.sum(axis=0), targets.sum(axis=0), classes)


class _Ranked:
    """Average precision of each class for rows that count more than once: Σ precision × rise of recall, over the distinct scores.

    Equal scores are one step, as no threshold parts them. Only the places of positives matter, once it is known how much stands above.
    """

    def __init__(self, scores: Floats, targets: Flags) -> None:
        rows, classes = scores.shape
        order = np.argsort(-scores, axis=0, kind="stable")
        ranked = np.take_along_axis(scores, order, axis=0).T  # [C, N]
        self._order = np.ascontiguousarray(order.T)
        ends = np.empty((classes, rows), np.int64)  # where the run of equal scores ends that a place is in
        place = np.full(classes, rows - 1)
        for at in range(rows - 1, -1, -1):
            if at < rows - 1:
                place = np.where(ranked[:, at] == ranked[:, at + 1], place, at)
            ends[:, at] = place
        flags = np.take_along_axis(targets, order, axis=0).T
        self._class, self._place = np.nonzero(flags)  # by class, best score first
        self._end = ends[self._class, self._place]
        self._first = np.searchsorted(self._class, np.arange(classes))
        self._last = np.searchsorted(self._class, np.arange(classes), side="right")
        # of each positive: how many positives of its class stand up to the end of its run
        counts = np.cumsum(flags, axis=1)
        self._reached = self._first[self._class] + counts[self._class, self._end]

    def mean(self, weights: NDArray[np.float32]) -> float:
        """Over the classes with positives; NaN when there are none."""
        above = np.cumsum(weights[self._order], axis=1)[self._class, self._end]  # whole numbers, exact in 32 bits up to 2²⁴ rows
        own = weights[self._order[self._class, self._place]]
        sums = np.concatenate([[0.0], np.cumsum(own, dtype=np.float64)])
        hits = sums[self._reached] - sums[self._first[self._class]]
        gained = np.concatenate([[0.0], np.cumsum(own * ratio(hits, above))])
        positives = sums[self._last] - sums[self._first]
        there = positives > 0
        if not there.any():
            return float("nan")
        return float(((gained[self._last] - gained[self._first])[there] / positives[there]).mean())
