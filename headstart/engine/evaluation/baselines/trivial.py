"""Guesses that look at no input.

Axes: N training rows, C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

Floats = NDArray[np.float64]

FAR = 20.0
"""A logit that says yes."""


def shares(targets: NDArray[np.int64]) -> tuple[Floats, str]:
    """Logits [C'] whose softmax are the classes' shares, so that the commonest is said; classes beyond the last that occurs are missing."""
    counts = np.bincount(targets).astype(np.float64)
    return np.log((counts + 1e-3) / (counts + 1e-3).sum()), "Always the commonest class; its scores are the shares of the classes."


def commonest_set(targets: NDArray[Any]) -> tuple[Floats, str]:
    """Logits [C] that give the set of labels that most rows have, ordered inside and outside of it by how common labels are."""
    held = np.asarray(targets) > 0.5
    sets, counts = np.unique(held, axis=0, return_counts=True)
    usual = sets[counts.argmax()]
    order = logit(np.clip(held.mean(axis=0), 1e-6, 1 - 1e-6))  # within ±14
    return np.where(usual, FAR, -FAR) + order, "Always the set of labels that most rows have."


def mean(targets: Floats) -> tuple[Floats, str]:
    return np.array([targets.mean()]), "Always the mean of the training rows."


GUESSES: dict[str, Callable[[NDArray[Any]], tuple[Floats, str]]] = {
    "single-label": shares,
    "multi-label": commonest_set,
    "regression": mean,
}
"""A problem → (targets of the training rows [N, …]) → the same numbers for every row, and words."""
