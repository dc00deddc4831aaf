"""What handlers ask for: the services, the caller, a session, a page of a list.

The writing dependencies have `scope="function"`: they end, and so commit, before the answer is sent.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Header, Query, Request, Response
from pydantic import BaseModel
from sqlalchemy.orm import Session

from app import idempotency
from app.idempotency import Running
from app.services import Services
from headstart.errors import BadInput, Fault
from headstart.specs.pages import DEFAULT_LIMIT, MAX_LIMIT, Page
from headstart.store.idempotency import Answer, answer_once
from headstart.store.idempotency import Request as Repeat
from headstart.store.keys import Caller
from headstart.store.pages import decode_cursor, encode_cursor

T = TypeVar("T")


def get_services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


def get_caller(request: Request) -> Caller:
    caller: Caller = request.scope["state"]["caller"]
    return caller


Shared = Annotated[Services, Depends(get_services)]
CallerHere = Annotated[Caller, Depends(get_caller)]


def get_reading(services: Shared) -> Iterator[Session]:
    with services.database.read() as session:
        yield session


Reading = Annotated[Session, Depends(get_reading, scope="function")]


@dataclass(slots=True)
class Work:
    """One writing transaction, and what is to happen once it has been committed."""

    session: Session
    now: datetime
    repeat: Repeat | None = None
    afterwards: list[Callable[[], object]] = field(default_factory=list)

    def after_commit(self, action: Callable[[], object]) -> None:
        self.afterwards.append(action)

    def once(self, make: Callable[[], Answer]) -> Answer:
        """The answer of `make`, or of the first request with the same Idempotency-Key."""
        return answer_once(self.session, self.repeat, make, now=self.now)


@contextmanager
def working(services: Services, repeat: Repeat | None = None) -> Iterator[Work]:
    with services.database.write() as session:
        work = Work(session, services.clock(), repeat)
        yield work
    for action in work.afterwards:
        action()


def get_work(services: Shared) -> Iterator[Work]:
    with working(services) as work:
        yield work


IdempotencyKey = Annotated[
    str | None, Header(alias="Idempotency-Key", description="1 to 255 printable ASCII characters; kept for 24 hours.")
]


async def get_repeat(request: Request, caller: CallerHere, idempotency_key: IdempotencyKey = None) -> AsyncIterator[Repeat | None]:
    """Holds the Idempotency-Key until the work that depends on this has been committed."""
    key = idempotency.checked(idempotency_key)
    route = f"POST {request.scope['route'].path}"
    running: Running = request.app.state.running
    with running.hold(caller.workspace_id, route, key):
        # Only the same key may see a new key again; everything else is the workspace's.
        holder = caller.key_id if route == "POST /v1/keys" else ""
        parts = (request.url.path.encode(), holder.encode(), await request.body())
        yield idempotency.repeatable(caller.workspace_id, route, key, *parts)


RepeatHere = Annotated[Repeat | None, Depends(get_repeat, scope="function")]


def get_repeatable_work(services: Shared, repeat: RepeatHere) -> Iterator[Work]:
    with working(services, repeat) as work:
        yield work


Writing = Annotated[Work, Depends(get_work, scope="function")]
Creating = Annotated[Work, Depends(get_repeatable_work, scope="function")]


def answer(view: BaseModel, status: int, location: str | None = None) -> Answer:
    return Answer(status, view.model_dump_json(), location)


def respond(made: Answer) -> Response:
    headers = {} if made.location is None else {"Location": made.location}
    return Response(made.body, made.status, headers, "application/json")


@dataclass(frozen=True, slots=True)
class Slice:
    """Which page of a list is asked for."""

    limit: int
    after: str | None

    def of(self, rows: list[T]) -> Page[T]:
        """The page of a list that is there as a whole, in its own order."""
        start = self.number() or 0
        shown = rows[start : start + self.limit]
        more = start + self.limit < len(rows)
        return paged(shown, encode_cursor(str(start + self.limit)) if more else None)

    def number(self) -> int | None:
        """The number behind a cursor of `of`.

        Raises:
            BadInput: it is a cursor of another list.
        """
        if self.after is None:
            return None
        text = decode_cursor(self.after)
        if not (text.isdigit() and len(text) <= 15):
            message = "the cursor is not one that a list gave"
            raise BadInput(
                "invalid_field", "`after` is not a cursor of this list.", "Use `next` of the page before.", (Fault("/after", message),)
            )
        return int(text)


def get_slice(
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Most rows in this page.")] = DEFAULT_LIMIT,
    after: Annotated[str | None, Query(max_length=256, description="`next` of the page before.")] = None,
) -> Slice:
    return Slice(limit, after)


PageHere = Annotated[Slice, Depends(get_slice)]


def paged(rows: list[T], following: str | None) -> Page[T]:
    return Page[Any](object="list", data=rows, has_more=following is not None, next=following)
