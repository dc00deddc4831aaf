"""Housekeeping: what killed processes left half-written, and backbone files that nobody needs any more."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import structlog

from headstart.blobs.atomic import TEMPORARY_PREFIX
from headstart.blobs.local import LocalBlobs
from headstart.store import backbones
from headstart.store.database import Database

log = structlog.get_logger()

EVERY_SECONDS = 3600.0
UNFINISHED_SECONDS = 24 * 3600.0
"""A file that has been unfinished for so long never will be finished."""

UNNEEDED_SECONDS = 3600.0
"""Backbone files stay so long after they came, or were asked for again: a registration may just be finding them there."""


def tidy(database: Database, blobs: LocalBlobs, cache: Path, *, now: float | None = None) -> list[Path]:
    """Take away what is left over; gives what went. `now` is seconds since the epoch, as files have it."""
    now = time.time() if now is None else now
    gone = [path for root in (blobs.root, cache) for path in _unfinished(root, now - UNFINISHED_SECONDS)]
    with database.read() as session:
        for sha256 in blobs.children(backbones.FOLDER):
            folder = blobs.path(backbones.folder_key(sha256))
            if folder.stat().st_mtime < now - UNNEEDED_SECONDS and not backbones.files_needed(session, sha256):
                gone.append(folder)
    for path in gone:
        log.info("tidied", path=str(path))
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return gone


def _unfinished(root: Path, before: float) -> list[Path]:
    return [path for path in root.rglob(f"{TEMPORARY_PREFIX}*") if path.lstat().st_mtime < before] if root.is_dir() else []
