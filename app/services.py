"""What every request shares, made once at start."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from headstart.blobs.local import LocalBlobs
from headstart.doorbell.ring import Doorbell
from headstart.settings import Settings
from headstart.store.database import Database


class Bell(Protocol):
    """Tells a worker that something waits; never blocks and never raises."""

    def ring(self, work_id: str) -> None: ...

    def close(self) -> None: ...


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Services:
    """The open parts of an installation; `stopping` is set as soon as the process is told to end."""

    settings: Settings
    database: Database
    blobs: LocalBlobs
    bell: Bell
    clock: Callable[[], datetime] = utc_now
    stopping: threading.Event = field(default_factory=threading.Event)
    engine_state: Callable[[], str] = lambda: "elsewhere"
    """`loading`, `ready` or `failed` where predictions are answered."""

    def close(self) -> None:
        self.bell.close()
        self.database.close()


def open_services(settings: Settings) -> Services:
    return Services(settings, Database(settings.database), LocalBlobs(settings.blob_folder), Doorbell(settings))
