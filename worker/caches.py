"""The feature cache of this machine, as the API tells of it: asked of the engine's child when it is idle, written down for all to read."""

from __future__ import annotations

import socket
from datetime import datetime
from pathlib import Path

import structlog

from headstart.blobs.atomic import atomic_file
from headstart.settings import Settings
from headstart.specs.ids import is_id, new_id
from headstart.store import caches
from headstart.store.database import Database
from worker.messages import Message

log = structlog.get_logger()


class CacheNotes:
    """What is known of the cache, and how many rows it has served by workspace since the worker started."""

    def __init__(self, settings: Settings, database: Database, *, now: datetime) -> None:
        self._settings, self._database, self._started_at = settings, database, now
        self._rows: dict[str, dict[str, int]] = {}

    def request(self) -> Message:
        """What asks the engine's child to look."""
        return {"do": "cache", "cache": str(self._settings.features)}

    def count(self, done: Message) -> None:
        """Count the rows of a job that is done; other work has none."""
        if "workspace" in done:
            counts = self._rows.setdefault(done["workspace"], {"rows_computed": 0, "rows_reused": 0})
            for name in counts:
                counts[name] += done["outcome"]["cache"][name]

    def tell(self, seen: Message, *, now: datetime) -> None:
        """Write down what the child saw."""
        held = seen["workspaces"]
        try:
            known_as = cache_id(self._settings.cache)
        except OSError as error:  # a disk that is ill has other ways to be noticed, and no attempt waits for this
            log.warning("cache_without_id", error=type(error).__name__, errno=error.errno)
            return
        with self._database.write() as session:
            caches.record(
                session,
                known_as,
                host=socket.gethostname(),
                budget_bytes=self._settings.cache_bytes,
                keys=seen["keys"],
                workspaces={workspace: held.get(workspace, {}) | self._rows.get(workspace, {}) for workspace in held.keys() | self._rows},
                started_at=self._started_at,
                now=now,
            )


def cache_id(folder: Path) -> str:
    """The id of a cache, made once and kept in its folder: a machine may change its name, and two may have the same."""
    path = folder / "id"
    try:
        kept = path.read_text("ascii").strip()
    except (FileNotFoundError, UnicodeDecodeError):
        kept = ""
    if not is_id(kept, "cache"):
        kept = new_id("cache")
        with atomic_file(path) as file:
            file.write(kept.encode())
    return kept
