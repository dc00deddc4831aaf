"""A job's log: what its attempts say, and what began and ended them."""

from __future__ import annotations

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from app import live
from app.live import AskedHere
from app.requests import StrictRoute
from headstart.specs.jobs import LogLine
from headstart.specs.pages import Page
from headstart.store import logs as store

router = APIRouter(route_class=StrictRoute, tags=["jobs"])


def _read(session: Session, job_id: str, after: int, limit: int) -> list[LogLine]:
    return [store.view(line) for line in store.list_lines(session, job_id, after=after, limit=limit)]


LINES = live.Source(_read, lambda line: line.object)


@router.get("/v1/jobs/{job}/logs", response_model=Page[LogLine], responses=live.RESPONSES)
async def list_job_logs(job: str, asked: AskedHere) -> Response:
    """Lines for people, oldest first. `next` is the `after` of the following page. A stream ends after the job's last line."""
    return await live.answer(asked, job, LINES)
