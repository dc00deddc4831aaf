"""A job's history, and the metrics in it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Response
from sqlalchemy.orm import Session

from app import live
from app.dependencies import CallerHere, Reading, paged
from app.live import AskedHere
from app.openapi import problems
from app.requests import StrictRoute
from headstart.specs.fields import MAX_INT
from headstart.specs.jobs import Event, Metric
from headstart.specs.pages import DEFAULT_LIMIT, MAX_LIMIT, Page
from headstart.store import jobs as store

router = APIRouter(route_class=StrictRoute, tags=["jobs"])


def _read(session: Session, job_id: str, after: int, limit: int) -> list[Event]:
    return [store.event_view(event) for event in store.list_events(session, job_id, after=after, limit=limit)]


EVENTS = live.Source(_read, lambda event: event.type)


@router.get("/v1/jobs/{job}/events", response_model=Page[Event], responses=live.RESPONSES)
async def list_job_events(job: str, asked: AskedHere) -> Response:
    """Oldest first. `next` is the `after` of the following page. A stream ends after the job's last event."""
    return await live.answer(asked, job, EVENTS)


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
