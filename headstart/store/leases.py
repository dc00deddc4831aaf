"""Claim, beat, give back, lose: one mechanism for every kind of work that a worker takes.

A claim raises the row's `epoch`; every later write names that epoch and is refused once it is stale. A worker shows life by
raising `beat`; whoever sweeps judges by its own monotonic clock since the counter last moved, so no two clocks are compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.orm import Session

from headstart.specs.ids import new_id
from headstart.specs.jobs import JobStatus
from headstart.specs.problems import Failure
from headstart.store import backbones, datasets, jobs, logs
from headstart.store.states import RUNNING
from headstart.store.tables import Attempt, Backbone, Dataset, Job

Work = Dataset | Backbone | Job
WorkTable = type[Dataset] | type[Backbone] | type[Job]


@dataclass(frozen=True, slots=True)
class Kind:
    """Where one kind of work waits, and what it is called while a worker has it."""

    table: WorkTable
    waiting: str
    claimed: str
    failed: str


KINDS: dict[str, Kind] = {
    datasets.KIND: Kind(Dataset, "pending", "validating", "invalid"),
    backbones.KIND: Kind(Backbone, "pending", "pending", "invalid"),
    jobs.KIND: Kind(Job, JobStatus.QUEUED, JobStatus.PREPARING, JobStatus.FAILED),
}


@dataclass(frozen=True, slots=True)
class Lease:
    """A worker's right to one piece of work, until its epoch is stale."""

    kind: str
    id: str
    workspace_id: str
    owner: str
    epoch: int
    attempt: int
    max_attempts: int


CANDIDATES = 64
"""How many waiting rows are tried in one look; more workers than that claiming at once look again at the next ring."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """What a sweeper sees of a lease."""

    kind: str
    id: str
    epoch: int
    beat: int


def claim_next(session: Session, kinds: Sequence[str], *, owner: str, now: datetime) -> Lease | None:
    """The oldest waiting work of the first kind that has any, now leased to `owner`; None when nothing waits."""
    for kind in kinds:
        table: Any = KINDS[kind].table
        waiting = select(table.id, table.epoch).where(table.status == KINDS[kind].waiting, table.owner.is_(None)).order_by(table.id)
        if kind != jobs.KIND:
            waiting = waiting.where(table.deleted_at.is_(None))
        for work_id, epoch in session.execute(waiting.limit(CANDIDATES)).all():
            lease = _claim(session, kind, work_id, epoch, owner=owner, now=now)
            if lease is not None:
                return lease
    return None


def _claim(session: Session, kind: str, work_id: str, seen: int, *, owner: str, now: datetime) -> Lease | None:
    table = KINDS[kind].table
    row = _find(session, table, table.id == work_id)
    if row is None:
        return None
    taken: dict[str, Any] = {"owner": owner, "epoch": seen + 1, "beat": 0, "attempt": row.attempt + 1}
    if isinstance(row, Job):
        started = row.started_at or now
        if row.epoch != seen or not jobs.move(
            session, work_id, JobStatus.PREPARING, fence=seen, now=now, started_at=started, progress=jobs.NO_PROGRESS, **taken
        ):
            return None
    else:
        where = (table.id == work_id, table.status == KINDS[kind].waiting, table.owner.is_(None), table.epoch == seen)
        if _update(session, table, where, status=KINDS[kind].claimed, **taken) != 1:
            return None
    session.add(
        Attempt(
            id=new_id("att"),
            subject_id=work_id,
            epoch=seen + 1,
            number=row.attempt,
            owner=owner,
            started_at=now,
            finished_at=None,
            outcome=None,
        )
    )
    session.flush()
    session.refresh(row)
    if isinstance(row, Job):
        said = logs.Said(f"Claimed by attempt {row.attempt} of {row.max_attempts}.", now)
        logs.add_line(session, row.id, said, attempt=row.attempt)
    return Lease(kind, work_id, row.workspace_id, owner, row.epoch, row.attempt, row.max_attempts)


def held(session: Session, lease: Lease) -> Work | None:
    """The row, if this lease still holds it."""
    table = KINDS[lease.kind].table
    return _find(session, table, table.id == lease.id, table.epoch == lease.epoch, table.owner == lease.owner)


def find(session: Session, kind: str, work_id: str) -> Work | None:
    """The row as it is now, whoever holds it."""
    return _find(session, KINDS[kind].table, KINDS[kind].table.id == work_id)


def renew(session: Session, lease: Lease) -> Work | None:
    """Raise the beat; the row as it is now, or None when the lease is lost."""
    table = KINDS[lease.kind].table
    where = (table.id == lease.id, table.epoch == lease.epoch, table.owner == lease.owner)
    return held(session, lease) if _update(session, table, where, beat=table.beat + 1) == 1 else None


def finish(session: Session, lease: Lease, outcome: str, *, now: datetime) -> None:
    """Close the attempt and let the row go; the caller has moved the row to its last state in this transaction."""
    table = KINDS[lease.kind].table
    _update(session, table, (table.id == lease.id, table.epoch == lease.epoch), owner=None)
    _close_attempt(session, lease.id, lease.epoch, outcome, now=now)


def give_back(session: Session, lease: Lease, *, now: datetime) -> None:
    """Return work untouched, for example at SIGTERM: it waits again and the attempt does not count."""
    row = held(session, lease)
    if row is not None:
        said = logs.Said("Given back: its worker is stopping. This attempt does not count.", now)
        _release(session, lease.kind, row, said, outcome="given_back", attempt=row.attempt - 1)


def lose(session: Session, kind: str, work_id: str, epoch: int, *, failure: Failure, now: datetime, beat: int | None = None) -> bool:
    """End an attempt that died: the work waits for the next one, or fails with `failure` and its number when that was the last.

    Args:
        beat: when given, only if the counter still stands there; otherwise somebody is alive after all.

    Returns:
        Whether this call ended it.
    """
    table = KINDS[kind].table
    row = _find(session, table, table.id == work_id)
    if row is None or row.owner is None or row.epoch != epoch or (beat is not None and row.beat != beat):
        return False
    if row.attempt < row.max_attempts or row.status == JobStatus.CANCELLING:
        said = logs.Said(f"Lost: {_words(failure)} The next attempt follows.", now, "warning")
        return _release(session, kind, row, said, outcome="lost", attempt=row.attempt)
    last = failure.model_copy(update={"message": f"{failure.message} That was attempt {row.attempt} of {row.max_attempts}."})
    return fail(session, kind, row, last, now=now, outcome="lost")


def fail(session: Session, kind: str, row: Work, failure: Failure, *, now: datetime, outcome: str = "failed") -> bool:
    """Bring held work to its failed state for good."""
    epoch = row.epoch
    if isinstance(row, Job):
        if not jobs.move(session, row.id, JobStatus.FAILED, fence=epoch, now=now, error=failure.model_dump(), owner=None):
            return False
        logs.add_line(session, row.id, logs.Said(f"Failed: {_words(failure)}", now, "error"), attempt=row.attempt)
    else:
        table = KINDS[kind].table
        values = {"status": KINDS[kind].failed, "error": failure.model_dump(), "owner": None}
        if _update(session, table, (table.id == row.id, table.epoch == epoch), **values) != 1:
            return False
    _close_attempt(session, row.id, epoch, outcome, now=now)
    return True


def leased(session: Session) -> list[Pulse]:
    """Every lease that is out, for the sweeper."""
    pulses = []
    for kind, entry in KINDS.items():
        table = entry.table
        rows = session.execute(select(table.id, table.epoch, table.beat).where(table.owner.is_not(None))).all()
        pulses += [Pulse(kind, work_id, epoch, beat) for work_id, epoch, beat in rows]
    return pulses


def _release(session: Session, kind: str, row: Work, said: logs.Said, *, outcome: str, attempt: int) -> bool:
    """Let work wait again, counted as `attempt`; a job that is being cancelled ends instead. `said` is why, for a job's log."""
    epoch, work_id, number, now = row.epoch, row.id, row.attempt, said.at
    if isinstance(row, Job):
        if row.status == JobStatus.CANCELLING:
            said = logs.Said("Cancelled.", now)
            moved = jobs.move(session, work_id, JobStatus.CANCELLED, fence=epoch, now=now, owner=None)
        else:
            moved = row.status in RUNNING and jobs.move(
                session, work_id, JobStatus.QUEUED, fence=epoch, now=now, owner=None, attempt=attempt
            )
        if moved:
            logs.add_line(session, work_id, said, attempt=number)
    else:
        table = KINDS[kind].table
        values = {"status": KINDS[kind].waiting, "owner": None, "attempt": attempt}
        moved = _update(session, table, (table.id == work_id, table.epoch == epoch), **values) == 1
    if moved:
        _close_attempt(session, work_id, epoch, outcome, now=now)
    return moved


def _words(failure: Failure) -> str:
    return failure.message if failure.hint is None else f"{failure.message} {failure.hint}"


def _close_attempt(session: Session, work_id: str, epoch: int, outcome: str, *, now: datetime) -> None:
    where = (Attempt.subject_id == work_id, Attempt.epoch == epoch, Attempt.finished_at.is_(None))
    _update(session, Attempt, where, finished_at=now, outcome=outcome)


def _find(session: Session, table: WorkTable, *where: ColumnElement[bool]) -> Work | None:
    # locked until the transaction ends, so that what is read here still holds when it is written to (SQLite locks by BEGIN IMMEDIATE)
    query = select(table).where(*where).with_for_update().execution_options(populate_existing=True)
    return cast("Work | None", session.scalars(query).first())


def _update(session: Session, table: type[Any], where: Sequence[Any], **values: Any) -> int:  # noqa: ANN401 - columns of any type
    statement = update(table).where(*where).values(**values).execution_options(synchronize_session=False)
    count: int = session.execute(statement).rowcount  # type: ignore[attr-defined] # an UPDATE gives a CursorResult
    session.expire_all()
    return count
