"""What goes when the cache outgrows its budget, and what there is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from headstart.blobs.atomic import TEMPORARY_PREFIX
from headstart.engine.cache.locks import hold
from headstart.engine.cache.shards import record_of, take_away

IN_USE = "in-use.lock"
"""Whoever has a key open holds a shared lock on this file in its folder; its time is that of the last use."""

MOST_KEYS = 1_000
"""A survey tells this many keys, and of the others their size."""

log = structlog.get_logger()


def prune(root: Path, budget_bytes: int, *, keep: Path | None = None) -> int:
    """Take away whole keys, the least recently used first, until the rest fits the budget; gives the bytes that went.

    A key that any process has open stays.

    Args:
        keep: the folder of a key that stays too.
    """
    sizes = {folder: size_of(folder) for folder in _keys(root)}
    total, gone = sum(sizes.values()), 0
    for folder in sorted(sizes, key=_last_use):
        if total - gone <= budget_bytes:
            break
        if folder != keep and _evict(folder):
            gone += sizes[folder]
            log.info("cache_key_evicted", key=folder.name[:12], bytes=sizes[folder])
    return gone


def total_bytes(root: Path) -> int:
    return sum(size_of(folder) for folder in _keys(root))


def size_of(folder: Path) -> int:
    """Bytes of all files below a folder; what goes meanwhile does not count."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total


def shard_folders(folder: Path) -> list[Path]:
    """The finished shards of a key."""
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(TEMPORARY_PREFIX))
    except FileNotFoundError:
        return []


def survey(root: Path) -> dict[str, Any]:
    """What there is, as plain JSON: by workspace how much, and the keys that were used last, each with what it stands for.

    Returns:
        `workspaces`: {id: {"keys", "bytes"}}; `keys`: {digest: {…}}, the last used first. A key none of whose records can be read is passed over.
    """
    workspaces: dict[str, dict[str, int]] = {}
    keys: dict[str, dict[str, Any]] = {}
    for folder in sorted(_keys(root), key=_last_use, reverse=True):
        records = [record for path in shard_folders(folder) if (record := record_of(path)) is not None]
        about: dict[str, Any] = next((record["key"] for record in records if isinstance(record.get("key"), dict)), {})
        workspace = about.get("workspace")
        if not isinstance(workspace, str):
            continue
        size = size_of(folder)
        counts = workspaces.setdefault(workspace, {"keys": 0, "bytes": 0})
        counts["keys"] += 1
        counts["bytes"] += size
        if len(keys) < MOST_KEYS:
            used = datetime.fromtimestamp(_last_use(folder), UTC).isoformat()
            told = {name: about.get(name) for name in ("backbone_sha256", "boundary", "pooling", "dtype", "storage")}
            rows = sum(record["rows"] for record in records if isinstance(record.get("rows"), int))
            keys[folder.name] = {"workspace": workspace, **told, "rows": rows, "bytes": size, "last_used_at": used}
    return {"workspaces": workspaces, "keys": keys}


def _keys(root: Path) -> Iterator[Path]:
    groups = [group for group in root.iterdir() if len(group.name) == 2] if root.is_dir() else []
    for group in groups:
        yield from (folder for folder in group.iterdir() if folder.is_dir() and not folder.name.startswith(TEMPORARY_PREFIX))


def _last_use(folder: Path) -> float:
    """Seconds since the epoch; 0 of a folder that has gone meanwhile."""
    for path in (folder / IN_USE, folder):
        try:
            return path.stat().st_mtime
        except FileNotFoundError:
            continue
    return 0.0


def _evict(folder: Path) -> bool:
    """Whether the key was there, in nobody's use, and went."""
    try:
        lock = hold(folder / IN_USE, exclusive=True)
    except FileNotFoundError:
        return False
    if lock is None:
        return False
    take_away(folder)  # under the lock: who opens it now finds another file at its place, and begins anew
    lock.release()
    return True
