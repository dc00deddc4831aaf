"""Where each row lies among the shards: 24 bytes a row, whatever the width.

Axes: N rows asked for, M rows of all shards, S shards.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from headstart.engine.cache.shards import Shard

Rows = NDArray[np.uint8]
"""sha256 of each row's content, [N, 32]."""


class Index:
    """Rows by the first 8 bytes of their digests; the whole digest is compared where it stands, in its shard."""

    def __init__(self, shards: Sequence[Shard]) -> None:
        self._shards = shards
        self._starts = np.cumsum([0, *(len(shard.rows) for shard in shards)])  # [S + 1]
        firsts = np.concatenate([np.empty(0, np.uint64), *(prefixes(shard.rows) for shard in shards)])  # [M]
        self._order = np.argsort(firsts, kind="stable")
        self._sorted = firsts[self._order]

    def locate(self, rows: Rows) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
        """(number of the shard [N], place in it [N], found [N]); the first two say nothing where a row was not found."""
        shard_of, place = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.int64)
        found = np.zeros(len(rows), np.bool_)
        wanted = prefixes(rows)
        nearest = np.searchsorted(self._sorted, wanted)
        open_ = np.arange(len(rows))
        while True:
            open_ = open_[nearest[open_] < len(self._sorted)]
            open_ = open_[self._sorted[nearest[open_]] == wanted[open_]]
            if not len(open_):
                return shard_of, place, found
            at = self._order[nearest[open_]]
            shard_of[open_] = np.searchsorted(self._starts, at, side="right") - 1
            place[open_] = at - self._starts[shard_of[open_]]
            for number, positions in by_shard(shard_of, open_):
                found[positions] = (self._shards[number].rows[place[positions]] == rows[positions]).all(axis=1)
            open_ = open_[~found[open_]]  # other digests with the same first bytes, if any, stand next to it
            nearest[open_] += 1


def by_shard(shard_of: NDArray[np.int64], positions: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """`positions` in groups of one shard each, in time that does not grow with the number of shards."""
    if not len(positions):
        return
    ordered = positions[np.argsort(shard_of[positions], kind="stable")]
    numbers, starts = np.unique(shard_of[ordered], return_index=True)
    for number, group in zip(numbers, np.split(ordered, starts[1:]), strict=True):
        yield int(number), group


def prefixes(rows: Rows) -> NDArray[np.uint64]:
    """The first 8 bytes of each digest as a number, [N]."""
    return np.ascontiguousarray(rows[:, :8]).view(np.uint64).reshape(-1)


def distinct(rows: Rows) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions of the first of each of these rows, [D] in their order, and for every row which of them it equals, [N]."""
    whole = np.ascontiguousarray(rows).view("V32").reshape(-1)
    _, firsts, which = np.unique(whole, return_index=True, return_inverse=True)
    order = np.argsort(firsts)
    return firsts[order], np.argsort(order)[which]
