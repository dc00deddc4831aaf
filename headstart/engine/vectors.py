"""Vectors of so many rows that they need not fit into memory: taken when they are asked for, walked piece by piece, kept on the disk.

Axes: N rows, D width, F numbers beside.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Rows = NDArray[np.int64]

PIECE_ROWS = 4096
"""Rows that are in memory at once; small enough for a processor's cache to hold most of them."""


class ByNumber(Protocol):
    """Vectors by row number: an array [N, D], or what takes or computes them."""

    def __getitem__(self, rows: Rows, /) -> Floats: ...
    def __len__(self) -> int: ...


class InOrder(Protocol):
    """Vectors that can be walked too, and cost nothing but the walk: an array [N, D], or what takes them from one."""

    def __getitem__(self, rows: Rows | slice, /) -> Floats: ...
    def __len__(self) -> int: ...


@dataclass(frozen=True, slots=True, eq=False)
class Chosen:
    """Some of the vectors, in an order of their own and without a copy, with numbers of their own beside them."""

    vectors: InOrder
    rows: Rows  # [N]
    beside: Floats | None = None  # [N, F]

    def __getitem__(self, rows: Rows | slice) -> Floats:
        taken = self.vectors[self.rows[rows]]
        return taken if self.beside is None else np.hstack([taken, self.beside[rows]])

    def __len__(self) -> int:
        return len(self.rows)


def all_of(vectors: InOrder) -> Floats:
    """In memory, [N, D]."""
    return vectors[:]


def width_of(vectors: InOrder) -> int:
    """D."""
    return int(vectors[:0].shape[1])


def slices_of(rows: int) -> Iterator[slice]:
    """So many rows in pieces of `PIECE_ROWS`."""
    for start in range(0, rows, PIECE_ROWS):
        yield slice(start, start + PIECE_ROWS)


def pieces(vectors: InOrder) -> Iterator[tuple[slice, Floats]]:
    """Where each piece lies, and its vectors; none of no rows."""
    for part in slices_of(len(vectors)):
        yield part, vectors[part]


def through(function: Callable[[Floats], NDArray[Any]], vectors: InOrder) -> NDArray[Any]:
    """What `function` gives for all vectors, [N, …], asked piece by piece."""
    return np.concatenate([function(piece) for _, piece in pieces(vectors)] or [function(vectors[:0])])


Keep = Callable[[Iterable[Floats], int], Floats]
"""(pieces [?, D] each, D) → all of them, one after the other."""


def in_memory(parts: Iterable[Floats], width: int) -> Floats:
    """A `Keep` for what is small."""
    return np.concatenate([np.empty((0, width), np.float32), *parts])


def on_disk(folder: Path) -> Keep:
    """A `Keep` in a file of `folder` that has no name: read from there as if it were in memory, and gone with the array, or with the process.

    Raises, when called:
        OSError: the disk is full or not writable.
    """

    def keep(parts: Iterable[Floats], width: int) -> Floats:
        folder.mkdir(parents=True, exist_ok=True)
        # written, then mapped: room that a map asks for where a disk has none ends the process
        with tempfile.TemporaryFile(dir=folder) as file:
            rows = 0
            for part in parts:
                file.write(np.ascontiguousarray(part, np.float32).reshape(-1).view(np.uint8).data)
                rows += len(part)
            file.flush()
            if rows * width == 0:  # nothing cannot be mapped
                return np.empty((rows, width), np.float32)
            return np.asarray(np.memmap(file, np.float32, "r", shape=(rows, width)))

    return keep
