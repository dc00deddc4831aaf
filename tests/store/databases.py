"""Databases for one test run: SQLite in a folder, and PostgreSQL where one answers on this machine."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import event

from headstart.store.database import Database
from headstart.store.tables import Table

BACKENDS = ("sqlite", "postgresql")
SERVER = "root@127.0.0.1:5432"


@functools.cache
def postgres_answers() -> bool:
    try:
        psycopg.connect(f"postgresql://{SERVER}/postgres", connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


@contextmanager
def empty_database(backend: str, folder: Path) -> Iterator[str]:
    """The URL of a database without a single table, which goes when the block ends."""
    if backend == "sqlite":
        yield f"sqlite:///{folder / f'{uuid.uuid4().hex}.db'}"
        return
    if not postgres_answers():
        pytest.skip("no PostgreSQL answers on 127.0.0.1:5432")
    name = f"headstart_test_{uuid.uuid4().hex}"
    with psycopg.connect(f"postgresql://{SERVER}/postgres", autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name}")  # a name made here
        try:
            yield f"postgresql+psycopg://{SERVER}/{name}"
        finally:
            server.execute(f"DROP DATABASE {name} WITH (FORCE)")


def open_quick(url: str) -> Database:
    """A database that does not wait for the disk: no test pulls the plug."""
    database = Database(url)
    if database.is_sqlite:
        event.listen(database.engine, "connect", lambda connection, _record: connection.execute("PRAGMA synchronous=OFF"))
    return database


def empty_tables(database: Database) -> None:
    with database.write() as session:
        for table in reversed(Table.metadata.sorted_tables):
            session.execute(table.delete())
