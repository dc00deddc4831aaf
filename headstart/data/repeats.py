"""Which rows say the same as others, and whether such rows lie in different splits."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from headstart.specs.datasets import SPLITS, Duplicates

SPLIT_CODES = {split: code for code, split in enumerate(SPLITS, 1)}
"""0 is a row of no split."""
_CODE_BITS, _CODES = np.uint64(2), np.uint64(3)
"""The lowest bits of a key are a row's split, those above are of its content's hash."""
_PAIRS = (("validation", "train"), ("test", "train"), ("test", "validation"))


def hashes_of(digests: Iterable[bytes]) -> NDArray[np.uint64]:
    """Digests of eight bytes as numbers, [N]."""
    return np.frombuffer(b"".join(digests), np.uint64)


class Repeats:
    """Counts rows whose content came before: exactly up to `bound` rows, then as long as contents are fewer, then from a sample of contents.

    Source: Flajolet, "On adaptive sampling" (1990), as for the number of different values: contents whose hashes end in `bits` zeros
    are kept with the counts of their rows, half as many whenever they are too many. Rows themselves are not what is bounded: one content
    that most rows have would leave none.
    """

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._bits = 0
        self._held = 0
        self._keys: list[NDArray[np.uint64]] = []
        self._counts: list[NDArray[np.uint32]] = []

    def add(self, hashes: NDArray[np.uint64], splits: NDArray[np.uint8]) -> None:
        """Take in rows by their contents' hashes, [N], and the codes of their splits, [N]."""
        self._keep(hashes << _CODE_BITS | splits, np.ones(len(hashes), np.uint32))
        if self._held <= self._bound:
            return
        keys, counts = self._gathered()
        most = max(self._bound * 3 // 4, 1)  # with room for new rows, else each batch would sort them all anew
        while True:
            self._keys, self._counts, self._held = [], [], 0
            self._keep(keys, counts)
            if self._held <= most:
                return
            self._bits += 1

    def result(self, *, divided: bool) -> Duplicates | None:
        """What was found; `divided`: the codes mean something. None of no rows."""
        if not self._held and not self._bits:
            return None
        keys, counts = self._gathered()
        contents, codes = keys >> _CODE_BITS, keys & _CODES
        across = None
        if divided:
            of = {split: codes == code for split, code in SPLIT_CODES.items()}
            across = {
                f"{later}-{earlier}": int(counts[of[later]][np.isin(contents[of[later]], contents[of[earlier]])].sum()) << self._bits
                for later, earlier in _PAIRS
            }
        repeated = int(counts.sum()) - len(np.unique(contents))
        return Duplicates(rows=repeated << self._bits, across_splits=across, exact=not self._bits)

    def _keep(self, keys: NDArray[np.uint64], counts: NDArray[np.uint32]) -> None:
        if self._bits:
            kept = (keys >> _CODE_BITS) & np.uint64((1 << self._bits) - 1) == 0
            keys, counts = keys[kept], counts[kept]
        self._keys.append(keys)
        self._counts.append(counts)
        self._held += len(keys)

    def _gathered(self) -> tuple[NDArray[np.uint64], NDArray[np.uint32]]:
        """Different keys, ascending, and the rows of each."""
        every = np.concatenate(self._keys or [np.zeros(0, np.uint64)])
        rows = np.concatenate(self._counts or [np.zeros(0, np.uint32)])
        keys, places = np.unique(every, return_inverse=True)
        return keys, np.bincount(places, rows, len(keys)).astype(np.uint32)
