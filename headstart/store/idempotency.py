"""Repeated POSTs: the first answer is kept for a day in the transaction that made the row, and given again.

Source: draft-ietf-httpapi-idempotency-key-header-07.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from headstart.errors import BadInput
from headstart.store.tables import IdempotencyKey

KEPT = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a creating route says: kept as it is."""

    status: int
    body: str
    location: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What makes two POSTs the same."""

    workspace_id: str
    route: str
    key: str
    sha256: str


def answer_once(session: Session, request: Request | None, make: Callable[[], Answer], *, now: datetime) -> Answer:
    """`make()` the first time, its answer again afterwards.

    Raises:
        BadInput: `idempotency_mismatch`, the key came before with another body.
    """
    if request is None:
        return make()
    session.execute(delete(IdempotencyKey).where(IdempotencyKey.created_at < now - KEPT))
    row = IdempotencyKey(
        workspace_id=request.workspace_id,
        route=request.route,
        key=request.key,
        request_sha256=request.sha256,
        status=0,
        location=None,
        body="",
        created_at=now,
    )
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError:
        return _again(session, request)
    answer = make()
    row.status, row.location, row.body = answer.status, answer.location, answer.body
    session.flush()
    return answer


def forget(session: Session, request: Request | None) -> None:
    """The same POST again is a new one: what the first has made is taken back in this transaction."""
    if request is not None:
        session.execute(delete(IdempotencyKey).where(*_same(request)))


def _again(session: Session, request: Request) -> Answer:
    row = session.scalars(select(IdempotencyKey).where(*_same(request))).one()
    if row.request_sha256 != request.sha256:
        raise BadInput("idempotency_mismatch", "This Idempotency-Key came before with another body.", "Use a new key for a new request.")
    return Answer(row.status, row.body, row.location)


def _same(request: Request) -> tuple[ColumnElement[bool], ...]:
    return (
        IdempotencyKey.workspace_id == request.workspace_id,
        IdempotencyKey.route == request.route,
        IdempotencyKey.key == request.key,
    )
