"""Connections: one engine, a session that reads and a session that writes, each one transaction.

On SQLite a writing transaction begins IMMEDIATE: a deferred one that reads first and then writes is refused at once
with BUSY_SNAPSHOT, whatever the busy timeout says.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from headstart.errors import Unavailable

log = structlog.get_logger()

WAL_RESET_FIXES = ((3, 44, 6), (3, 50, 7), (3, 51, 3))
"""Releases with the fix of https://sqlite.org/wal.html#walresetbug: these patch levels of 3.44 and 3.50, and all from 3.51.3."""


def wal_is_safe(version: tuple[int, int, int]) -> bool:
    """Whether this SQLite may use WAL with several processes writing."""
    if version >= WAL_RESET_FIXES[-1]:
        return version != (3, 52, 0)
    return any(version[:2] == fixed[:2] and version >= fixed for fixed in WAL_RESET_FIXES)


class Database:
    """`read()` and `write()` are transactions; nothing else commits."""

    def __init__(self, url: str) -> None:
        self.url = make_url(url)
        self.engine = _sqlite_engine(url) if self.is_sqlite else _postgres_engine(url)

    @property
    def is_sqlite(self) -> bool:
        return self.url.get_backend_name() == "sqlite"

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that only reads."""
        with (
            _worded(),
            self.engine.connect().execution_options(read_only=True) as connection,
            Session(connection, expire_on_commit=False, autoflush=False) as session,
        ):
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session that is committed when the block ends well and rolled back when it does not."""
        with _worded(), Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    def close(self) -> None:
        self.engine.dispose()


AWAY = (OperationalError, InternalError, InterfaceError, PoolTimeout)
"""What SQLAlchemy raises when the database is down, read-only, failing over, locked too long or out of connections."""


@contextmanager
def _worded() -> Iterator[None]:
    try:
        yield
    except AWAY as error:
        log.warning("database_unavailable", error=type(error).__name__, detail=str(getattr(error, "orig", error)))
        raise Unavailable("unavailable", "The database did not answer.", "Try again shortly.", retry_after_seconds=2) from error


def _postgres_engine(url: str) -> Engine:
    options = "-c statement_timeout=10s -c lock_timeout=2s -c idle_in_transaction_session_timeout=30s -c timezone=UTC"
    # a server that hangs is noticed by the kernel: no answer to data or to keep-alives for ten seconds ends the connection
    network = {"connect_timeout": 5, "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 10_000}
    return create_engine(url, pool_pre_ping=True, pool_size=8, max_overflow=8, pool_timeout=10, connect_args={"options": options} | network)


def _sqlite_engine(url: str) -> Engine:
    path = make_url(url).database
    if path:
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            message = f"The folder of the database cannot be made: {error.strerror}."
            raise Unavailable("unavailable", message, "Choose another with HEADSTART_HOME.") from error
    engine = create_engine(url, connect_args={"check_same_thread": False, "timeout": 10.0})
    journal = "WAL" if wal_is_safe(sqlite3.sqlite_version_info) else "TRUNCATE"
    if journal == "TRUNCATE":
        log.info("sqlite_without_wal", version=sqlite3.sqlite_version, reason="this release may corrupt a database in WAL mode")

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _record: Any) -> None:  # noqa: ANN401 - SQLAlchemy's signature
        connection.isolation_level = None  # we say BEGIN ourselves
        for pragma in (f"journal_mode={journal}", "foreign_keys=ON", "busy_timeout=10000", "synchronous=FULL", "temp_store=MEMORY"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        reading = connection.get_execution_options().get("read_only", False)
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    return engine
