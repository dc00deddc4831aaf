"""Transactions: all or nothing, one writer at a time, and words when the database is away."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from headstart.errors import Unavailable
from headstart.specs.workspaces import CreateWorkspace
from headstart.store import workspaces
from headstart.store.database import Database, wal_is_safe
from headstart.store.migrate import migrate
from headstart.store.tables import Workspace
from tests.store.world import NOW, add_workspace, at_once


@pytest.mark.parametrize(
    ("version", "safe"),
    [((3, 7, 0), False), ((3, 40, 1), False), ((3, 44, 5), False), ((3, 44, 6), True), ((3, 44, 7), True), ((3, 45, 0), False),
     ((3, 46, 1), False), ((3, 49, 9), False), ((3, 50, 6), False), ((3, 50, 7), True), ((3, 50, 8), True), ((3, 51, 0), False),
     ((3, 51, 2), False), ((3, 51, 3), True), ((3, 52, 0), False), ((3, 52, 1), True), ((3, 53, 1), True), ((4, 0, 0), True)],
)  # fmt: skip
def test_wal_is_used_only_where_its_reset_bug_is_mended(version, safe):
    assert wal_is_safe(version) is safe


def test_every_sqlite_connection_is_careful(tmp_path):
    import sqlite3

    database = Database(f"sqlite:///{tmp_path / 'headstart.db'}")
    journal = "wal" if wal_is_safe(sqlite3.sqlite_version_info) else "truncate"
    wanted = {"journal_mode": journal, "foreign_keys": 1, "busy_timeout": 10_000, "synchronous": 2, "temp_store": 2, "mmap_size": 0}
    with database.write() as first, database.engine.connect().execution_options(read_only=True) as second:
        for connection in (first.connection(), second):
            assert {name: connection.scalar(text(f"PRAGMA {name}")) or 0 for name in wanted} == wanted
    database.close()


def test_a_postgres_session_has_limits(database):
    if database.is_sqlite:
        pytest.skip("settings of PostgreSQL")
    wanted = {"statement_timeout": "3s", "lock_timeout": "2s", "idle_in_transaction_session_timeout": "30s", "TimeZone": "UTC"}
    with database.read() as session:
        assert {name: session.scalar(text(f"SHOW {name}")) for name in wanted} == wanted


def test_a_foreign_key_is_kept(database):
    with pytest.raises(IntegrityError), database.write() as session:
        session.execute(text("INSERT INTO events VALUES ('job_none', 1, 'status', 0, '2026-11-24', '{}')"))


def test_a_block_that_fails_leaves_nothing(database):
    with pytest.raises(KeyError), database.write() as session:
        add_workspace(session)
        raise KeyError
    assert count(database) == 0


def test_a_read_leaves_nothing(database):
    with database.read() as session:
        add_workspace(session)
    assert count(database) == 0


def test_what_was_written_is_there_for_the_next_session_and_can_still_be_read_after_the_commit(database):
    with database.write() as session:
        made = workspaces.create_workspace(session, CreateWorkspace(name="ä"), now=NOW)
    with database.read() as session:
        assert workspaces.get_workspace(session, made.id).created_at == NOW == made.created_at


def test_times_keep_their_microseconds_and_their_zone(database):
    from datetime import timedelta, timezone

    moment = NOW.replace(microsecond=123456).astimezone(timezone(timedelta(hours=5, minutes=30)))
    with database.write() as session:
        made = workspaces.create_workspace(session, CreateWorkspace(name="a"), now=moment)
    with database.read() as session:
        found = workspaces.get_workspace(session, made.id).created_at
    assert found == moment
    assert found.utcoffset() == timedelta(0)


def test_a_time_without_a_zone_is_never_stored(database):
    with pytest.raises(Exception, match="without a zone"), database.write() as session:
        workspaces.create_workspace(session, CreateWorkspace(name="a"), now=NOW.replace(tzinfo=None))


def test_two_writers_that_read_first_both_succeed(database):
    """A deferred BEGIN would refuse one of them at once (BUSY_SNAPSHOT in WAL, a deadlock of shared locks otherwise)."""

    def read_then_write(session):
        session.scalar(select(func.count()).select_from(Workspace))
        add_workspace(session)

    assert at_once(database, *[read_then_write] * 6) == [None] * 6
    assert count(database) == 6


def test_a_reader_sees_one_moment_and_does_not_keep_a_writer_out_for_long(database):
    with database.read() as session:
        session.scalar(select(func.count()).select_from(Workspace))
    done = threading.Event()

    def write():
        with database.write() as session:
            add_workspace(session)
        done.set()

    thread = threading.Thread(target=write)
    thread.start()
    assert done.wait(5)
    thread.join()


@pytest.mark.parametrize(
    "failure",
    [OperationalError("COMMIT", {}, Exception("disk I/O error")), PoolTimeout("pool exhausted"),
     InternalError("SELECT", {}, Exception("terminating connection"), connection_invalidated=True)],
)  # fmt: skip
def test_whatever_way_a_database_goes_away_it_is_unavailable_without_its_own_words(database, failure):
    with pytest.raises(Unavailable) as caught, database.write():
        raise failure
    assert (caught.value.status, caught.value.code, caught.value.retry_after_seconds) == (503, "unavailable", 2)
    assert str(caught.value) == "The database did not answer. Try again shortly."


def test_a_commit_that_fails_is_unavailable(tmp_path):
    """A real one: a table of a page more than SQLite may have fails at the latest when it is committed."""
    database = Database(f"sqlite:///{tmp_path / 'headstart.db'}")
    migrate(database)
    with pytest.raises(Unavailable), database.write() as session:
        pages = session.scalar(text("PRAGMA page_count"))
        session.execute(text(f"PRAGMA max_page_count = {pages}"))
        for _ in range(1000):
            add_workspace(session)
    database.close()


def test_a_connection_that_the_server_ends_is_unavailable_once_and_well_again_afterwards(database):
    if database.is_sqlite:
        pytest.skip("SQLite has no server")
    with pytest.raises(Unavailable), database.write() as session:
        add_workspace(session)
        own = session.scalar(text("SELECT pg_backend_pid()"))
        with database.engine.connect() as other:
            other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": own})
        add_workspace(session)
    with database.write() as session:
        add_workspace(session)
    assert count(database) == 1


def count(database: Database) -> int:
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(Workspace)) or 0
