"""Uploads that nobody finishes go with their files, and none that somebody still sends."""

from __future__ import annotations

import os
import time
from datetime import timedelta
from pathlib import Path

from headstart.blobs.local import LocalBlobs
from headstart.store import uploads
from headstart.store.database import Database
from headstart.store.tables import Upload
from tests.store import world
from worker.housekeeping import UNNEEDED_SECONDS, expire_uploads, tidy


def an_upload(database: Database, blobs: LocalBlobs, workspace: str) -> str:
    with database.write() as session:
        upload_id = world.add_upload(session, workspace).id
    with blobs.write(uploads.file_key(upload_id)) as file:
        file.write(b"half")
    return upload_id


def left(database: Database, blobs: LocalBlobs, *upload_ids: str) -> list[tuple[bool, bool]]:
    """Of each, whether there is a row, and a file."""
    with database.read() as session:
        return [(session.get(Upload, each) is not None, blobs.exists(uploads.folder_key(each))) for each in upload_ids]


def test_an_expired_upload_goes_with_its_file_and_one_that_is_being_sent_does_not(database: Database, blobs: LocalBlobs):
    with database.write() as session:
        workspace = world.add_workspace(session)
    idle, busy = an_upload(database, blobs, workspace), an_upload(database, blobs, workspace)
    expire_uploads(database, blobs, world.LATER - timedelta(seconds=1))
    assert left(database, blobs, idle, busy) == [(True, True), (True, True)]
    with blobs.grow(uploads.file_key(busy)):
        expire_uploads(database, blobs, world.LATER)
        assert left(database, blobs, idle, busy) == [(False, False), (True, True)]
    expire_uploads(database, blobs, world.LATER)
    assert left(database, blobs, busy) == [(False, False)]


def test_an_upload_that_has_become_a_dataset_is_forgotten_in_time(database: Database, blobs: LocalBlobs):
    with database.write() as session:
        workspace = world.add_workspace(session)
        upload = world.add_upload(session, workspace, dataset=world.add_dataset(session, workspace))
    expire_uploads(database, blobs, world.LATER)
    assert left(database, blobs, upload.id) == [(False, False)]


def test_files_without_a_row_go_after_a_while(database: Database, blobs: LocalBlobs, tmp_path: Path):
    orphan, young = uploads.new_upload_id(), uploads.new_upload_id()
    for upload_id in (orphan, young):
        with blobs.write(uploads.file_key(upload_id)):
            pass
    with database.write() as session:
        known = world.add_upload(session, world.add_workspace(session), expires_at=world.NOW + timedelta(days=10_000)).id
    with blobs.write(uploads.file_key(known)):
        pass
    long_ago = time.time() - UNNEEDED_SECONDS - 1
    for upload_id in (orphan, known):
        os.utime(blobs.path(uploads.folder_key(upload_id)), (long_ago, long_ago))
    assert tidy(database, blobs, tmp_path / "cache") == [blobs.path(uploads.folder_key(orphan))]
    assert left(database, blobs, orphan, young, known) == [(False, False), (False, True), (True, True)]
