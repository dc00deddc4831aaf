"""The blob store in a local folder: immutable files and folders under slash-separated keys."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

from headstart.blobs.atomic import TEMPORARY_PREFIX, atomic_file, atomic_folder, sync_folder
from headstart.blobs.growing import Growing

_KEY = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)*")


class LocalBlobs:
    """Keys are made by Headstart (ids and digests), never from a user's words."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, key: str) -> Path:
        """The file or folder of `key`, to read or to map; it may be absent."""
        if not _KEY.fullmatch(key):
            raise ValueError(f"not a blob key: {key!r}")
        return self.root / key

    def exists(self, key: str) -> bool:
        return self.path(key).exists()

    def write(self, key: str) -> AbstractContextManager[BinaryIO]:
        """A file that appears under `key` when the block ends well."""
        return atomic_file(self.path(key))

    def write_folder(self, key: str) -> AbstractContextManager[Path]:
        """A folder that appears under `key` when the block ends well."""
        return atomic_folder(self.path(key))

    def grow(self, key: str) -> Growing:
        """The file of `key`, which is there, to add to; locked until it is closed."""
        return Growing(self.path(key))

    def link(self, key: str, to: str) -> None:
        """Give the file of `key` a second name, without a copy where the file system can; whichever goes, the other stays."""
        path, target = self.path(key), self.path(to)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, target)
        except OSError as error:
            if error.errno not in {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}:
                raise
            with open(path, "rb") as source, atomic_file(target) as copy:
                shutil.copyfileobj(source, copy, 2**20)
        sync_folder(target.parent)

    def delete(self, key: str) -> None:
        """Take `key` away at once; open maps of its files stay valid. Absent is fine."""
        path = self.path(key)
        if not path.exists():
            return
        doomed = path.parent / f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}"
        try:
            os.rename(path, doomed)
        except FileNotFoundError:
            return
        _remove(doomed)

    def move(self, key: str, to: str) -> None:
        """Give `key` its final name; when that is there already, it holds the same content and `key` goes."""
        path, target = self.path(key), self.path(to)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.rename(path, target)
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
            os.utime(target)  # it is wanted again
            self.delete(key)
        sync_folder(target.parent)

    def keep_only(self, key: str, name: str) -> None:
        """Of what lies in the folder `key`, unfinished files included, only `name` stays."""
        folder = self.path(key)
        for entry in list(folder.iterdir()) if folder.is_dir() else []:
            if entry.name != name:
                _remove(entry)

    def children(self, key: str) -> Iterator[str]:
        """The finished names directly below `key`."""
        folder = self.path(key)
        if folder.is_dir():
            yield from sorted(entry.name for entry in folder.iterdir() if not entry.name.startswith(TEMPORARY_PREFIX))


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def file_sha256(path: Path) -> str:
    """Hex digest of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
