"""Linear models on what raw inputs give, by scikit-learn.

Axes: N training rows, V validation rows, M rows that are asked about, D width, C classes, K numbers a row.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge

from headstart.engine.evaluation.thresholds import HALF

Floats = NDArray[np.float64]
Matrix = Any
"""[·, D], dense or sparse."""

ITERATIONS = 25
"""Enough for answers, not for the last digits: on 10,000 short texts of 77 classes 3 s."""
LEAST_JUDGES = 20
"""Validation rows below which the first strength is taken."""
NEVER = -20.0
"""The logit of a class that no training row has."""


def one_label(x: Matrix, targets: NDArray[np.int64], asked: Matrix, strength: float) -> Floats:
    """Logits [M, C'], with C' − 1 the highest class that occurs."""
    there = np.unique(targets)
    logits = np.full((asked.shape[0], int(targets.max()) + 1), NEVER)
    if len(there) == 1:
        logits[:, there] = 0.0
        return logits
    found = np.asarray(_fitted(x, targets, strength).decision_function(asked), np.float64)
    logits[:, there] = np.column_stack([-found / 2, found / 2]) if found.ndim == 1 else found  # two classes have one margin
    return logits


def several_labels(x: Matrix, targets: NDArray[Any], asked: Matrix, strength: float) -> Floats:
    """Logits [M, C], class by class."""
    held = np.asarray(targets) > HALF
    logits = np.empty((asked.shape[0], held.shape[1]))
    for number in range(held.shape[1]):
        share = held[:, number].mean()
        if share in {0.0, 1.0}:
            logits[:, number] = NEVER if share == 0.0 else -NEVER
        else:
            logits[:, number] = _fitted(x, held[:, number], strength, solver="liblinear", random_state=0).decision_function(asked)
    return logits


def one_number(x: Matrix, targets: Floats, asked: Matrix, strength: float) -> Floats:
    """Values [M, 1]."""
    fitted = Ridge(alpha=1 / strength, solver="lsqr").fit(x, targets)
    return np.asarray(fitted.predict(asked), np.float64).reshape(-1, 1)


def _fitted(x: Matrix, targets: NDArray[Any], strength: float, **options: Any) -> LogisticRegression:  # noqa: ANN401 - scikit-learn's
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the iterations are a budget
        return LogisticRegression(C=strength, max_iter=ITERATIONS, tol=1e-3, **options).fit(x, targets)


def _one_label_loss(logits: Floats, targets: NDArray[np.int64]) -> float:
    known = targets < logits.shape[1]
    return float(-log_softmax(logits[known], axis=1)[np.arange(known.sum()), targets[known]].mean()) if known.any() else 0.0


def _several_labels_loss(logits: Floats, targets: NDArray[Any]) -> float:
    return float(np.logaddexp(0, np.where(np.asarray(targets) > HALF, -logits, logits)).mean())


def _one_number_loss(logits: Floats, targets: Floats) -> float:
    return float(np.square(logits[:, 0] - targets).mean())


Fit = Callable[[Matrix, NDArray[Any], Matrix, float], Floats]
Loss = Callable[[Floats, NDArray[Any]], float]

KINDS: dict[str, tuple[Fit, Loss, str]] = {
    "single-label": (one_label, _one_label_loss, "logistic regression"),
    "multi-label": (several_labels, _several_labels_loss, "logistic regression for each label"),
    "regression": (one_number, _one_number_loss, "ridge regression"),
}
"""A problem → how it is fitted, by what strengths are judged, and its name."""


def answers(problem: str, x: Matrix, targets: NDArray[Any], asked: Matrix, judged: NDArray[Any], strengths: Sequence[float]) -> Floats:
    """Logits [M, K] of the model with the strength that the validation rows like best.

    Args:
        x: training rows, with `targets` [N, …].
        asked: the rows to answer for; the first V of them are validation rows.
        judged: targets of the validation rows, [V, …].
        strengths: scikit-learn's C, to choose among.
    """
    fit, loss, _ = KINDS[problem]
    tried = strengths if len(judged) >= LEAST_JUDGES else strengths[:1]
    found = [fit(x, targets, asked, strength) for strength in tried]
    return found[int(np.argmin([loss(each[: len(judged)], judged) for each in found]))] if len(found) > 1 else found[0]
