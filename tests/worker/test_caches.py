"""What a worker tells of its feature cache: as it is now, with the rows that its jobs took from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from headstart.settings import Settings
from headstart.specs.ids import is_id
from headstart.store import caches
from headstart.store.database import Database
from tests.store.world import NOW
from worker.caches import CacheNotes, cache_id
from worker.messages import Message

SEEN: Message = {
    "say": "cache",
    "workspaces": {"ws_a": {"keys": 1, "bytes": 70}},
    "keys": {
        "aa": {
            "workspace": "ws_a",
            "backbone_sha256": "0" * 64,
            "boundary": "encoder.layer.5",
            "pooling": None,
            "dtype": "bfloat16",
            "storage": "bfloat16",
            "rows": 10,
            "bytes": 70,
            "last_used_at": NOW.isoformat(),
        }
    },
}


def done(workspace: str, computed: int, reused: int) -> Message:
    return {"say": "done", "workspace": workspace, "outcome": {"cache": {"rows_computed": computed, "rows_reused": reused}}}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, cache_bytes=2**20)


@pytest.fixture
def notes(settings: Settings, database: Database) -> CacheNotes:
    return CacheNotes(settings, database, now=NOW)


def view(database: Database, **options: Any) -> dict[str, Any]:
    with database.read() as session:
        return caches.view_caches(session, **{"only": None, **options}).model_dump(mode="json")


def test_rows_of_jobs_are_counted_by_workspace_since_the_start(notes: CacheNotes, database: Database, settings: Settings):
    for job in (done("ws_a", 10, 0), done("ws_a", 0, 30), done("ws_b", 5, 5), {"say": "done", "anatomy": {}}):
        notes.count(job)
    notes.tell(SEEN, now=NOW)
    seen = view(database)
    assert (seen["rows_computed"], seen["rows_reused"], seen["hit_rate"], seen["bytes"]) == (15, 35, 0.7, 70)
    assert (view(database, only="ws_b")["bytes"], view(database, only="ws_b")["hit_rate"]) == (0, 0.5)
    assert seen["budget_bytes"] == settings.cache_bytes
    assert [key["id"] for machine in seen["machines"] for key in machine["keys"]] == ["aa"]


def test_machine_whose_worker_starts_again_stays_one_machine_and_counts_anew(settings: Settings, database: Database):
    for computed in (10, 3):
        notes = CacheNotes(settings, database, now=NOW)
        notes.count(done("ws_a", computed, 0))
        notes.tell(SEEN, now=NOW)
    seen = view(database)
    assert len(seen["machines"]) == 1
    assert seen["rows_computed"] == 3


@pytest.mark.parametrize("content", [None, b"", b"\xff", b"cache_x", b"../../etc"])
def test_id_of_a_cache_is_made_once_and_mended_when_it_is_damaged(tmp_path: Path, content: bytes | None):
    if content is not None:
        (tmp_path / "id").write_bytes(content)
    made = cache_id(tmp_path)
    assert is_id(made, "cache")
    assert cache_id(tmp_path) == made


def test_cache_whose_folder_cannot_be_written_is_not_told_of_and_ends_nothing(notes: CacheNotes, database: Database, settings: Settings):
    settings.cache.write_text("in the way")
    notes.tell(SEEN, now=NOW)
    assert view(database)["machines"] == []
    settings.cache.unlink()
    notes.tell(SEEN, now=NOW)
    assert len(view(database)["machines"]) == 1
