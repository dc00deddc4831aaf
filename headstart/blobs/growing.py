"""Files that grow at their end over many requests: what is on the disk is the truth, and one process at a time may add to it.

The lock is the kernel's (flock), so that every process which sees the folder respects it, and none that was killed leaves it behind.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

SYNC_BYTES = 64 * 2**20
"""After so many the disk is waited for, so that what a power cut takes stays small, and the last wait short."""


class BusyError(Exception):
    """Somebody else is adding to the file."""


class Growing:
    """A file that is there, open at its end and locked until it is closed. Its methods block.

    Raises:
        FileNotFoundError: it is not there, or no longer.
        BusyError: it is locked.
    """

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_RDWR | os.O_APPEND)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not self.is_there:  # it was taken away between the two
                raise FileNotFoundError(path)
        except BlockingIOError:
            os.close(self._handle)
            raise BusyError from None
        except BaseException:
            os.close(self._handle)
            raise
        self.size = self._synced = os.fstat(self._handle).st_size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        os.close(self._handle)

    @property
    def is_there(self) -> bool:
        """Whether the file still has a name; one that was deleted takes what is added to it along."""
        return os.fstat(self._handle).st_nlink > 0

    def add(self, data: bytes) -> None:
        """Write at the end. When the disk is full, what went in before stays, and `size` counts it.

        Raises:
            OSError: the disk refuses.
        """
        left = memoryview(data)
        while left:
            written = os.write(self._handle, left)
            self.size += written
            left = left[written:]
        if self.size - self._synced >= SYNC_BYTES:
            self.sync()

    def sync(self) -> None:
        """Wait until all of it is on the disk.

        Raises:
            OSError: it did not get there; the file ends where it was synced before, for nobody knows what became of the rest.
        """
        try:
            os.fdatasync(self._handle)
        except OSError:
            self.cut(self._synced)
            raise
        self._synced = self.size

    def cut(self, size: int) -> None:
        """Take back what was added after the first `size` bytes."""
        os.ftruncate(self._handle, size)
        os.fsync(self._handle)
        self.size = self._synced = size


def synced_size(path: Path) -> int:
    """Bytes of a file that are on the disk: a writer that was killed may have left some that the kernel still holds.

    Raises:
        FileNotFoundError: there is no such file.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fdatasync(handle)
        return os.fstat(handle).st_size
    finally:
        os.close(handle)
