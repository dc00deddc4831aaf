"""How far off predicted numbers are.

Axes: N rows, R resamples.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from headstart.engine.evaluation.resampling import Measure, Measured, Weights

Floats = NDArray[np.float64]

_FLAT = 1e-12
"""A variance below this share of the mean square is rounding."""


def measure(predicted: Floats, targets: Floats) -> Measure:
    """Mean absolute and root mean square error, R², Pearson's and Spearman's correlation as functions of how much rows count.

    R² is not defined where the targets are all equal, a correlation where targets or predictions are.

    Args:
        predicted: [N].
        targets: [N].
    """
    centre = targets.mean()  # sums of squares far from 0 would cancel
    errors, true, said = predicted - targets, targets - centre, predicted - centre
    of_true, of_said = _Ranks(targets), _Ranks(predicted)

    def measured(weights: Weights) -> Measured:
        counts = weights.astype(np.float64)
        total = counts.sum(axis=1)
        squares = counts @ errors**2
        spread = counts @ true**2 - (counts @ true) ** 2 / total
        flat = spread <= _FLAT * np.maximum(counts @ true**2, np.finfo(float).tiny)
        with np.errstate(divide="ignore", invalid="ignore"):
            return {
                "mae": counts @ np.abs(errors) / total,
                "rmse": np.sqrt(squares / total),
                "r2": np.where(flat, np.nan, 1 - squares / spread),
                "pearson": np.array([_correlation(said, true, each) for each in counts]),
                "spearman": np.array([_correlation(of_said(each), of_true(each), each) for each in counts]),
            }

    return measured


class _Ranks:
    """Ranks of values that count differently; equal values share the mean of their ranks."""

    def __init__(self, values: Floats) -> None:
        distinct, self._group = np.unique(values, return_inverse=True)
        self._groups = len(distinct)

    def __call__(self, counts: Floats) -> Floats:
        """[N]."""
        of_group = np.bincount(self._group, weights=counts, minlength=self._groups)
        ranks: Floats = (np.cumsum(of_group) - of_group + (of_group + 1) / 2)[self._group]
        return ranks


def _correlation(left: Floats, right: Floats, counts: Floats) -> float:
    """Pearson's, weighted; NaN where either side does not vary."""
    total = counts.sum()
    left, right = (each - (counts @ each) / total for each in (left, right))
    spreads = [float(counts @ each**2) for each in (left, right)]
    if min(spreads) <= _FLAT * total * max(float(np.abs(left).max()), float(np.abs(right).max())) ** 2:
        return float("nan")
    return float(np.clip(counts @ (left * right) / np.sqrt(spreads[0] * spreads[1]), -1.0, 1.0))
