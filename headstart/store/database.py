"""Connections: one engine, a session that reads and a session that writes, each one transaction.

On SQLite a writing transaction begins IMMEDIATE: a deferred one that reads first and then writes is refused at once
with BUSY_SNAPSHOT, whatever the busy timeout says.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from headstart.errors import BadInput, Unavailable, quote
from headstart.store import postgres
from headstart.store.filesystems import NETWORK, filesystem_of, read_mounts

log = structlog.get_logger()

WAL_RESET_FIXES = ((3, 44, 6), (3, 50, 7), (3, 51, 3))
"""Releases with the fix of https://sqlite.org/wal.html#walresetbug: these patch levels of 3.44 and 3.50, and all from 3.51.3."""


def wal_is_safe(version: tuple[int, int, int]) -> bool:
    """Whether this SQLite may use WAL with several processes writing."""
    if version >= WAL_RESET_FIXES[-1]:
        return version != (3, 52, 0)
    return any(version[:2] == fixed[:2] and version >= fixed for fixed in WAL_RESET_FIXES)


DRIVERS = frozenset({"sqlite", "sqlite+pysqlite", "postgresql", "postgresql+psycopg"})
EXAMPLE = "It looks like postgresql+psycopg://USER:PASSWORD@HOST/NAME; unset, it is SQLite in the home folder."

AWAY = (OperationalError, InternalError, InterfaceError, PoolTimeout)
"""What SQLAlchemy raises when the database is down, read-only, failing over, locked too long or out of connections."""

SHUN_SECONDS = 1.0
"""After a server has let somebody wait in vain, nobody else waits for it for so long."""


class Database:
    """`read()` and `write()` are transactions; nothing else commits.

    Raises:
        BadInput: the URL is none, or names what this service cannot use.
    """

    def __init__(self, url: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.url = _checked(url)
        self.engine = _sqlite_engine(url) if self.is_sqlite else postgres.open_engine(self.url)
        self._monotonic, self._shunned_until = monotonic, float("-inf")

    @property
    def is_sqlite(self) -> bool:
        return self.url.get_backend_name() == "sqlite"

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that only reads."""
        with (
            self._worded(),
            self.engine.connect().execution_options(read_only=True) as connection,
            Session(connection, expire_on_commit=False, autoflush=False) as session,
        ):
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session that is committed when the block ends well and rolled back when it does not."""
        with self._worded(), Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session

    def close(self) -> None:
        self.engine.dispose()

    @contextmanager
    def _worded(self) -> Iterator[None]:
        if self._monotonic() < self._shunned_until:
            raise _away()
        try:
            yield
        except AWAY as error:
            log.warning("database_unavailable", error=type(error).__name__, detail=str(getattr(error, "orig", error)))
            if postgres.is_silence(getattr(error, "orig", None)):
                self._shunned_until = self._monotonic() + SHUN_SECONDS
            raise _away() from error


def _away() -> Unavailable:
    return Unavailable("unavailable", "The database did not answer.", "Try again shortly.", retry_after_seconds=2)


def _checked(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise BadInput("invalid_field", "HEADSTART_DATABASE_URL is not a database URL.", EXAMPLE) from None
    if parsed.drivername not in DRIVERS:
        message = f"HEADSTART_DATABASE_URL begins with {quote(parsed.drivername)}, which is neither PostgreSQL by psycopg nor SQLite."
        raise BadInput("invalid_field", message, EXAMPLE)
    return parsed


def _sqlite_engine(url: str) -> Engine:
    path = make_url(url).database
    if path:
        _refuse_network(Path(path))
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


def _refuse_network(path: Path) -> None:
    kind = filesystem_of(path.resolve(), read_mounts())
    if kind in NETWORK:
        message = f"The database {path} is on a network file system ({kind}), whose locks SQLite cannot trust."
        raise BadInput("invalid_field", message, "Keep HEADSTART_HOME on a local disk, or take PostgreSQL: HEADSTART_DATABASE_URL.")
