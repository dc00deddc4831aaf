"""What each kind of work brings to the supervisor: its request to the child, how its end is written, and what files stay."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Protocol

from sqlalchemy.orm import Session

from headstart.blobs.local import LocalBlobs
from headstart.settings import Settings
from headstart.specs.problems import Failure
from headstart.store import leases
from headstart.store.leases import Lease
from worker.messages import Message

End = Literal["succeeded", "failed", "again"]
"""How an attempt ended for the files it wrote: `again` means that another attempt follows, or has followed."""


class Lost(Exception):
    """The row moved on under us; the transaction must not stand."""


class Work(Protocol):
    """What each kind of work brings: its request to the child, and how its end is written."""

    kind: str
    role: str

    def request(self, session: Session, lease: Lease, settings: Settings, blobs: LocalBlobs) -> Message: ...
    def succeed(self, session: Session, lease: Lease, row: leases.Work, message: Message, *, now: datetime) -> None: ...
    def fail(self, session: Session, lease: Lease, row: leases.Work, failure: Failure, message: Message, *, now: datetime) -> None: ...
    def seconds_allowed(self, request: Message, settings: Settings) -> float | None: ...
    def clean(self, work_id: str, epoch: int, blobs: LocalBlobs, end: End) -> None: ...
