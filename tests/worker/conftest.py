"""A migrated SQLite database and a blob folder for what a worker writes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from headstart.blobs.local import LocalBlobs
from headstart.store.database import Database
from headstart.store.migrate import migrate
from worker.outcomes import Outcomes
from worker.supervisor import WORK


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path / 'worker.db'}")
    migrate(database)
    yield database
    database.close()


@pytest.fixture
def outcomes(database: Database, blobs: LocalBlobs) -> Outcomes:
    return Outcomes(database, blobs, WORK)


@pytest.fixture
def blobs(tmp_path: Path) -> LocalBlobs:
    return LocalBlobs(tmp_path / "blobs")
