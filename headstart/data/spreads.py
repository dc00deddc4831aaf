"""How numbers are spread, found out while they stream by, in memory that does not grow with them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from headstart.specs.datasets import Quantiles

_GAMMA = 1.02
"""Each bucket ends so many times as high as it begins: its middle is within a hundredth of all that lie in it."""
_RANKS = {"p5": 0.05, "p25": 0.25, "median": 0.5, "p75": 0.75, "p95": 0.95}


class Spread:
    """Quantiles of numbers that are not negative.

    Source: Masson, Rim and Lee, "DDSketch: a fast and fully-mergeable quantile sketch with relative-error guarantees" (VLDB 2019).

    Args:
        whole: the numbers are integers, and so are the answers.
    """

    def __init__(self, *, whole: bool) -> None:
        self._whole = whole
        self._count = self._zeros = 0
        self._buckets: dict[int, int] = {}
        self._least, self._greatest = math.inf, 0.0

    def add(self, values: NDArray[np.float64]) -> None:
        """Take in numbers, [N]."""
        if not len(values):
            return
        self._count += len(values)
        self._least = min(self._least, float(values.min()))
        self._greatest = max(self._greatest, float(values.max()))
        positive = values[values > 0]
        self._zeros += len(values) - len(positive)
        buckets, counts = np.unique(np.ceil(np.log(positive) / math.log(_GAMMA)).astype(np.int64), return_counts=True)
        for bucket, count in zip(buckets.tolist(), counts.tolist(), strict=True):
            self._buckets[bucket] = self._buckets.get(bucket, 0) + count

    def quantiles(self) -> Quantiles | None:
        """None of no numbers at all."""
        if not self._count:
            return None
        return Quantiles(min=self._least, max=self._greatest, **{name: self._at(rank) for name, rank in _RANKS.items()})

    def _at(self, share: float) -> float:
        rank = math.floor(share * (self._count - 1))  # of the number that is asked for, from 0
        passed = self._zeros
        if rank < passed:
            return 0.0
        for bucket in sorted(self._buckets):
            passed += self._buckets[bucket]
            if rank < passed:
                middle = 2 * _GAMMA**bucket / (_GAMMA + 1)
                return min(max(float(round(middle)) if self._whole else middle, self._least), self._greatest)
        return self._greatest
