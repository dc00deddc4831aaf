"""Rows and their files, which other requests may delete meanwhile and which may be stored though nobody heard so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from app.services import Services
from headstart.errors import Unavailable
from headstart.store import datasets, workspaces
from headstart.store.tables import Dataset, Upload

log = structlog.get_logger()


def ready_dataset(services: Services, workspace_id: str, dataset: str) -> Dataset:
    """A dataset whose table is there, looked up in a session of its own, which has ended when the table is read.

    Raises:
        NotFound: there is none of this id.
        Conflict: `dataset_not_ready`, it is still being read; `state_conflict`, it is invalid.
    """
    with services.database.read() as session:
        return datasets.ready(datasets.get_dataset(session, workspace_id, dataset))


def may_be_stored(services: Services, workspace_id: str, table: type[Dataset | Upload], row_id: str) -> bool:
    """Whether the row is there, for its COMMIT may have taken effect though nobody heard so, or nobody can tell: then housekeeping will."""
    try:
        with services.database.write() as session:
            return workspaces.was_stored(session, workspace_id, table, row_id)
    except Unavailable:
        return True


@contextmanager
def reading_tables(services: Services, *rows: Dataset) -> Iterator[None]:
    """Words for a table that cannot be read; not to be used within a session.

    Raises:
        NotFound: its dataset has been deleted.
        Unavailable: the dataset is there, and so the disk is at fault.
    """
    try:
        yield
    except OSError as error:
        with services.database.read() as session:
            for row in rows:
                datasets.get_dataset(session, row.workspace_id, row.id)
        log.exception("table_unreadable", datasets=[row.id for row in rows])
        hint = "Try again shortly; if that does not help, tell the operator."
        raise Unavailable("unavailable", "The stored table of the dataset cannot be read.", hint, retry_after_seconds=5) from error
