"""Workers: who has started, and on what hardware; plans use the newest."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from headstart.specs.plans import Hardware
from headstart.store.tables import Worker


def register_worker(session: Session, worker_id: str, *, host: str, hardware: Hardware, now: datetime) -> None:
    session.merge(Worker(id=worker_id, host=host, hardware=hardware.model_dump(mode="json"), started_at=now))
    session.flush()


def newest_hardware(session: Session) -> Hardware | None:
    """The hardware of the worker that started last, None before any has."""
    row = session.scalars(select(Worker).order_by(Worker.started_at.desc()).limit(1)).first()
    return None if row is None else Hardware.model_validate(row.hardware)
