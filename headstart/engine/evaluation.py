"""How good a classifier is, beside the majority class that needs no model.

Axes: N rows, C classes. In a confusion matrix rows are true, columns predicted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from headstart.engine.losses import log_loss
from headstart.specs.jobs import ClassReport, TaskReport

Counts = NDArray[np.int64]


def classification_report(
    logits: NDArray[np.float64], targets: Counts, classes: Sequence[str], train_targets: Counts, split: Literal["validation", "test"]
) -> TaskReport:
    """Accuracy, macro-F1, log-loss, each class, the confusion matrix, and what always saying the commonest training class would reach.

    Args:
        logits: [N, C], N ≥ 1.
        targets: class numbers, [N].
        train_targets: class numbers of the training rows, for the majority.
    """
    table = confusion(targets, logits.argmax(axis=1), len(classes))
    majority = int(np.bincount(train_targets, minlength=len(classes)).argmax())
    by_majority = confusion(targets, np.full(len(targets), majority), len(classes))
    precision, recall, f1 = per_class(table)
    return TaskReport(
        split=split,
        rows=len(targets),
        classes=list(classes),
        metrics={**_metrics(table), "log_loss": log_loss(logits, targets)},
        baselines={"majority": _metrics(by_majority)},
        per_class=[
            ClassReport(label=label, precision=float(precision[c]), recall=float(recall[c]), f1=float(f1[c]), support=int(table[c].sum()))
            for c, label in enumerate(classes)
        ],
        confusion=table.tolist(),
    )


def confusion(targets: Counts, predicted: Counts, classes: int) -> Counts:
    """[C, C]."""
    return np.bincount(targets * classes + predicted, minlength=classes * classes).reshape(classes, classes)


def per_class(table: Counts) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Precision, recall and F1 of each class, [C]; 0 where there is nothing to divide by."""
    hits = table.diagonal().astype(np.float64)
    predicted, true = table.sum(axis=0), table.sum(axis=1)
    return _ratio(hits, predicted), _ratio(hits, true), _ratio(2 * hits, predicted + true)


def _metrics(table: Counts) -> dict[str, float]:
    """Macro-F1 is over the classes that occur, true or predicted: of one that does neither there is nothing to say."""
    occurs = table.sum(axis=0) + table.sum(axis=1) > 0
    return {"accuracy": float(table.diagonal().sum() / table.sum()), "macro_f1": float(per_class(table)[2][occurs].mean())}


def _ratio(part: NDArray[np.float64], whole: Counts) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
