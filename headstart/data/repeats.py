"""Which rows say the same as others, and whether such rows lie in different splits."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from headstart.specs.datasets import SPLITS, Duplicates

SPLIT_CODES = {split: code for code, split in enumerate(SPLITS, 1)}
"""0 is a row of no split."""
_PAIRS = (("validation", "train"), ("test", "train"), ("test", "validation"))


def hashes_of(digests: Iterable[bytes]) -> NDArray[np.uint64]:
    """Digests of eight bytes as numbers, [N]."""
    return np.frombuffer(b"".join(digests), np.uint64)


class Repeats:
    """Counts rows whose content came before: exactly up to `bound` rows, then from a sample of contents.

    Source: Flajolet, "On adaptive sampling" (1990), as for the number of different values: contents whose hashes end in `bits` zeros
    are kept with all their rows, half as many whenever they are too many.
    """

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._bits = 0
        self._count = 0
        self._hashes: list[NDArray[np.uint64]] = []
        self._splits: list[NDArray[np.uint8]] = []

    def add(self, hashes: NDArray[np.uint64], splits: NDArray[np.uint8]) -> None:
        """Take in rows by their contents' hashes, [N], and the codes of their splits, [N]."""
        self._keep(hashes, splits)
        while self._count > self._bound:
            self._bits += 1
            every, codes = self._all()
            self._hashes, self._splits, self._count = [], [], 0
            self._keep(every, codes)

    def result(self, *, divided: bool) -> Duplicates | None:
        """What was found; `divided`: the codes mean something. None of no rows."""
        if not self._count and not self._bits:
            return None
        hashes, codes = self._all()
        across = None
        if divided:
            of = {split: hashes[codes == code] for split, code in SPLIT_CODES.items()}
            across = {f"{later}-{earlier}": int(np.isin(of[later], of[earlier]).sum()) << self._bits for later, earlier in _PAIRS}
        repeated = len(hashes) - len(np.unique(hashes))
        return Duplicates(rows=repeated << self._bits, across_splits=across, exact=not self._bits)

    def _keep(self, hashes: NDArray[np.uint64], splits: NDArray[np.uint8]) -> None:
        if self._bits:
            kept = hashes & np.uint64((1 << self._bits) - 1) == 0
            hashes, splits = hashes[kept], splits[kept]
        self._hashes.append(hashes)
        self._splits.append(splits)
        self._count += len(hashes)

    def _all(self) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
        return np.concatenate(self._hashes or [np.zeros(0, np.uint64)]), np.concatenate(self._splits or [np.zeros(0, np.uint8)])
