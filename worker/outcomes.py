"""What an attempt says, written down: each in one transaction that checks the lease's epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime

import structlog
from sqlalchemy.orm import Session

from headstart.blobs.local import LocalBlobs
from headstart.specs.jobs import JobStatus
from headstart.specs.problems import Failure
from headstart.store import jobs, leases, logs
from headstart.store.database import Database
from headstart.store.leases import Lease
from headstart.store.tables import Dataset
from worker.messages import Message
from worker.work import End, Lost, Work

log = structlog.get_logger()


ENDS: Mapping[str, End] = {
    "succeeded": "succeeded",
    "ready": "succeeded",
    "failed": "failed",
    "invalid": "failed",
    JobStatus.CANCELLED: "failed",
}
"""By the row's status; any other is `again`."""

CLOSED = Failure(code="worker_lost", message="The attempt had ended already.", hint=None)


class Outcomes:
    """Writes for whoever still holds the lease; what comes too late is refused and logged."""

    def __init__(self, database: Database, blobs: LocalBlobs, work: Mapping[str, Work]) -> None:
        self._database, self._blobs, self._work = database, blobs, work

    def renew(self, lease: Lease) -> leases.Work | None:
        with self._database.write() as session:
            return leases.renew(session, lease)

    def stage(self, lease: Lease, status: JobStatus, *, now: datetime) -> bool:
        """Whether the job is in `status` now."""
        with self._database.write() as session:
            moved = jobs.move(session, lease.id, status, fence=lease.epoch, now=now)
        log.info("job_stage", job_id=lease.id, status=str(status), accepted=moved)
        return moved

    def note(self, lease: Lease, message: Message) -> bool:
        """Write what a job's attempt has gathered to tell, all or nothing; whether the lease still holds."""
        happenings = [jobs.Happening(event["type"], event["data"], datetime.fromisoformat(event["at"])) for event in message["events"]]
        lines = [logs.Said(line["message"], datetime.fromisoformat(line["at"]), line["level"]) for line in message["lines"]]
        with self._database.write() as session:
            job = jobs.find_running(session, lease.id, epoch=lease.epoch)
            if job is not None:
                jobs.note(session, job, happenings)
                logs.add_lines(session, job, lines)
        return job is not None

    def succeed(self, lease: Lease, message: Message, *, now: datetime) -> None:
        """Write down the result; when a cancel came first, that stands."""
        self._close(lease, lambda session, row: self._work[lease.kind].succeed(session, lease, row, message, now=now), now)

    def fail(self, lease: Lease, failure: Failure, message: Message, *, now: datetime) -> None:
        """Write down why trying again would not help."""
        log.info("attempt_failed", kind=lease.kind, id=lease.id, code=failure.code)
        self._close(lease, lambda session, row: self._work[lease.kind].fail(session, lease, row, failure, message, now=now), now)

    def lose(self, kind: str, work_id: str, epoch: int, failure: Failure, *, now: datetime, beat: int | None = None) -> bool:
        """The attempt died: the work waits again, is cancelled if that was asked, or has failed for good. Whether this call ended it.

        Args:
            beat: when given, only if the counter still stands there.
        """
        with self._database.write() as session:
            ended = leases.lose(session, kind, work_id, epoch, failure=failure, beat=beat, now=now)
            row = leases.find(session, kind, work_id)
        if row is not None and (ended or row.owner is None or row.epoch != epoch):
            self._work[kind].clean(work_id, epoch, self._blobs, _end_of(row, epoch))
        return ended

    def _close(self, lease: Lease, write: Callable[[Session, leases.Work], None], now: datetime) -> None:
        """Let `write` end the attempt if the lease still holds. It may have ended in a commit whose answer was lost: then that stands."""
        try:
            with self._database.write() as session:
                row = leases.held(session, lease)
                if row is not None:
                    write(session, row)
        except Lost:
            row = None
        if row is None:
            log.warning("result_refused", kind=lease.kind, id=lease.id, epoch=lease.epoch)
        self.lose(lease.kind, lease.id, lease.epoch, CLOSED, now=now)


def _end_of(row: leases.Work, epoch: int) -> End:
    """How attempt `epoch` ended for the files it wrote."""
    if isinstance(row, Dataset) and row.deleted_at is not None:
        return "failed"  # its files went with the DELETE, and the attempt has written new ones since
    # of a row that another attempt has, or waits for, only what this epoch wrote may go
    return ENDS.get(row.status, "again") if row.epoch == epoch else "again"
