"""Shards: some rows' features in one immutable file, with a record of its size and sha256.

Tensors of a shard: `rows` uint8 [N, 32], sha256 of each row's content; `offsets` int64 [N + 1] into `values` [sum of lengths, D], where a
pooled row has length 1. `values` is what the key's `storage` says.

Sizes and shape are checked whenever a shard is opened, because a file that is shorter than its map ends the process. The sha256 is checked
before the first value is taken out of it, once in the life of a process: it reads the whole file, and an open key may hold gigabytes of which
a job needs a part. A file that was changed since has another identity, and is checked again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from torch import Tensor

from headstart.blobs.atomic import TEMPORARY_PREFIX, atomic_folder
from headstart.engine.cache.keys import CacheKey

VALUES = "values.safetensors"
RECORD = "shard.json"

Identity = tuple[int, int, int, int, int]
"""Device, inode, size, and the times of the last change of content and of status: what changes when a file does."""

YOUNG_NS = 2_000_000_000
"""A file so young may change again without another time: file systems count in steps of up to two seconds."""

_STORED = {"float32": ("F32", 4), "bfloat16": ("BF16", 2)}
"""safetensors' name and the bytes of one value."""

_checked: set[Identity] = set()


class Damaged(Exception):
    """A shard that is not what was written."""


@dataclass(slots=True, eq=False)
class Shard:
    """An open shard, mapped from the disk."""

    path: Path
    rows: NDArray[np.uint8]  # [N, 32]
    offsets: NDArray[np.int64]  # [N + 1]
    values: Tensor  # [sum of lengths, D]
    sha256: str
    identity: Identity
    used: bool = False
    """Whether anything was taken out of it; then its sha256 was checked."""

    @property
    def bytes(self) -> int:
        return self.identity[2]

    def use(self) -> None:
        """Before the first value is taken: check the whole of it.

        Raises:
            Damaged: it is not what was written.
            FileNotFoundError: it was taken away before it could be checked.
        """
        if self.used:
            return
        if self.identity not in _checked:
            with open(self.path / VALUES, "rb") as file:
                if _identity(file.fileno()) != self.identity:
                    raise Damaged("changed")
                if hashlib.file_digest(file, "sha256").hexdigest() != self.sha256:
                    raise Damaged("sha256")
            if time.time_ns() - max(self.identity[3:]) > YOUNG_NS:
                _checked.add(self.identity)
        self.used = True


def read_shard(path: Path) -> Shard:
    """Map a shard; its sha256 is not checked yet.

    Raises:
        Damaged: its size or its shape is not what was written.
        FileNotFoundError: another process has taken it away.
    """
    record = _read_record(path / RECORD)
    sha256 = record.get("sha256")
    with open(path / VALUES, "rb") as file:
        identity = _identity(file.fileno())
    if identity[2] != record.get("bytes") or not isinstance(sha256, str):
        raise Damaged("size")
    try:
        with safe_open(path / VALUES, framework="pt") as tensors:
            rows, offsets, values = (tensors.get_tensor(name) for name in ("rows", "offsets", "values"))
    except SafetensorError as fault:
        raise Damaged("format") from fault
    if not _fits(rows, offsets, values):
        raise Damaged("shape")
    return Shard(path, rows.numpy(), offsets.numpy(), values, sha256, identity)


def write_shard(
    path: Path, key: CacheKey, rows: NDArray[np.uint8], pieces: Sequence[NDArray[np.float32]], lengths: NDArray[np.int64]
) -> int:
    """Write a shard whole and durably, piece by piece so that no second copy stands in memory; gives its size.

    Args:
        pieces: float32 [?, D] each; one after the other they are the values.
    """
    digest, size = hashlib.sha256(), 0
    with atomic_folder(path) as folder:
        with open(folder / VALUES, "xb") as file:
            for block in _blocks(key.storage, rows, pieces, lengths):
                digest.update(block)
                size += file.write(block)
        record = {"key": asdict(key), "rows": len(rows), "bytes": size, "sha256": digest.hexdigest()}
        (folder / RECORD).write_text(json.dumps(record, sort_keys=True, indent=1))
    return size


def take_away(path: Path) -> None:
    """Remove a folder at once and whole: what is mapped from it stays readable."""
    doomed = path.parent / f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}"
    try:
        os.rename(path, doomed)
    except OSError:
        return  # another process was first, or the disk is read-only; a damaged shard is never used either way
    shutil.rmtree(doomed, ignore_errors=True)


def record_of(path: Path) -> dict[str, Any] | None:
    """What a shard says of itself, unchecked; None when it says nothing that can be read."""
    try:
        return _read_record(path / RECORD)
    except (OSError, Damaged):
        return None


def _blocks(
    storage: str, rows: NDArray[np.uint8], pieces: Sequence[NDArray[np.float32]], lengths: NDArray[np.int64]
) -> Iterator[bytes | memoryview]:
    """The file's bytes, as https://github.com/huggingface/safetensors#format lays them out."""
    name, width = _STORED[storage]
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths, dtype=np.int64)])
    total, dimension = int(offsets[-1]), pieces[0].shape[1]
    ends = np.cumsum([offsets.nbytes, total * dimension * width, rows.nbytes]).tolist()
    header = {
        "offsets": {"dtype": "I64", "shape": [len(offsets)], "data_offsets": [0, ends[0]]},
        "values": {"dtype": name, "shape": [total, dimension], "data_offsets": [ends[0], ends[1]]},
        "rows": {"dtype": "U8", "shape": [len(rows), 32], "data_offsets": [ends[1], ends[2]]},
    }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # so that the tensors are aligned
    yield len(text).to_bytes(8, "little") + text
    yield _bytes(offsets)
    for piece in pieces:
        yield _bytes(np.ascontiguousarray(piece) if width == 4 else torch.tensor(piece).to(torch.bfloat16).view(torch.int16).numpy())
    yield _bytes(np.ascontiguousarray(rows))


def _bytes(array: NDArray[Any]) -> memoryview:
    return array.reshape(-1).view(np.uint8).data


def _fits(rows: Tensor, offsets: Tensor, values: Tensor) -> bool:
    if rows.dtype != torch.uint8 or offsets.dtype != torch.int64 or (rows.ndim, offsets.ndim, values.ndim) != (2, 1, 2):
        return False
    if rows.shape[1] != 32 or len(offsets) != len(rows) + 1:
        return False
    return int(offsets[0]) == 0 and int(offsets[-1]) == len(values) and not bool((offsets.diff() < 1).any())


def _identity(descriptor: int) -> Identity:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _read_record(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as fault:
        raise Damaged("record") from fault
    if not isinstance(record, dict):
        raise Damaged("record")
    return record
