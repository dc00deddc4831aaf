"""What a worker that was started by itself makes sure of: that it shares with an API what it must, and nothing that cannot be shared."""

from __future__ import annotations

from pathlib import Path

import structlog

from headstart.blobs.local import LocalBlobs
from headstart.errors import Conflict, Unavailable
from headstart.settings import Settings
from headstart.store import belonging
from headstart.store.database import Database
from headstart.store.workspaces import first_workspace

log = structlog.get_logger()


def check_settings(settings: Settings, database: Database) -> None:
    """Before the database is connected to.

    Raises:
        Conflict: its SQLite database is not there, and no API on another machine could ever write to one made here.
    """
    if database.is_sqlite and not Path(database.url.database or "").exists():
        message = f"There is no database {database.url.database}, and a worker alone makes none."
        hint = "Give --database postgresql+psycopg://… for an API on another machine; on this one, start `headstart up --no-worker` first."
        raise Conflict("state_conflict", message, hint)
    if settings.broker_url is None:
        reason = "without a broker URL only an API in the same home can ring"
        log.warning("doorbell_is_local", reason=reason, looks_every_seconds=settings.poll_seconds)


def check_shared(settings: Settings, database: Database) -> None:
    """Once the database answers.

    Raises:
        Conflict: the blob folder belongs to another database.
        Unavailable: no API has started yet on this database and this folder.
    """
    with database.read() as session:
        workspace = first_workspace(session)
    if workspace is None:
        raise Unavailable("unavailable", "No API has started on this database yet.", "Start one: `headstart up --no-worker`.")
    belonging.check(LocalBlobs(settings.blob_folder), workspace.id)
