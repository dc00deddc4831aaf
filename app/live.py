"""What a job says while it runs, events or log lines: a page of it, or live as server-sent events.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar

from fastapi import Depends, Header, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from app.dependencies import CallerHere, Shared, paged
from app.openapi import Responses, problems
from app.services import Services
from headstart.errors import HeadstartError, invalid_field
from headstart.specs.fields import MAX_INT
from headstart.specs.jobs import Event, JobStatus, LogLine
from headstart.specs.pages import DEFAULT_LIMIT, MAX_LIMIT
from headstart.store import jobs, keys
from headstart.store.keys import Caller

Row = TypeVar("Row", Event, LogLine)

LOOK_SECONDS = 0.3
KEEP_ALIVE_SECONDS = 15.0
CHECK_KEY_SECONDS = 2.0
"""How often a stream asks whether its key still opens it."""

STREAM = "text/event-stream"
RESPONSES: Responses = problems(404) | {
    200: {
        "description": "A page, oldest first; live, as `text/event-stream`, when that is accepted.",
        "content": {STREAM: {"schema": {"type": "string"}}},
    }
}


@dataclass(frozen=True, slots=True)
class Source(Generic[Row]):
    """Where rows of one kind come from: `read(session, job id, after, limit)` gives them by rising `seq`; `name` is a message's `event`."""

    read: Callable[[Session, str, int, int], list[Row]]
    name: Callable[[Row], str]


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks for what part, and how."""

    request: Request
    caller: Caller
    services: Services
    after: int
    limit: int
    last_event_id: str | None


def get_asked(
    request: Request,
    caller: CallerHere,
    services: Shared,
    after: Annotated[int, Query(ge=0, le=MAX_INT, description="Only what has a larger `seq`.")] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Most rows in this page.")] = DEFAULT_LIMIT,
    last_event_id: Annotated[str | None, Header(alias="Last-Event-ID", description="Where a stream that broke off goes on.")] = None,
) -> Asked:
    return Asked(request, caller, services, after, limit, last_event_id)


AskedHere = Annotated[Asked, Depends(get_asked)]


async def answer(asked: Asked, job: str, source: Source[Row]) -> Response:
    """The page, or the stream; what is not there is refused before a stream begins."""
    if STREAM in asked.request.headers.get("accept", ""):
        start = max(asked.after, _last_seen(asked.last_event_id))
        await run_in_threadpool(_look, asked, job, source, start, 1)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(_stream(asked, job, source, start), media_type=STREAM, headers=headers)
    look = await run_in_threadpool(_look, asked, job, source, asked.after, asked.limit)
    return JSONResponse(paged(look.rows, str(look.rows[-1].seq) if look.more else None).model_dump(mode="json"))


def _last_seen(sent: str | None) -> int:
    if sent is None:
        return 0
    if not (sent.isascii() and sent.isdigit() and int(sent[:16]) <= MAX_INT and len(sent) <= 16):
        raise invalid_field("/Last-Event-ID", "A Last-Event-ID is the `id` of a message of this stream.")
    return int(sent)


@dataclass(frozen=True, slots=True)
class _Look(Generic[Row]):
    rows: list[Row]
    more: bool
    ended: bool
    """Whether the job had ended when the rows were read, so that nothing follows the last of them."""


def _look(asked: Asked, job: str, source: Source[Row], after: int, limit: int) -> _Look[Row]:
    with asked.services.database.read() as session:
        row = jobs.get_job(session, asked.caller.workspace_id, job)
        ended = JobStatus(row.status).terminal  # read before the rows: the last of them came with this status
        found = source.read(session, row.id, after, limit + 1)
    return _Look(found[:limit], len(found) > limit, ended)


async def _stream(asked: Asked, job: str, source: Source[Row], after: int) -> AsyncIterator[str]:
    """Rows as they come, a comment when none has come for a while; ends with the job, the key, the client or the service."""
    spoke_at = checked_at = time.monotonic()
    while not asked.services.stopping.is_set() and not await asked.request.is_disconnected():
        try:
            look = await run_in_threadpool(_look, asked, job, source, after, MAX_LIMIT)
            if time.monotonic() - checked_at >= CHECK_KEY_SECONDS:
                checked_at = time.monotonic()
                if not await run_in_threadpool(_still_opens, asked):
                    return
        except HeadstartError:
            return  # the client asks again with the last id it has seen
        for row in look.rows:
            yield f"id: {row.seq}\nevent: {source.name(row)}\ndata: {row.model_dump_json()}\n\n"
            after, spoke_at = row.seq, time.monotonic()
        if look.ended and not look.more:
            yield ": end\n\n"  # readers of the standard pass it over; our client knows that it need not ask again
            return
        if time.monotonic() - spoke_at >= KEEP_ALIVE_SECONDS:
            spoke_at = time.monotonic()
            yield ": keep-alive\n\n"
        if not look.more:
            await asyncio.sleep(LOOK_SECONDS)


def _still_opens(asked: Asked) -> bool:
    with asked.services.database.read() as session:
        return keys.is_live(keys.get_key(session, asked.caller.workspace_id, asked.caller.key_id), now=asked.services.clock())
