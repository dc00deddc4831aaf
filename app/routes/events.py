"""A job's history: a page of events, the same live as server-sent events, and its metrics.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.concurrency import run_in_threadpool

from app.dependencies import CallerHere, Reading, Shared, paged
from app.openapi import problems
from app.requests import StrictRoute
from app.services import Services
from headstart.errors import HeadstartError, invalid_field
from headstart.specs.fields import MAX_INT
from headstart.specs.jobs import Event, JobStatus, Metric
from headstart.specs.pages import DEFAULT_LIMIT, MAX_LIMIT, Page
from headstart.store import jobs as store
from headstart.store import keys
from headstart.store.keys import Caller

router = APIRouter(route_class=StrictRoute, tags=["jobs"])

LOOK_SECONDS = 0.3
KEEP_ALIVE_SECONDS = 15.0
CHECK_KEY_SECONDS = 2.0
"""How often a stream asks whether its key still opens it."""

STREAM = "text/event-stream"
_RESPONSES = problems(404) | {
    200: {
        "description": "A page of events; live, as `text/event-stream`, when that is accepted.",
        "content": {STREAM: {"schema": {"type": "string"}}},
    }
}


@router.get("/v1/jobs/{job}/events", response_model=Page[Event], responses=_RESPONSES)
async def list_job_events(
    job: str,
    request: Request,
    caller: CallerHere,
    services: Shared,
    after: Annotated[int, Query(ge=0, le=MAX_INT, description="Only events with a larger `seq`.")] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Most rows in this page.")] = DEFAULT_LIMIT,
    last_event_id: Annotated[str | None, Header(alias="Last-Event-ID", description="Where a stream that broke off goes on.")] = None,
) -> Response:
    """Oldest first. `next` is the `after` of the following page. A stream ends after the job's last event."""
    if STREAM in request.headers.get("accept", ""):
        start = max(after, _last_seen(last_event_id))
        await run_in_threadpool(_page, services, caller, job, start, 1)  # what is not there is refused before the stream begins
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(_stream(services, caller, job, start, request), media_type=STREAM, headers=headers)
    rows, more = await run_in_threadpool(_page, services, caller, job, after, limit)
    return JSONResponse(paged(rows, str(rows[-1].seq) if more else None).model_dump(mode="json"))


@router.get("/v1/jobs/{job}/metrics", responses=problems(404))
def list_job_metrics(
    job: str,
    caller: CallerHere,
    session: Reading,
    after: Annotated[int, Query(ge=0, le=MAX_INT, description="`next` of the page before.")] = 0,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Most rows in this page.")] = DEFAULT_LIMIT,
) -> Page[Metric]:
    """What was measured while it trained and when it was evaluated, oldest first."""
    row = store.get_job(session, caller.workspace_id, job)
    found = store.list_events(session, row.id, after=after, limit=limit + 1, type_="metric")
    shown = [Metric(object="metric", **event.data) for event in found[:limit]]
    return paged(shown, str(found[limit - 1].seq) if len(found) > limit else None)


def _last_seen(sent: str | None) -> int:
    if sent is None:
        return 0
    if not (sent.isascii() and sent.isdigit() and int(sent[:16]) <= MAX_INT and len(sent) <= 16):
        raise invalid_field("/Last-Event-ID", "A Last-Event-ID is the `id` of an event of this stream.")
    return int(sent)


def _page(services: Services, caller: Caller, job: str, after: int, limit: int) -> tuple[list[Event], bool]:
    with services.database.read() as session:
        row = store.get_job(session, caller.workspace_id, job)
        found = store.list_events(session, row.id, after=after, limit=limit + 1)
        return [store.event_view(event) for event in found[:limit]], len(found) > limit


async def _stream(services: Services, caller: Caller, job: str, after: int, request: Request) -> AsyncIterator[str]:
    """Events as they come, a comment when none has come for a while; ends with the job, the key, the client or the service."""
    spoke_at = checked_at = time.monotonic()
    while not services.stopping.is_set() and not await request.is_disconnected():
        try:
            events, more = await run_in_threadpool(_page, services, caller, job, after, MAX_LIMIT)
            if time.monotonic() - checked_at >= CHECK_KEY_SECONDS:
                checked_at = time.monotonic()
                if not await run_in_threadpool(_still_opens, services, caller):
                    return
        except HeadstartError:
            return  # the client asks again with the last id it has seen
        for event in events:
            yield f"id: {event.seq}\nevent: {event.type}\ndata: {event.model_dump_json()}\n\n"
            after, spoke_at = event.seq, time.monotonic()
            if event.type == "status" and JobStatus(event.data["to"]).terminal:
                return
        if time.monotonic() - spoke_at >= KEEP_ALIVE_SECONDS:
            spoke_at = time.monotonic()
            yield ": keep-alive\n\n"
        if not more:
            await asyncio.sleep(LOOK_SECONDS)


def _still_opens(services: Services, caller: Caller) -> bool:
    with services.database.read() as session:
        return keys.is_live(keys.get_key(session, caller.workspace_id, caller.key_id), now=services.clock())
