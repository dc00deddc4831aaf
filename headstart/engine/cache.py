"""The feature cache: what the prefix gave for each row, kept so that no job computes it twice.

`root/<key[:2]>/<key>/<shard>/` holds `values.safetensors` and `shard.json`. A key names everything the numbers depend on, the workspace
first, so that nobody can tell from speed or content what another workspace has. Shards are immutable: they appear whole by one rename
and are never rewritten, so any number of processes may append to one key. A shard's size and sha256 are checked before it is mapped.

A shard's tensors: `rows` uint8 [N, 32], sha256 of each row's content; `offsets` int64 [N + 1] into `values` [sum of lengths, D], where a
pooled row has length 1.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import structlog
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from headstart.blobs.atomic import TEMPORARY_PREFIX, atomic_folder

FORMAT = 1
VALUES = "values.safetensors"
RECORD = "shard.json"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheKey:
    """All that features depend on besides the row itself."""

    workspace: str
    backbone_sha256: str
    boundary: str
    pooling: str | None
    preprocessing: str
    dtype: str
    device: str
    torch: str
    transformers: str
    format: int = FORMAT

    def digest(self) -> str:
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class _Shard:
    rows: NDArray[np.uint8]  # [N, 32]
    offsets: NDArray[np.int64]  # [N + 1]
    values: Tensor  # [sum of lengths, D]


class FeatureCache:
    """The shards of one key, as they were when it was opened, and those appended through it since."""

    def __init__(self, root: Path, key: CacheKey) -> None:
        self.key = key
        self.folder = root / key.digest()[:2] / key.digest()
        self.damaged = 0
        """Shards that were found damaged and taken away."""
        self._shards: list[_Shard] = []
        if self.folder.is_dir():
            os.utime(self.folder)  # used now: `prune` takes the least recently used first
            for path in sorted(self.folder.iterdir()):
                if not path.name.startswith(TEMPORARY_PREFIX):
                    self._open(path)
        self._indexed = -1

    def _open(self, path: Path) -> None:
        try:
            self._shards.append(_read_shard(path))
        except _Damaged as fault:
            log.warning("cache_shard_damaged", shard=path.name, key=self.key.digest()[:12], reason=str(fault))
            self.damaged += 1
            _take_away(path)
        except FileNotFoundError:
            return  # taken away by another process since the folder was listed

    def _build_index(self) -> None:
        self._indexed = len(self._shards)
        self._rows = np.concatenate([np.empty((0, 32), np.uint8), *(shard.rows for shard in self._shards)])  # [M, 32]
        sizes = [len(shard.rows) for shard in self._shards]
        self._shard_of = np.repeat(np.arange(len(sizes)), sizes)  # [M]
        self._place_in = np.concatenate([np.empty(0, np.int64), *(np.arange(size) for size in sizes)])  # [M]
        prefixes = _prefixes(self._rows)
        self._order = np.argsort(prefixes, kind="stable")
        self._sorted = prefixes[self._order]

    def lookup(self, rows: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """What is known of these rows.

        Args:
            rows: sha256 of each row's content, uint8 [N, 32].

        Returns:
            Values, float32 [N, D], zeros where nothing is known (D is 0 while the cache is empty), and which rows were found, bool [N].
        """
        if self._indexed != len(self._shards):
            self._build_index()
        at, found = self._locate(rows)
        width = int(self._shards[0].values.shape[1]) if self._shards else 0
        values = np.zeros((len(rows), width), np.float32)
        for number in np.unique(self._shard_of[at[found]]):
            wanted = np.flatnonzero(found & (self._shard_of[at] == number))
            shard = self._shards[number]
            places = torch.from_numpy(shard.offsets[self._place_in[at[wanted]]])
            values[wanted] = shard.values[places].float().numpy()
        return values, found

    def find(self, rows: NDArray[np.uint8]) -> list[Tensor | None]:
        """What is known of each of these rows when a row has one vector for each token: [T, D] mapped from the disk, None if unknown."""
        if self._indexed != len(self._shards):
            self._build_index()
        at, found = self._locate(rows)
        known: list[Tensor | None] = [None] * len(rows)
        for row in np.flatnonzero(found):
            shard, place = self._shards[self._shard_of[at[row]]], self._place_in[at[row]]
            known[row] = shard.values[shard.offsets[place] : shard.offsets[place + 1]]
        return known

    def _locate(self, rows: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Positions in the index by the first 8 bytes, then the whole digest compared: a clash of 8 bytes is a row not found."""
        if not len(self._rows):
            return np.zeros(len(rows), np.int64), np.zeros(len(rows), np.bool_)
        nearest = np.minimum(np.searchsorted(self._sorted, _prefixes(rows)), len(self._sorted) - 1)
        at = self._order[nearest]
        return at, (self._rows[at] == rows).all(axis=1)

    def append(self, rows: NDArray[np.uint8], values: NDArray[np.float32], lengths: NDArray[np.int64] | None = None) -> None:
        """Keep the values of these rows, durably, in a shard of their own.

        Args:
            rows: uint8 [N, 32].
            values: float32 [sum of lengths, D].
            lengths: vectors of each row, [N]; None: one each.

        Raises:
            OSError: the disk is full or not writable; nothing is kept of these rows then.
        """
        if not len(rows):
            return
        rows = np.array(rows)  # a copy: what the caller has may be read-only, or change
        tensors = {
            "rows": torch.from_numpy(rows),
            "offsets": torch.from_numpy(np.concatenate([[0], np.cumsum(np.ones(len(rows), np.int64) if lengths is None else lengths)])),
            "values": torch.from_numpy(np.array(values)),
        }
        content = save(tensors)
        record = {
            "key": asdict(self.key),
            "rows": len(rows),
            "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        path = self.folder / uuid.uuid4().hex
        with atomic_folder(path) as folder:
            (folder / VALUES).write_bytes(content)
            (folder / RECORD).write_text(json.dumps(record, sort_keys=True, indent=1))
        self._open(path)  # mapped from the disk: no second copy stays in memory


def prune(root: Path, budget_bytes: int, *, keep: Path) -> int:
    """Take away whole keys, the least recently used first, until the rest fits the budget; gives the bytes that went.

    Args:
        keep: the folder of the key that is in use here. Others that are in use stay readable: their maps outlive their names.
    """
    folders = [folder for group in root.iterdir() if len(group.name) == 2 for folder in group.iterdir() if folder.is_dir()]
    sizes = {folder: sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) for folder in folders}
    total, gone = sum(sizes.values()), 0
    for folder in sorted(sizes, key=lambda each: each.stat().st_mtime):
        if total - gone <= budget_bytes:
            break
        if folder != keep:
            _take_away(folder)
            gone += sizes[folder]
            log.info("cache_key_evicted", key=folder.name[:12], bytes=sizes[folder])
    return gone


class _Damaged(Exception):
    """A shard that is not what was written."""


def _read_shard(path: Path) -> _Shard:
    record = _read_record(path / RECORD)
    with open(path / VALUES, "rb") as file:
        if os.fstat(file.fileno()).st_size != record.get("bytes"):
            raise _Damaged("size")
        if hashlib.file_digest(file, "sha256").hexdigest() != record.get("sha256"):
            raise _Damaged("sha256")
    try:
        with safe_open(path / VALUES, framework="pt") as tensors:
            rows, offsets, values = (tensors.get_tensor(name) for name in ("rows", "offsets", "values"))
    except SafetensorError as fault:
        raise _Damaged("format") from fault
    if len(offsets) != len(rows) + 1 or int(offsets[0]) != 0 or int(offsets[-1]) != len(values) or bool((offsets.diff() < 1).any()):
        raise _Damaged("shape")
    return _Shard(rows.numpy(), offsets.numpy(), values)


def _read_record(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as fault:
        raise _Damaged("record") from fault
    if not isinstance(record, dict):
        raise _Damaged("record")
    return record


def _take_away(path: Path) -> None:
    doomed = path.parent / f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}"
    try:
        os.rename(path, doomed)
    except OSError:
        return  # another process was first, or the disk is read-only; a damaged shard is never used either way
    shutil.rmtree(doomed, ignore_errors=True)


def _prefixes(rows: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """The first 8 bytes of each digest as a number, [N]."""
    return np.ascontiguousarray(rows[:, :8]).view(np.uint64).reshape(-1)
