"""Linear models on what raw inputs give, by scikit-learn.

Axes: N training rows, M tested rows, D width, C classes.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge

Floats = NDArray[np.float64]

STRENGTH = 10.0
"""scikit-learn's C. Not tuned: a baseline that is searched for would cost as much as what it is compared with."""
ITERATIONS = 25
"""Enough for answers, not for the last digits: on 10,000 short texts of 77 classes 3 s."""
NEVER = -20.0
"""The logit of a class that no training row has."""


def one_label(x: Any, targets: NDArray[np.int64], x_tested: Any) -> tuple[Floats, str]:  # noqa: ANN401 - dense or sparse [N, D]
    """Logits [M, C'] with C' − 1 the highest class that occurs."""
    there = np.unique(targets)
    logits = np.full((x_tested.shape[0], int(targets.max()) + 1), NEVER)
    if len(there) == 1:
        logits[:, there] = 0.0
        return logits, "logistic regression"
    fitted = _fitted(x, targets)
    found = np.asarray(fitted.decision_function(x_tested), np.float64)
    logits[:, there] = found if found.ndim == 2 else np.column_stack([-found / 2, found / 2])
    return logits, "logistic regression"


def several_labels(x: Any, targets: NDArray[Any], x_tested: Any) -> tuple[Floats, str]:  # noqa: ANN401 - dense or sparse [N, D]
    """Logits [M, C], class by class."""
    held = np.asarray(targets) > 0.5
    logits = np.empty((x_tested.shape[0], held.shape[1]))
    for number in range(held.shape[1]):
        share = held[:, number].mean()
        if share in {0.0, 1.0}:
            logits[:, number] = NEVER if share == 0.0 else -NEVER
        else:
            logits[:, number] = _fitted(x, held[:, number], solver="liblinear", random_state=0).decision_function(x_tested)
    return logits, "logistic regression for each label"


def number(x: Any, targets: Floats, x_tested: Any) -> tuple[Floats, str]:  # noqa: ANN401 - dense or sparse [N, D]
    """Values [M, 1]."""
    fitted = Ridge(alpha=1.0, solver="lsqr").fit(x, targets)
    return np.asarray(fitted.predict(x_tested), np.float64).reshape(-1, 1), "ridge regression"


def _fitted(x: Any, targets: NDArray[Any], **options: Any) -> LogisticRegression:  # noqa: ANN401 - scikit-learn's
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the iterations are a budget
        return LogisticRegression(C=STRENGTH, max_iter=ITERATIONS, tol=1e-3, **options).fit(x, targets)


FITS: dict[str, Callable[[Any, NDArray[Any], Any], tuple[Floats, str]]] = {
    "single-label": one_label,
    "multi-label": several_labels,
    "regression": number,
}
"""A problem → (x [N, D], targets [N, …], tested x [M, D]) → (logits, words)."""
