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
"""Cells N × C up to which mean average precision is resampled; each time all scores are gone through."""
_HELD = 2_000_000
"""Numbers that are held at once for it."""


def measure(scores: Floats, decided: Flags, targets: Flags) -> Measure:
    """Micro-, macro- and samples-F1, subset accuracy, Hamming loss and mean average precision as functions of how much rows count.

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
            made["mean_average_precision"] = ranked.mean(weights)
        return made

    return measured


def per_class(decided: Flags, targets: Flags, classes: Sequence[str]) -> list[ClassReport]:
    return class_reports((decided & targets).sum(axis=0), decided.sum(axis=0), targets.sum(axis=0), classes)


class _Ranked:
    """Average precision of each class for rows that count differently: Σ precision × rise of recall, over the distinct scores.

    Equal scores are one step, as no threshold parts them. Recall rises only at steps with a positive: ranks are summed up between these, which
    a product of sparse matrices does for many resamples at once.

    Axes: S steps with a positive, of all classes, by class and best score first.
    """

    def __init__(self, scores: Floats, targets: Flags) -> None:
        rows, classes = scores.shape
        order = np.argsort(-scores, axis=0, kind="stable").T  # [C, N]
        ranked, held = np.take_along_axis(scores.T, order, axis=1), np.take_along_axis(targets.T, order, axis=1)
        last = np.ones((classes, rows), bool)  # of its run of equal scores
        last[:, :-1] = ranked[:, :-1] != ranked[:, 1:]
        flat_last, counts = np.flatnonzero(last), np.cumsum(held)  # runs do not cross from one class to the next
        rises = np.diff(counts[flat_last], prepend=0) > 0
        is_step = np.zeros(rows * classes, bool)
        is_step[flat_last[rises]] = True
        step = np.cumsum(is_step) - is_step  # the step that a rank belongs to, of all classes
        steps_of = is_step.reshape(classes, rows).sum(axis=1)
        self._ends = np.cumsum(steps_of)  # [C]
        self._begins = self._ends - steps_of
        inside = step < np.repeat(self._ends, rows)  # ranks after the last positive of a class matter nowhere
        steps = int(steps_of.sum())
        hit = inside & held.ravel()
        self._all, self._held = (
            csr_array((np.ones(int(which.sum()), np.float32), (step[which], order.ravel()[which])), shape=(steps, rows))
            for which in (inside, hit)
        )
        self._at_once = max(1, _HELD // max(steps, 1))

    def mean(self, weights: Weights) -> Floats:
        """Over the classes with positives, [R]; NaN when there are none."""
        parts = [self._mean(weights[at : at + self._at_once].T) for at in range(0, len(weights), self._at_once)]
        return np.concatenate(parts)

    def _mean(self, weights: Weights) -> Floats:
        above, hits = (np.asarray(each @ weights, np.float64) for each in (self._all, self._held))  # [S, R]
        precision = ratio(self._within(hits), self._within(above))
        gained, positives = (self._by_class(each) for each in (hits * precision, hits))
        there = positives > 0
        with np.errstate(invalid="ignore"):
            made: Floats = ratio(gained, positives).sum(axis=0) / there.sum(axis=0)
        return made

    def _within(self, values: Floats) -> Floats:
        """Summed up from the first step of each class on."""
        sums = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
        made: Floats = sums[1:] - np.repeat(sums[self._begins], self._ends - self._begins, axis=0)
        return made

    def _by_class(self, values: Floats) -> Floats:
        """[C, R]."""
        sums = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
        made: Floats = sums[self._ends] - sums[self._begins]
        return made
