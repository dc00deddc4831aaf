"""Datasets as work: read an upload in the reader, write down what it holds."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from headstart.blobs.local import LocalBlobs
from headstart.settings import Settings
from headstart.specs.datasets import DatasetProfile, RowProblem
from headstart.specs.problems import Failure
from headstart.store import datasets, leases
from headstart.store.leases import Lease
from headstart.store.tables import Dataset
from worker.messages import Message
from worker.work import End


class DatasetWork:
    kind, role = datasets.KIND, "reader"

    def request(self, session: Session, lease: Lease, settings: Settings, blobs: LocalBlobs) -> Message:
        row = session.get_one(Dataset, lease.id)
        return {
            "do": self.kind,
            "source": str(blobs.path(datasets.upload_key(row.id))),
            "target": str(blobs.path(datasets.table_key(row.id, lease.epoch))),
            "format": row.format,
            "types": row.types,
            "mode": row.mode,
            "parent": _parent(session, row, blobs),
            "max_problems": settings.max_problems,
            "memory_bytes": settings.read_memory_bytes,
            "cpu_seconds": settings.read_cpu_seconds,
            "file_bytes": 4 * settings.max_upload_bytes,
        }

    def succeed(self, session: Session, lease: Lease, row: leases.Work, message: Message, *, now: datetime) -> None:
        assert isinstance(row, Dataset)  # noqa: S101 - the kind says so
        datasets.mark_read(row, DatasetProfile.model_validate(message["profile"]))
        session.flush()
        leases.finish(session, lease, "succeeded", now=now)

    def fail(self, session: Session, lease: Lease, row: leases.Work, failure: Failure, message: Message, *, now: datetime) -> None:
        assert isinstance(row, Dataset)  # noqa: S101
        problems = [RowProblem.model_validate(problem) for problem in message.get("problems", [])]
        datasets.mark_invalid(row, failure, problems, message.get("problem_count", len(problems)))
        session.flush()
        leases.finish(session, lease, "failed", now=now)

    def seconds_allowed(self, request: Message, settings: Settings) -> float | None:  # noqa: ARG002
        """Twice its CPU time, for a machine that is busy."""
        return 2 * settings.read_cpu_seconds

    def clean(self, work_id: str, epoch: int, blobs: LocalBlobs, end: End) -> None:
        """Afterwards: a good upload leaves only the table of the attempt that read it, an invalid one nothing."""
        if end == "succeeded":
            blobs.keep_only(datasets.folder_key(work_id), f"e{epoch}")
        elif end == "failed":
            blobs.delete(datasets.folder_key(work_id))
        else:
            blobs.delete(f"{datasets.folder_key(work_id)}/e{epoch}")


def _parent(session: Session, row: Dataset, blobs: LocalBlobs) -> Message | None:
    """Where the rows are that the new ones are joined with; nobody deletes them while this one is unread."""
    if row.parent_id is None:
        return None
    parent = session.get_one(Dataset, row.parent_id)
    table = blobs.path(datasets.table_key(parent.id, parent.epoch))
    return {"table": str(table), "sha256": datasets.profile_of(parent).table_sha256, "how": row.parent_how, "key": row.parent_key}
