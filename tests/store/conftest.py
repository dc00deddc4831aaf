"""Every test of the store that asks for `database` runs on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from headstart.store.database import Database
from headstart.store.migrate import migrate
from tests.store.databases import BACKENDS, empty_database, empty_tables, open_quick


@pytest.fixture(scope="session", params=BACKENDS)
def migrated(request, tmp_path_factory) -> Iterator[Database]:
    with empty_database(request.param, tmp_path_factory.mktemp("store")) as url:
        database = open_quick(url)
        migrate(database)
        yield database
        database.close()


@pytest.fixture
def database(migrated: Database) -> Database:
    """Migrated and empty."""
    empty_tables(migrated)
    return migrated


@pytest.fixture(params=BACKENDS)
def empty_url(request, tmp_path) -> Iterator[str]:
    with empty_database(request.param, tmp_path) as url:
        yield url
