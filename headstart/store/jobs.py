"""Jobs: rows, events, and the compare-and-swap that moves a job from one state to the next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, select, update
from sqlalchemy.orm import Session

from headstart.errors import Conflict, not_found
from headstart.specs import jobs as specs
from headstart.specs.ids import new_id
from headstart.specs.jobs import JobSpec, JobStatus
from headstart.specs.plans import Plan
from headstart.specs.problems import Failure
from headstart.store import logs
from headstart.store.pages import page
from headstart.store.states import RUNNING, may_follow
from headstart.store.tables import Artifact, Backbone, Dataset, Event, Job, JobDataset

KIND = "job"
NO_PROGRESS: dict[str, Any] = {"fraction": 0.0, "step": 0, "steps": 0, "epoch": 0, "epochs": 0}
TIMED = ("queued", "preparing", "training", "evaluating", "publishing")


@dataclass(frozen=True, slots=True)
class Happening:
    """An event before it has a number."""

    type: str
    data: dict[str, Any]
    at: datetime


def create_job(
    session: Session,
    workspace_id: str,
    spec: JobSpec,
    plan: Plan,
    *,
    dataset: Dataset,
    others: Sequence[Dataset] = (),
    backbone: Backbone,
    parent: Artifact | None,
    max_attempts: int,
    now: datetime,
) -> Job:
    """A queued job; the transaction that holds it also holds its first event.

    Args:
        dataset: the job's own.
        others: that its tasks name; the job's own may be among them.
        parent: of the model that stands in for the backbone, if one does.
    """
    job = Job(
        id=new_id("job"),
        workspace_id=workspace_id,
        dataset_id=dataset.id,
        backbone_id=backbone.id,
        parent_id=None if parent is None else parent.id,
        model_name=spec.model or dataset.name,
        status=JobStatus.QUEUED,
        status_at=now,
        spec=spec.model_dump(mode="json"),
        plan=plan.model_dump(mode="json"),
        progress=NO_PROGRESS,
        seconds=dict.fromkeys((*TIMED, "features"), 0.0),
        result=None,
        report=None,
        error=None,
        last_seq=0,
        created_at=now,
        started_at=None,
        finished_at=None,
        max_attempts=max_attempts,
    )
    session.add(job)
    session.flush()
    session.add_all(JobDataset(job_id=job.id, dataset_id=each) for each in {other.id for other in others} - {dataset.id})
    _add_events(session, job.id, [Happening("status", {"from": None, "to": JobStatus.QUEUED}, now)], attempt=0)
    return job


def _of(workspace_id: str) -> Select[Job]:
    return select(Job).where(Job.workspace_id == workspace_id)


def get_job(session: Session, workspace_id: str, job_id: str) -> Job:
    job = session.scalars(_of(workspace_id).where(Job.id == job_id)).first()
    if job is None:
        raise not_found("job")
    return job


def datasets_of(session: Session, job: Job) -> list[Dataset]:
    """What a job was planned for, whatever has been uploaded or deleted since: its own dataset first, then those that tasks name."""
    others = select(Dataset).join(JobDataset, JobDataset.dataset_id == Dataset.id).where(JobDataset.job_id == job.id).order_by(Dataset.id)
    return [session.get_one(Dataset, job.dataset_id), *session.scalars(others)]


def list_jobs(
    session: Session, workspace_id: str, *, status: JobStatus | None, limit: int, after: str | None
) -> tuple[list[Job], str | None]:
    query = _of(workspace_id)
    return page(session, query if status is None else query.where(Job.status == status), Job.id, limit=limit, after=after)


def _add_events(session: Session, job_id: str, happenings: Sequence[Happening], *, attempt: int) -> None:
    """The next lines of a job's history. The row's counter makes their numbers gap-free."""
    counted = update(Job).where(Job.id == job_id).values(last_seq=Job.last_seq + len(happenings)).returning(Job.last_seq)
    last = session.execute(counted.execution_options(synchronize_session=False)).scalar_one()
    session.add_all(
        Event(job_id=job_id, seq=seq, type=happening.type, attempt=attempt, at=happening.at, data=happening.data)
        for seq, happening in enumerate(happenings, start=last - len(happenings) + 1)
    )
    session.flush()


def list_events(session: Session, job_id: str, *, after: int, limit: int, type_: str | None = None) -> list[Event]:
    """Oldest first, those numbered above `after`, of one type or of all."""
    query = select(Event).where(Event.job_id == job_id, Event.seq > after).order_by(Event.seq).limit(limit)
    if type_ is not None:
        query = query.where(Event.type == type_)
    return list(session.scalars(query))


def move(session: Session, job_id: str, after: JobStatus, *, fence: int | None, now: datetime, **values: Any) -> bool:  # noqa: ANN401
    """Bring a job to the state `after`, with its event, if it may go there and `fence` is still its epoch.

    Args:
        fence: the epoch of the attempt that writes; None for what needs no lease (cancel).
        values: further columns of the same statement.

    Returns:
        Whether it was moved. False means that somebody else was first, and nothing was written.
    """
    job = session.scalars(select(Job).where(Job.id == job_id).execution_options(populate_existing=True)).one()
    before = JobStatus(job.status)
    if not may_follow(before, after) or (fence is not None and job.epoch != fence):
        return False
    seconds = {**job.seconds, **values.pop("seconds", {})}
    if before in TIMED:
        seconds[before] = round(seconds[before] + max(0.0, (now - job.status_at).total_seconds()), 4)
    if after.terminal:
        values.setdefault("finished_at", now)
    statement = (
        update(Job)
        .where(Job.id == job_id, Job.status == before, Job.epoch == job.epoch)
        .values(status=after, status_at=now, seconds=seconds, **values)
        .execution_options(synchronize_session=False)
    )
    if session.execute(statement).rowcount != 1:  # type: ignore[attr-defined] # an UPDATE gives a CursorResult
        return False
    attempt = values.get("attempt", job.attempt)
    _add_events(session, job_id, [Happening("status", {"from": before, "to": after}, now)], attempt=attempt)
    session.expire_all()
    return True


def cancel_job(session: Session, workspace_id: str, job_id: str, *, now: datetime) -> Job:
    """Queued: cancelled at once; running: cancelling, until its worker lets go.

    Raises:
        Conflict: `state_conflict`, it has ended.
    """
    job = get_job(session, workspace_id, job_id)
    for _ in range(3):
        status = JobStatus(job.status)
        if status in {JobStatus.CANCELLING, JobStatus.CANCELLED}:
            return job
        after = JobStatus.CANCELLING if status in RUNNING else JobStatus.CANCELLED
        if not may_follow(status, after):
            raise Conflict("state_conflict", f"The job has ended: it is {status}.", "Only a job that has not ended can be cancelled.")
        if move(session, job_id, after, fence=None, now=now):
            if after is JobStatus.CANCELLED:
                logs.add_line(session, job_id, logs.Said("Cancelled while it waited.", now), attempt=job.attempt)
            return get_job(session, workspace_id, job_id)
        session.expire_all()
        job = get_job(session, workspace_id, job_id)
    raise Conflict("state_conflict", "The job changed its state meanwhile.", "Try again.", retry_after_seconds=1)


def find_running(session: Session, job_id: str, *, epoch: int) -> Job | None:
    """The job, its row held, if the attempt that `epoch` fences may still write."""
    held = select(Job).where(Job.id == job_id, Job.epoch == epoch, Job.status.in_(RUNNING)).with_for_update()
    return session.scalars(held.execution_options(populate_existing=True)).first()


def note(session: Session, job: Job, happenings: Sequence[Happening]) -> None:
    """Write what happened to a job whose row is held; the newest progress also into the row."""
    for happening in happenings:
        if happening.type == "progress":
            job.progress = specs.Progress.model_validate(happening.data).model_dump(mode="json")
    if happenings:
        _add_events(session, job.id, happenings, attempt=job.attempt)


def view(job: Job) -> specs.Job:
    return specs.Job(
        object="job",
        id=job.id,
        status=JobStatus(job.status),
        spec=JobSpec.model_validate(job.spec),
        plan=Plan.model_validate(job.plan),
        attempt=job.attempt,
        max_attempts=job.max_attempts,
        progress=specs.Progress.model_validate(job.progress),
        seconds=specs.Seconds.model_validate(job.seconds),
        result=None if job.result is None else specs.JobResult.model_validate(job.result),
        error=None if job.error is None else Failure.model_validate(job.error),
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
    )


def event_view(event: Event) -> specs.Event:
    return specs.Event(
        object="event",
        seq=event.seq,
        type=event.type,
        attempt=event.attempt,
        at=event.at,
        data=event.data,
    )
