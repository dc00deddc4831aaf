"""Uploads as rows: who may have how many, and that one becomes one dataset."""

from __future__ import annotations

from functools import partial

import pytest
from sqlalchemy import event
from sqlalchemy.orm import Session

from headstart.errors import BadInput, Conflict, NotFound, Overloaded
from headstart.specs.datasets import Parent
from headstart.store import datasets, uploads
from headstart.store.database import Database
from headstart.store.tables import Upload
from tests.store.world import LATER, NOW, add_dataset, add_upload, add_workspace, at_once


def create(session: Session, workspace: str, *, size_bytes: int = 10, max_open: int = 3, max_open_bytes: int = 100) -> str:
    return uploads.create_upload(
        session,
        upload_id=uploads.new_upload_id(),
        workspace_id=workspace,
        size_bytes=size_bytes,
        about="",
        max_open=max_open,
        max_open_bytes=max_open_bytes,
        expires_at=LATER,
        now=NOW,
    ).id


def test_announcements_at_once_are_no_more_than_are_allowed(database: Database):
    with database.write() as session:
        workspace = add_workspace(session)
    results = at_once(database, *[partial(create, workspace=workspace)] * 8)
    assert [type(result) for result in results if isinstance(result, Exception)] == [Overloaded] * 5
    with database.read() as session:
        assert len(uploads.list_uploads(session, workspace, limit=10, after=None, now=NOW)[0]) == 3


def test_only_what_is_open_counts(database: Database):
    with database.write() as session:
        workspace = add_workspace(session)
        add_upload(session, workspace, size_bytes=60, dataset=add_dataset(session, workspace))
        add_upload(session, workspace, size_bytes=60, expires_at=NOW)
        create(session, workspace, size_bytes=60)
        with pytest.raises(Overloaded, match="1 uploads are open, of 60 bytes"):
            create(session, workspace, size_bytes=41)
        create(session, workspace, size_bytes=40)


def test_two_that_want_one_upload_at_once_do_not_both_get_it(database: Database):
    with database.write() as session:
        workspace = add_workspace(session)
        upload_id = add_upload(session, workspace).id

    def use(session: Session) -> str:
        held = uploads.hold_upload(session, workspace, upload_id, pointer="/upload", now=NOW)
        dataset = add_dataset(session, workspace, ready=False)
        uploads.use_upload(session, held, dataset.id)
        return dataset.id

    results = at_once(database, *[use] * 4)
    (winner,) = [result for result in results if isinstance(result, str)]
    assert [type(result) for result in results if isinstance(result, Exception)] == [Conflict] * 3
    with database.read() as session:
        assert session.get_one(Upload, upload_id).dataset_id == winner
        assert [row.id for row in datasets.list_datasets(session, workspace, name=None, limit=10, after=None)[0]] == [winner]


def test_an_upload_is_its_workspaces_until_it_expires(database: Database):
    with database.write() as session:
        own, other = add_workspace(session), add_workspace(session, "b")
        upload_id = add_upload(session, own).id
        assert uploads.get_upload(session, own, upload_id, now=NOW).id == upload_id
        for workspace, now in ((other, NOW), (own, LATER)):
            with pytest.raises(NotFound):
                uploads.get_upload(session, workspace, upload_id, now=now)
            with pytest.raises(BadInput, match="no such upload"):
                uploads.hold_upload(session, workspace, upload_id, pointer="/upload", now=now)


def test_bytes_that_came_meanwhile_keep_an_upload(database: Database):
    with database.write() as session:
        upload_id = add_upload(session, add_workspace(session)).id
        assert uploads.expired_uploads(session, now=LATER) == [upload_id]
        assert uploads.note_received(session, upload_id, 5, expires_at=LATER.replace(year=2027))
        assert not uploads.forget_expired(session, upload_id, now=LATER)
        assert uploads.expired_uploads(session, now=LATER) == []


def test_the_number_of_queries_of_a_list_does_not_grow_with_its_rows(database: Database):
    asked: list[str] = []

    def note(*arguments: object) -> None:
        asked.append(str(arguments[2]))

    def queries() -> int:
        asked.clear()
        with database.read() as session:
            rows, _ = uploads.list_uploads(session, workspace, limit=100, after=None, now=NOW)
            assert all(uploads.view(row).metadata for row in rows)
        return len(asked)

    event.listen(database.engine, "before_cursor_execute", note)
    counts = []
    with database.write() as session:
        workspace = add_workspace(session)
    for _ in range(2):
        with database.write() as session:
            for _ in range(3):
                add_upload(session, workspace)
        counts.append(queries())
    event.remove(database.engine, "before_cursor_execute", note)
    assert counts[0] == counts[1] > 0


def test_a_parent_stays_until_the_versions_made_from_it_are_read(database: Database):
    with database.write() as session:
        workspace = add_workspace(session)
        parent = add_dataset(session, workspace)
        child = add_dataset(session, workspace, ready=False, parent=Parent(dataset=parent.id, how="append", key=None))
        with pytest.raises(Conflict, match=f"Dataset {child.id} is being made"):
            datasets.delete_dataset(session, workspace, parent.id, now=NOW)
        with pytest.raises(Conflict, match="still being read"):
            datasets.hold_parent(session, workspace, child.id)
        datasets.delete_dataset(session, workspace, child.id, now=NOW)
        datasets.delete_dataset(session, workspace, parent.id, now=NOW)
        with pytest.raises(NotFound):
            datasets.hold_parent(session, workspace, parent.id)
