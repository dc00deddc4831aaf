"""Locks that the kernel gives back when whoever held them dies: flock on a file, never waited for."""

from __future__ import annotations

import fcntl
import os
import weakref
from pathlib import Path


class Lock:
    """A lock that is held until `release`, or until nothing refers to it any more."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._close = weakref.finalize(self, os.close, descriptor)

    def release(self) -> None:
        self._close()

    def is_of(self, path: Path) -> bool:
        """Whether the file that is locked is the one at `path` now."""
        try:
            return os.path.samestat(os.fstat(self._descriptor), path.stat())
        except FileNotFoundError:
            return False

    def turn(self, *, exclusive: bool) -> bool:
        """Make a shared lock exclusive or an exclusive one shared; False when others are in the way, and then nothing is held any more."""
        return _lock(self._descriptor, exclusive=exclusive)


def hold(path: Path, *, exclusive: bool) -> Lock | None:
    """A lock on the file at `path`, made if it is not there; None when a lock of somebody else is in the way.

    Raises:
        FileNotFoundError: its folder is not there.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        if not _lock(descriptor, exclusive=exclusive):
            os.close(descriptor)
            return None
        lock = Lock(descriptor)
        if lock.is_of(path):
            return lock
        lock.release()  # the file was taken away between the two: this lock would bind nobody


def is_held(path: Path) -> bool:
    """Whether anybody holds a lock on the file at `path`."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        return not _lock(descriptor, exclusive=True)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, *, exclusive: bool) -> bool:
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
