"""Jobs: create, follow, cancel."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from starlette.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse

from app.dependencies import CallerHere, Creating, PageHere, Reading, Shared, answer, paged, respond
from app.openapi import Responses, made, problems
from app.requests import StrictRoute
from app.routes.plans import planned
from app.services import Services
from headstart.errors import NotFound
from headstart.rendering.report_page import report_headers, report_page
from headstart.specs.jobs import Job, JobSpec, JobStatus
from headstart.specs.pages import Page
from headstart.specs.reports import Report
from headstart.store import jobs as store
from headstart.store import models
from headstart.store.idempotency import Answer

router = APIRouter(route_class=StrictRoute, tags=["jobs"])

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 0.5


@router.post("/v1/jobs", status_code=202, response_model=Job, responses=made(202, "job") | problems(400, 409, 413, 415))
def create_job(body: JobSpec, caller: CallerHere, work: Creating, services: Shared) -> Response:
    """Adapt a backbone to a dataset. What the job will do stands in its `plan` at once."""

    def make() -> Answer:
        session, workspace = work.session, caller.workspace_id
        spec = body.resolved()
        found = planned(session, workspace, spec, services)
        row = store.create_job(
            session,
            workspace,
            spec,
            found.plan,
            dataset=found.dataset,
            others=found.others,
            backbone=found.origin.backbone,
            parent=found.origin.parent,
            max_attempts=services.settings.max_attempts,
            now=work.now,
        )
        work.after_commit(partial(services.bell.ring, row.id))
        return answer(store.view(row), 202, f"/v1/jobs/{row.id}")

    return respond(work.once(make))


@router.get("/v1/jobs", responses=problems())
def list_jobs(
    caller: CallerHere,
    session: Reading,
    page: PageHere,
    status: Annotated[JobStatus | None, Query(description="Only jobs in this state.")] = None,
) -> Page[Job]:
    rows, following = store.list_jobs(session, caller.workspace_id, status=status, limit=page.limit, after=page.after)
    return paged([store.view(row) for row in rows], following)


@router.get("/v1/jobs/{job}", responses=problems(404))
async def get_job(
    job: str,
    request: Request,
    caller: CallerHere,
    services: Shared,
    wait: Annotated[int, Query(ge=0, le=60, description="Seconds to wait for the job to end.")] = 0,
) -> Job:
    """The job as it is; with `wait`, once it has ended or the seconds are over."""
    until = time.monotonic() + wait
    pause = FIRST_PAUSE_SECONDS
    while True:
        view = await run_in_threadpool(_read, services, caller.workspace_id, job)
        left = until - time.monotonic()
        if view.status.terminal or left <= 0 or services.stopping.is_set() or await request.is_disconnected():
            return view
        await asyncio.sleep(min(pause, left))
        pause = min(pause * 1.5, LONGEST_PAUSE_SECONDS)


def _read(services: Services, workspace_id: str, job_id: str) -> Job:
    with services.database.read() as session:
        return store.view(store.get_job(session, workspace_id, job_id))


@router.post("/v1/jobs/{job}/cancel", status_code=202, response_model=Job, responses=problems(404, 409))
def cancel_job(job: Annotated[str, Path()], caller: CallerHere, work: Creating, services: Shared) -> Response:
    """A waiting job is cancelled at once, a running one as soon as its worker lets go of it."""

    def make() -> Answer:
        row = store.cancel_job(work.session, caller.workspace_id, job, now=work.now)
        if row.status == JobStatus.CANCELLED:  # what an attempt that died has written; a running one is tidied by its worker
            work.after_commit(partial(services.blobs.delete, models.artifacts_key(row.id)))
        work.after_commit(partial(services.bell.ring, row.id))
        return answer(store.view(row), 202)

    return respond(work.once(make))


_PAGE: Responses = {
    200: {
        "description": "The numbers; or the same as a page for people, that loads nothing and runs nothing, when HTML is asked for.",
        "content": {"text/html": {"schema": {"type": "string"}}},
    }
}


@router.get("/v1/jobs/{job}/report", response_model=Report, responses=_PAGE | problems(404))
def get_job_report(
    job: str,
    request: Request,
    caller: CallerHere,
    services: Shared,
    format: Annotated[  # noqa: A002 - the contract's word
        Literal["json", "html"] | None,
        Query(description="What to answer with; else it is what `Accept` names, and JSON if it names neither."),
    ] = None,
) -> Report | Response:
    """What the transfer was worth; there once the job has succeeded."""
    with services.database.read() as session:
        row = store.get_job(session, caller.workspace_id, job)
    if row.report is None:
        raise NotFound("not_found", "The job has no report.", f"It is {row.status}; a job that has succeeded has one.")
    report = Report.model_validate(row.report)
    if format == "json" or (format is None and not _wants_page(request.headers.get("accept", ""))):
        return report
    view = store.view(row)
    learnt_from = dict.fromkeys(task.dataset or view.spec.dataset for task in report.tasks.values())
    about = {"dataset": ", ".join(learnt_from), "backbone": view.spec.backbone}
    if view.result is not None:
        about["model"] = f"{view.result.model}:{view.result.version}"
    return HTMLResponse(report_page(report, about), headers={**report_headers(), "Vary": "Accept"})


def _wants_page(accept: str) -> bool:
    """Whether HTML is named, and before JSON if that is too."""
    kinds = [part.split(";")[0].strip().lower() for part in accept.split(",")]
    return next((kind for kind in kinds if kind in {"text/html", "application/json"}), "") == "text/html"
