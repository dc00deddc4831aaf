"""Which rows two tables share: by digests of their cells, in memory that grows with the number of rows and not with what is in them.

Axis legend: `N` rows of one table; a digest is 128 bits, held as two unsigned integers: uint64 [N, 2].
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headstart.data.table import TableReader
from headstart.specs.labels import normal_label

Digests = NDArray[np.uint64]
Rows = NDArray[np.uint32]
"""Numbers of rows, from 0, [N]."""

DIGEST_BYTES = 16


@dataclass(frozen=True, slots=True)
class Difference:
    """Rows by what became of them, in the order of the table they are in; pairs stand side by side, in the order of the later one.

    Attributes:
        added: only in the later table.
        removed: only in the earlier.
        changed: the same key, another content: earlier, later.
        unchanged: the same content: earlier, later.
    """

    added: Rows
    removed: Rows
    changed: tuple[Rows, Rows]
    unchanged: tuple[Rows, Rows]


def difference(before: Path, after: Path, columns: Sequence[str], key: str | None) -> Difference:
    """Compare the rows of two tables by the columns that both have.

    Rows are paired by key, or by content when there is none; of several that are equal the first goes with the first. A row without a
    key is paired by its content. Batches that stand unchanged at their place, most of them after an append or a replacement, are paired
    as they are.

    Args:
        columns: in both tables, one at least; their order does not matter to the result.
        key: one of them, or None.
    """
    same = _same_batches(before, after, columns)
    old, new = (_digested(path, columns, key, same) for path in (before, after))
    places = paired(old.keys, new.keys)
    equal = (old.contents[places[0]] == new.contents[places[1]]).all(axis=1)
    first, second = old.rows[places[0]], new.rows[places[1]]
    unchanged = np.concatenate([old.skipped, first[equal]]), np.concatenate([new.skipped, second[equal]])
    at = np.argsort(unchanged[1])
    return Difference(
        added=_without(new.count, new.skipped, second),
        removed=_without(old.count, old.skipped, first),
        changed=(first[~equal], second[~equal]),
        unchanged=(unchanged[0][at], unchanged[1][at]),
    )


def nothing_shared(before: int, after: int) -> Difference:
    """The difference of two tables, of so many rows, that have no column in common."""
    none = np.zeros(0, np.uint32)
    return Difference(np.arange(after, dtype=np.uint32), np.arange(before, dtype=np.uint32), (none, none), (none, none))


def _same_batches(before: Path, after: Path, columns: Sequence[str]) -> set[int]:
    """Numbers of the batches that hold the same rows at the same place in both tables."""
    same: set[int] = set()
    with TableReader(before) as old, TableReader(after) as new:
        for number, (one, other) in enumerate(zip(old.records(columns), new.records(columns), strict=False)):
            if one.num_rows != other.num_rows:
                break  # all that follow stand elsewhere
            if one.equals(other):
                same.add(number)
    return same


@dataclass(frozen=True, slots=True)
class _Digested:
    """A table's rows, as many as `count`: those that were `skipped`, and the digests of the others, `rows`."""

    count: int
    skipped: Rows
    rows: Rows
    contents: Digests
    keys: Digests


def _digested(path: Path, columns: Sequence[str], key: str | None, skip: Collection[int]) -> _Digested:
    contents, keys = bytearray(), bytearray()
    count, seen = 0, []
    with TableReader(path) as table:
        for number, record in enumerate(table.records(columns)):
            count += record.num_rows
            seen.append(np.full(record.num_rows, number not in skip))
            if number in skip:
                continue
            cells = [record.column(name).to_pylist() for name in columns]
            digests = _row_digests([_short(each) if name in table.media else each for name, each in zip(columns, cells, strict=True)])
            contents += b"".join(digests)
            if key is not None:
                keys += b"".join(_key_digest(cell, content) for cell, content in zip(cells[columns.index(key)], digests, strict=True))
    is_seen = np.concatenate(seen) if seen else np.zeros(0, bool)
    found = [np.frombuffer(each, np.uint64).reshape(-1, 2) for each in (contents, contents if key is None else keys)]
    return _Digested(count, np.flatnonzero(~is_seen).astype(np.uint32), np.flatnonzero(is_seen).astype(np.uint32), *found)


def _row_digests(columns: Sequence[Sequence[str | bytes | None]]) -> list[bytes]:
    """What Python writes of a row (`repr`) says all of it: where its cells begin, and which are missing."""
    return [_digest(repr(row).encode()) for row in zip(*columns, strict=True)]


def _short(files: Sequence[bytes | None]) -> list[bytes | None]:
    return [None if content is None else _digest(content) for content in files]


def _digest(content: bytes) -> bytes:
    return blake2b(content, digest_size=DIGEST_BYTES).digest()


def _key_digest(cell: str | None, content: bytes) -> bytes:
    """The key's digest, or where there is none the content's, digested again so that it is no key's."""
    return _digest(b"\0" + content) if cell is None else _digest(normal_label(cell).encode())


def paired(before: Digests, after: Digests) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pair equal digests, the n-th of one table with the n-th of the other.

    Returns:
        Places in each [P], in the order of the later table.
    """
    digest = np.concatenate([before, after])  # [N + M, 2]
    order = np.lexsort((digest[:, 1], digest[:, 0]))  # stable: in a group the earlier table comes first, and each in its order
    digest, later = digest[order], order >= len(before)
    fresh = np.ones(len(order), bool)  # where another digest begins
    fresh[1:] = (digest[1:] != digest[:-1]).any(axis=1)
    del digest
    begins = np.flatnonzero(fresh)
    group = np.cumsum(fresh) - 1
    sizes = np.diff(np.append(begins, len(order)))
    ours = sizes - np.add.reduceat(later, begins, dtype=np.int64) if len(begins) else sizes  # of the earlier table, by group
    rank = np.arange(len(order)) - begins[group] - np.where(later, ours[group], 0)
    kept = rank < np.minimum(ours, sizes - ours)[group]
    first, second = order[kept & ~later], order[kept & later] - len(before)
    at = np.argsort(second)
    return first[at], second[at]


def _without(count: int, *taken: Rows) -> Rows:
    free = np.ones(count, bool)
    for rows in taken:
        free[rows] = False
    return np.flatnonzero(free).astype(np.uint32)
