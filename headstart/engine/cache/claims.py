"""Who computes which rows of a key, so that jobs that run at the same time compute each once.

A claim is a file of row prefixes on which whoever computes them holds a lock. When that process ends, however it ends, the kernel lets go of
the lock, and the claim says nothing any more. Claims are made one after the other, under a lock that is held for the blink of an eye.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from headstart.engine.cache.locks import Lock, hold, is_held

CLAIM = "claim-"
CLAIMING = "claiming.lock"


@dataclass(frozen=True, slots=True)
class Turn:
    """What a process may compute now, and whose claims stand in the way of the rest."""

    free: NDArray[np.bool_]  # [N]
    others: list[Path] = field(default_factory=list)

    def stands(self) -> bool:
        """Whether all that stood in the way does so still."""
        return all(is_held(path) for path in self.others)


@contextmanager
def claim(folder: Path, prefixes: NDArray[np.uint64]) -> Iterator[Turn]:
    """Claim those of these rows that nobody else computes, until the block ends.

    Args:
        folder: the key's, which is there, and in use.
        prefixes: of rows that differ, [N]. Should two begin alike, one may be waited for in vain; then it is claimed after all.
    """
    path, lock = folder / f"{CLAIM}{uuid.uuid4().hex}", None
    alone = hold(folder / CLAIMING, exclusive=True)
    if alone is None:
        yield Turn(np.zeros(len(prefixes), np.bool_), [folder / CLAIMING])
        return
    try:
        turn = _turn(folder, prefixes)
        if turn.free.any():
            lock = _write(path, prefixes[turn.free])
    finally:
        alone.release()
    try:
        yield turn
    finally:
        if lock is not None:
            path.unlink(missing_ok=True)
            lock.release()


def _turn(folder: Path, prefixes: NDArray[np.uint64]) -> Turn:
    free, others = np.ones(len(prefixes), np.bool_), []
    for path in folder.glob(f"{CLAIM}*"):
        left = hold(path, exclusive=True)
        if left is None:
            taken = np.isin(prefixes, _read(path))
            if taken.any():
                free &= ~taken
                others.append(path)
        else:  # its process has died, or is done and about to remove it
            path.unlink(missing_ok=True)
            left.release()
    return Turn(free, others)


def _write(path: Path, prefixes: NDArray[np.uint64]) -> Lock:
    lock = hold(path, exclusive=True)
    assert lock is not None  # noqa: S101 - nobody else knows this name
    prefixes.tofile(path)
    return lock


def _read(path: Path) -> NDArray[np.uint64]:
    try:
        return np.fromfile(path, np.uint64)
    except FileNotFoundError:  # done since
        return np.empty(0, np.uint64)
