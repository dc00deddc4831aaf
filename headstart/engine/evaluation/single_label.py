"""How good a classifier with one label a row is.

Axes: N rows, C classes, R resamples. In a confusion matrix rows are true, columns predicted.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.special import log_softmax

from headstart.engine.evaluation.resampling import Measure, Measured, Weights
from headstart.specs.reports import ClassReport

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


def measure(logits: Floats, targets: Counts) -> Measure:
    """Accuracy, macro-F1 and log-loss as functions of how much rows count.

    Macro-F1 is over the classes that occur, true or predicted: of one that does neither there is nothing to say.

    Args:
        logits: [N, C].
        targets: class numbers, [N].
    """
    rows, classes = logits.shape
    predicted = logits.argmax(axis=1)
    hits = predicted == targets
    losses = -log_softmax(logits, axis=1)[np.arange(rows), targets]
    of_hits, of_true, of_predicted = (_one_hot(numbers, classes) for numbers in (np.where(hits, targets, -1), targets, predicted))

    def measured(weights: Weights) -> Measured:
        total = weights.sum(axis=1, dtype=np.float64)
        right, true, said = (np.asarray(each @ weights.T, np.float64).T for each in (of_hits, of_true, of_predicted))  # [R, C]
        f1, occurs = ratio(2 * right, true + said), true + said > 0
        return {
            "accuracy": ratio(right.sum(axis=1), total),
            "macro_f1": ratio((f1 * occurs).sum(axis=1), occurs.sum(axis=1)),
            "log_loss": weights @ losses / total,
        }

    return measured


def confusion(targets: Counts, predicted: Counts, classes: int) -> Counts:
    """[C, C]."""
    return np.bincount(targets * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def per_class(table: Counts, classes: Sequence[str]) -> list[ClassReport]:
    """Precision, recall and F1 of each class of a confusion matrix; 0 where there is nothing to divide by."""
    return class_reports(table.diagonal(), table.sum(axis=0), table.sum(axis=1), classes)


def class_reports(hits: Counts, predicted: Counts, true: Counts, classes: Sequence[str]) -> list[ClassReport]:
    """The same from counts, each [C]."""
    precision, recall, f1 = ratio(hits, predicted), ratio(hits, true), ratio(2 * hits, predicted + true)
    return [
        ClassReport(label=label, precision=float(precision[c]), recall=float(recall[c]), f1=float(f1[c]), support=int(true[c]))
        for c, label in enumerate(classes)
    ]


def ratio(part: NDArray[np.float64] | Counts, whole: NDArray[np.float64] | Counts) -> Floats:
    """`part / whole`, 0 where there is nothing to divide by."""
    return np.divide(part, whole, out=np.zeros(np.broadcast_shapes(part.shape, whole.shape)), where=whole > 0)


def _one_hot(numbers: Counts, classes: int) -> csr_array:
    """[C, N]: 1 where a row is of a class; a row of class −1 is of none. Sparse, as a thousand classes would not fit otherwise."""
    there = np.flatnonzero(numbers >= 0)
    return csr_array((np.ones(len(there), np.float32), (numbers[there], there)), shape=(classes, len(numbers)))
