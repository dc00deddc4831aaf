"""Reading the tables of datasets that another request may delete meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from app.services import Services
from headstart.errors import Unavailable
from headstart.store import datasets
from headstart.store.tables import Dataset

log = structlog.get_logger()


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
