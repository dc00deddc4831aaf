"""How sure a metric is: the bootstrap over rows.

A metric is a function of how much each row counts. All ones give its value; weights drawn at random, exponential with mean 1 (the Bayesian
bootstrap), give one that another test set could have given. The classic bootstrap draws whole numbers instead, which for smooth metrics comes to
the same; but with it rare classes, which are hard, are missing from many resamples, so that means over classes come out too high. Model and
baselines are measured with the same weights, so that the difference of two is resampled too.

Sources: Rubin 1981, "The Bayesian Bootstrap"; Efron & Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13 (percentile intervals).

Axes: N rows, R resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from headstart.specs.reports import Interval

Weights = NDArray[np.float32]
"""How much each row counts, [R, N]; in 32 bits, which are summed twice as fast."""
Measured = dict[str, NDArray[np.float64]]
"""By metric, [R]; NaN where a resample leaves it undefined."""
Measure = Callable[[Weights], Measured]

RESAMPLES = 1_000
LEVEL = 0.95
_ROUNDING = 1e-5
_CELLS = 2_000_000
"""Weights that are held at once; 8 MB."""


def values(measure: Measure, rows: int) -> dict[str, float]:
    """The metrics of the rows as they are; those that are not defined are left out."""
    measured = measure(np.ones((1, rows), np.float32))
    return {name: float(value[0]) for name, value in measured.items() if np.isfinite(value[0])}


def resampled(measures: Mapping[str, Measure], rows: int, seed: int, resamples: int = RESAMPLES) -> dict[str, Measured]:
    """Each measure on the same resamples.

    Args:
        measures: each a function of how much the `rows` rows count.
        seed: the same gives the same resamples.
    """
    chance = np.random.default_rng(seed)
    at_once = max(1, min(resamples, _CELLS // max(rows, 1)))
    parts: dict[str, list[Measured]] = {name: [] for name in measures}
    for start in range(0, resamples, at_once):
        weights = _drawn(chance, min(at_once, resamples - start), rows)
        for name, measure in measures.items():
            parts[name].append(measure(weights))
    return {name: {metric: np.concatenate([part[metric] for part in made]) for metric in made[0]} for name, made in parts.items()}


def interval(drawn: NDArray[np.float64], level: float = LEVEL) -> Interval | None:
    """The middle `level` of what the resamples gave; None when a tenth of them or more leave it undefined."""
    known = drawn[np.isfinite(drawn)]
    if len(known) <= 0.9 * len(drawn):
        return None
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def intervals(measured: Measured, point: Mapping[str, float], rows: int) -> dict[str, Interval]:
    """By metric, those of `point`.

    Where every row is right, or every row wrong, all resamples agree and know nothing of rows not seen: the end that is left open
    is then that of Clopper & Pearson (1934) for `rows` trials.
    """
    made = {}
    for name, value in point.items():
        found = interval(measured[name])
        if found is not None:
            made[name] = _opened(found, value, rows) if name in SHARES else found
    return made


SHARES = frozenset({"accuracy", "macro_f1", "micro_f1", "samples_f1", "subset_accuracy", "token_accuracy", "precision", "recall", "f1"})
"""Metrics between 0 and 1 that are a share of what is right, or a mean of such shares."""


def _opened(found: Interval, value: float, rows: int) -> Interval:
    open_end = ((1 - LEVEL) / 2) ** (1 / rows)
    if value == 1.0 and found[0] > 1 - _ROUNDING:
        return open_end, 1.0
    if value == 0.0 and found[1] < _ROUNDING:
        return 0.0, 1 - open_end
    return found


def _drawn(chance: np.random.Generator, resamples: int, rows: int) -> Weights:
    return chance.standard_exponential((resamples, rows), dtype=np.float32)
