"""Housekeeping: what killed processes left half-written, uploads that expired, and files of datasets and backbones that nobody needs any more."""

from __future__ import annotations

import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

import structlog

from headstart.blobs.atomic import TEMPORARY_PREFIX
from headstart.blobs.growing import BusyError
from headstart.blobs.local import LocalBlobs
from headstart.store import backbones, datasets, uploads
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
    expire_uploads(database, blobs, datetime.fromtimestamp(now, UTC))
    gone = [blobs.path(uploads.folder_key(upload_id)) for upload_id in _nobodys_uploads(database, blobs, now - UNNEEDED_SECONDS)]
    gone += [blobs.path(datasets.folder_key(dataset_id)) for dataset_id in _nobodys_datasets(database, blobs, now - UNFINISHED_SECONDS)]
    gone += [path for root in (blobs.root, cache) for path in _unfinished(root, now - UNFINISHED_SECONDS)]
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


def expire_uploads(database: Database, blobs: LocalBlobs, now: datetime) -> None:
    """Forget the resumable uploads that were not finished in time, and those that have become datasets; their files go too."""
    with database.read() as session:
        expired = uploads.expired_uploads(session, now=now)
    for upload_id in expired:
        try:
            with blobs.grow(uploads.file_key(upload_id)):  # nobody is adding to it
                _forget_upload(database, blobs, upload_id, now)
        except FileNotFoundError:
            _forget_upload(database, blobs, upload_id, now)
        except BusyError:
            continue


def _forget_upload(database: Database, blobs: LocalBlobs, upload_id: str, now: datetime) -> None:
    with database.write() as session:
        forgotten = uploads.forget_expired(session, upload_id, now=now)
    if forgotten:
        blobs.delete(uploads.folder_key(upload_id))
        log.info("upload_expired", upload_id=upload_id)


def _nobodys_uploads(database: Database, blobs: LocalBlobs, before: float) -> list[str]:
    """Files of uploads whose row was never written, or went without them, because a process was killed between the two."""
    old = _older(blobs, uploads.FOLDER, before)
    with database.read() as session:
        known = uploads.known_uploads(session, old)
    return [name for name in old if name not in known]


def _nobodys_datasets(database: Database, blobs: LocalBlobs, before: float) -> list[str]:
    """Files of datasets whose row was never written, or that were deleted while somebody was killed who still wrote to them."""
    old = _older(blobs, datasets.FOLDER, before)
    with database.read() as session:
        alive = datasets.all_alive(session) if old else set()
    return [name for name in old if name not in alive]


def _older(blobs: LocalBlobs, folder: str, before: float) -> list[str]:
    return [name for name in blobs.children(folder) if blobs.path(f"{folder}/{name}").stat().st_mtime < before]


def _unfinished(root: Path, before: float) -> list[Path]:
    return [path for path in root.rglob(f"{TEMPORARY_PREFIX}*") if path.lstat().st_mtime < before] if root.is_dir() else []
