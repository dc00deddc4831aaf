"""Scores that mean what they say: one temperature for a task's logits, found on validation rows; and how far off they are.

    temperature = argmin over T of  mean of −log p[target]  +  (log T)² / 2N ,    p = softmax(logits / T),  or sigmoid(logits / T)

Sources: Guo et al. 2017, "On Calibration of Modern Neural Networks" (temperature, expected calibration error); Nguyen & O'Connor 2015 (bins of
equal mass). What differs: the second term, a prior with log T ~ Normal(0, 1), which holds T near 1 where a few rows that are all right would
drive it to 0. It is worth one row in N.

Axes: N rows, C classes, V decisions: N of single labels, N × C of several.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, softmax

from headstart.specs.reports import Bin, Calibration

Floats = NDArray[np.float64]

BINS = 15
LEAST_ROWS = 20
"""Validation rows below which their loss says more about chance than about the temperature."""
LOWEST, HIGHEST = 0.05, 20.0


def single_label_temperature(logits: Floats, targets: NDArray[np.int64]) -> float | None:
    """The temperature [N, C] logits are divided by; None with fewer than `LEAST_ROWS` rows.

    Args:
        logits: of validation rows, [N, C].
        targets: class numbers, [N].
    """
    rows = np.arange(len(targets))
    return _fitted(lambda warmth: float(-log_softmax(logits / warmth, axis=1)[rows, targets].mean()), len(targets))


def multi_label_temperature(logits: Floats, targets: NDArray[np.bool_]) -> float | None:
    """The same for sigmoid logits and the labels that hold, both [N, C]."""
    signed = np.where(targets, logits, -logits)
    return _fitted(lambda warmth: float(np.logaddexp(0, -signed / warmth).mean()), len(targets))


def _fitted(loss: Callable[[float], float], rows: int) -> float | None:
    if rows < LEAST_ROWS:
        return None
    bounds = (np.log(LOWEST), np.log(HIGHEST))
    found = minimize_scalar(
        lambda log: loss(float(np.exp(log))) + log**2 / (2 * rows), bounds=bounds, method="bounded", options={"xatol": 1e-4}
    )
    return round(float(np.exp(found.x)), 6)  # as it is written; what is measured and what is served are one number


def single_label_decisions(logits: Floats, targets: NDArray[np.int64]) -> tuple[Floats, NDArray[np.bool_]]:
    """How sure the answer of each row is, and whether it is right, both [N]."""
    scores = softmax(logits, axis=1)
    said = logits.argmax(axis=1)
    return scores[np.arange(len(said)), said], said == targets


def multi_label_decisions(logits: Floats, targets: NDArray[np.bool_]) -> tuple[Floats, NDArray[np.bool_]]:
    """The score of each label of each row, and whether it holds, both [N × C]."""
    return expit(logits).ravel(), targets.ravel()


def reliability(scores: Floats, right: NDArray[np.bool_], bins: int = BINS) -> list[Bin]:
    """At most so many bins of equal mass, from the lowest scores up. Equal scores share a bin, as nothing tells them apart.

    Args:
        scores: [V].
        right: [V].
    """
    distinct, group = np.unique(scores, return_inverse=True)
    counts = np.bincount(group, minlength=len(distinct))
    # a group goes where its middle lies among all that are sorted
    middles = (np.cumsum(counts) - counts / 2) / max(len(scores), 1)
    places = np.minimum((middles * bins).astype(np.int64), bins - 1)[group]
    made = []
    for place in range(bins):
        inside = places == place
        if inside.any():
            made.append(Bin(count=int(inside.sum()), confidence=float(scores[inside].mean()), accuracy=float(right[inside].mean())))
    return made


def expected_error(bins: list[Bin]) -> float:
    """Mean distance of confidence and accuracy over the bins, by what they hold."""
    total = sum(each.count for each in bins)
    return sum(each.count * abs(each.confidence - each.accuracy) for each in bins) / total if total else 0.0


def calibration(decisions: Callable[[Floats], tuple[Floats, NDArray[np.bool_]]], logits: Floats, temperature: float | None) -> Calibration:
    """What a report says of the scores before and after the temperature.

    Args:
        decisions: of logits.
        logits: as the head gives them.
    """
    before = reliability(*decisions(logits))
    after = before if temperature is None else reliability(*decisions(logits / temperature))
    return Calibration(
        temperature=temperature, ece_before=expected_error(before), ece_after=expected_error(after), bins=after, bins_before=before
    )
