"""What earlier jobs of a workspace took, for the estimates of its next ones. Other workspaces' jobs are never asked."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import select
from sqlalchemy.orm import Session

from headstart.specs.history import Kind, PastJob, kind_of
from headstart.specs.jobs import JobStatus, Method
from headstart.store.tables import Job

MOST_JOBS = 50
WINDOW = 200
"""Of so many newest jobs, whatever became of them: what is read stays bounded, and what is old counts no more."""

_METHOD: TypeAdapter[Method] = TypeAdapter(Method)


def jobs_like(session: Session, workspace_id: str, kind: Kind) -> list[PastJob]:
    """The newest jobs of this kind that have succeeded, newest first."""
    return list(islice(_alike(session, workspace_id, kind), MOST_JOBS))


def _alike(session: Session, workspace_id: str, kind: Kind) -> Iterator[PastJob]:
    newest = select(Job.id).where(Job.workspace_id == workspace_id).order_by(Job.id.desc()).limit(WINDOW).subquery()
    # Only what is needed of each: a report or the list of what learns may be long.
    taken = {
        "method": Job.spec["method"],
        "task": Job.spec["tasks"][0]["type"],
        "estimate": Job.plan["estimate"],
        "correction": Job.plan["correction"],
        "actual": Job.report["actual"],
        "cache": Job.report["cache"],
    }
    query = (
        select(*(value.label(name) for name, value in taken.items()))
        .where(Job.id.in_(select(newest.c.id)), Job.status == JobStatus.SUCCEEDED, Job.report.is_not(None))
        .order_by(Job.id.desc())
    )
    for row in session.execute(query).mappings():
        if kind_of(_METHOD.validate_python(row["method"]), row["task"]) == kind:
            yield _past(row)


def _past(row: Any) -> PastJob:  # noqa: ANN401 - a row of the query above
    return PastJob.model_validate({"estimate": row["estimate"], "correction": row["correction"], "actual": row["actual"], **row["cache"]})
