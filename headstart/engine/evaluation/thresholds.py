"""From which score on a label is given: what would have had the best F1 on the validation rows.

A class with few positives would take a threshold that fits those few; it takes the one that is best for all classes together, which is
chosen alike. Where even that has few to go by, it is ½.

Source: Fan & Lin 2007, "A Study on Threshold Selection for Multi-label Classification" (choice by class; what differs is the fall-back).

Axes: N rows, C classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

HALF = 0.5
LEAST_POSITIVES = 10


def chosen_thresholds(scores: Floats, targets: NDArray[np.bool_], least: int = LEAST_POSITIVES) -> list[float]:
    """One for each class.

    Args:
        scores: of validation rows, calibrated, [N, C].
        targets: the labels that hold, [N, C].
        least: positives that a class needs for a threshold of its own.
    """
    together = _best(scores.ravel(), targets.ravel()) if targets.sum() >= least else HALF
    return [
        _best(scores[:, number], targets[:, number]) if targets[:, number].sum() >= least else together for number in range(scores.shape[1])
    ]


def _best(scores: Floats, targets: NDArray[np.bool_]) -> float:
    """The middle between two neighbouring scores where F1 is highest; of several alike the one nearest to ½."""
    order = np.argsort(-scores, kind="stable")
    ranked, hits = scores[order], np.cumsum(targets[order])
    f1 = 2 * hits / (np.arange(1, len(ranked) + 1) + hits[-1])
    following = np.append(ranked[1:], 0.0)
    parts = ranked > following  # no threshold parts equal scores
    parts[-1] = True
    middles = (ranked[parts] + following[parts]) / 2
    alike = middles[f1[parts] >= f1[parts].max() - 1e-12]
    return round(float(alike[np.abs(alike - HALF).argmin()]), 6)
