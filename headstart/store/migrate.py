"""Bring a database to the schema of this code, under a lock, at the start of every process."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import structlog
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError

from headstart.errors import BadInput, Conflict, Unavailable
from headstart.store.database import AWAY, EXAMPLE, Database
from headstart.store.postgres import lift_limits

log = structlog.get_logger()

ADVISORY_LOCK = 0x48454144  # "HEAD"


def alembic_config(connection: Connection) -> Config:
    """Alembic over an open connection, with the scripts of the installed `migrations` package."""
    spec = find_spec("migrations")
    if spec is None or not spec.submodule_search_locations:
        raise Unavailable("unavailable", "The migrations are not installed.", "Install headstart[server].")
    config = Config()
    config.set_main_option("script_location", str(Path(next(iter(spec.submodule_search_locations)))))
    config.attributes["connection"] = connection
    return config


def migrate(database: Database) -> None:
    """Upgrade to the newest revision in one transaction; nothing to do is quick.

    Raises:
        BadInput: the database's URL has an option that its driver does not know.
        Conflict: the database is newer than this code.
        Unavailable: the database does not answer.
    """
    _reach(database)
    with _file_lock(database), database.engine.begin() as connection:
        if not database.is_sqlite:
            lift_limits(connection)
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
        _upgrade(connection)


def _reach(database: Database) -> None:
    try:
        with database.engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    except AWAY as error:
        log.warning("database_unavailable", error=type(error).__name__, detail=str(getattr(error, "orig", error)))
        raise Unavailable("unavailable", "The database did not answer.", "Start it, or mend HEADSTART_DATABASE_URL.") from error
    except ProgrammingError as error:
        raise BadInput("invalid_field", "HEADSTART_DATABASE_URL has an option that cannot be used.", EXAMPLE) from error


def _upgrade(connection: Connection) -> None:
    config = alembic_config(connection)
    scripts = ScriptDirectory.from_config(config)
    current, head = MigrationContext.configure(connection).get_current_revision(), scripts.get_current_head()
    if current == head:
        return
    if current is not None and current not in {script.revision for script in scripts.walk_revisions()}:
        raise Conflict(
            "state_conflict", f"The database is at revision {current}, which this release does not know.", "Use the newer release."
        )
    log.info("migrating", before=current, after=head)
    command.upgrade(config, "head")


@contextmanager
def _file_lock(database: Database) -> Iterator[None]:
    """On SQLite two processes would both see an empty file; a lock beside it makes the second wait."""
    path = database.url.database
    if not database.is_sqlite or path is None:
        yield
        return
    with open(f"{path}.migrate.lock", "wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
