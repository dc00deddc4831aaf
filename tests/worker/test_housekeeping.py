"""What nobody needs goes, what anybody may still need stays."""

from __future__ import annotations

import os
import time
from pathlib import Path

from headstart.blobs.local import LocalBlobs
from headstart.store import backbones, datasets
from headstart.store.database import Database
from tests.store import world
from worker.housekeeping import UNFINISHED_SECONDS, UNNEEDED_SECONDS, tidy

SHA = "a" * 64


def backbone_files(blobs: LocalBlobs, sha256: str) -> Path:
    with blobs.write_folder(backbones.folder_key(sha256)) as folder:
        (folder / "config.json").write_text("{}")
    return blobs.path(backbones.folder_key(sha256))


def test_files_of_a_registered_backbone_stay_and_those_of_a_deleted_one_go_after_a_while(
    database: Database, blobs: LocalBlobs, tmp_path: Path
):
    folder = backbone_files(blobs, SHA)
    with database.write() as session:
        workspace = world.add_workspace(session)
        row = world.add_backbone(session, workspace, sha256=SHA)
    later = time.time() + UNNEEDED_SECONDS + 1
    assert tidy(database, blobs, tmp_path / "cache", now=later) == []
    with database.write() as session:
        backbones.delete_backbone(session, workspace, row.id, now=world.NOW)
    assert tidy(database, blobs, tmp_path / "cache") == []
    assert tidy(database, blobs, tmp_path / "cache", now=later) == [folder]
    assert not folder.exists()


def test_files_of_a_deleted_backbone_stay_while_a_model_is_served_from_them(database: Database, blobs: LocalBlobs, tmp_path: Path):
    folder = backbone_files(blobs, SHA)
    with database.write() as session:
        workspace = world.add_workspace(session)
        row = world.add_backbone(session, workspace, sha256=SHA)
        world.add_model(session, workspace, backbone=row)
        backbones.delete_backbone(session, workspace, row.id, now=world.NOW)
    assert tidy(database, blobs, tmp_path / "cache", now=time.time() + UNNEEDED_SECONDS + 1) == []
    assert folder.exists()


def test_files_of_datasets_that_are_no_rows_or_were_deleted_go_after_a_day(database: Database, blobs: LocalBlobs, tmp_path: Path):
    with database.write() as session:
        workspace = world.add_workspace(session)
        alive, deleted = (world.add_dataset(session, workspace).id for _ in range(2))
        datasets.delete_dataset(session, workspace, deleted, now=world.NOW)
    nobodys = datasets.new_dataset_id()
    for dataset_id in (alive, deleted, nobodys):
        with blobs.write(datasets.upload_key(dataset_id)) as file:
            file.write(b"rows")
    assert tidy(database, blobs, tmp_path / "cache") == []
    tidy(database, blobs, tmp_path / "cache", now=time.time() + UNFINISHED_SECONDS + 1)
    assert list(blobs.children(datasets.FOLDER)) == [alive]


def test_unfinished_files_of_killed_processes_go_and_young_ones_stay(database: Database, blobs: LocalBlobs, tmp_path: Path):
    old, young = tmp_path / "cache" / "a" / ".tmp-old", blobs.path("datasets") / ".tmp-young"
    for path in (old, young):
        path.parent.mkdir(parents=True)
        path.write_text("half")
    long_ago = time.time() - UNFINISHED_SECONDS - 1
    os.utime(old, (long_ago, long_ago))
    assert tidy(database, blobs, tmp_path / "cache") == [old]
    assert young.exists()
