"""Jobs as work: have the plan carried out, publish the artifact in one transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from headstart.blobs.local import LocalBlobs
from headstart.errors import quote
from headstart.settings import Settings
from headstart.specs.ids import new_id
from headstart.specs.jobs import JobStatus, Progress
from headstart.specs.models import ModelTask
from headstart.specs.problems import Failure
from headstart.specs.reports import Report
from headstart.store import backbones, datasets, jobs, leases, logs, models, parents
from headstart.store.leases import Lease
from headstart.store.tables import Backbone, Dataset, Job
from worker.messages import Message
from worker.work import End, Lost


class JobWork:
    kind, role = jobs.KIND, "engine"

    def request(self, session: Session, lease: Lease, settings: Settings, blobs: LocalBlobs) -> Message:
        job = session.get_one(Job, lease.id)
        backbone = session.get_one(Backbone, job.backbone_id)
        anatomy = backbones.anatomy_of(backbone)
        return {
            "do": self.kind,
            "job": job.id,
            "workspace": job.workspace_id,
            "spec": job.spec,
            "plan": job.plan,
            "anatomy": backbone.anatomy,
            "backbone": str(blobs.path(backbones.folder_key(anatomy.sha256))),
            "parents": [str(blobs.path(artifact.blob)) for artifact in parents.chain(session, job.parent_id)],
            "tables": [_table(dataset, blobs) for dataset in jobs.datasets_of(session, job)],
            "cache_bytes": settings.cache_bytes,
            "cache": str(settings.features),
            "blobs": str(blobs.root),
            "artifact": models.artifact_key(job.id, lease.epoch),
            "created_at": job.created_at.isoformat(),
            "threads": settings.threads,
            "device": settings.device,
            "failpoint": settings.failpoint,
        }

    def succeed(self, session: Session, lease: Lease, row: leases.Work, message: Message, *, now: datetime) -> None:
        assert isinstance(row, Job)  # noqa: S101 - the kind says so
        outcome, artifact_id = message["outcome"], new_id("art")
        version = models.publish(
            session,
            row,
            artifact_id=artifact_id,
            blob=models.artifact_key(row.id, lease.epoch),
            size_bytes=outcome["artifact_bytes"],
            tasks=[ModelTask.model_validate(task) for task in outcome["model_tasks"]],
            metrics=outcome["metrics"],
            now=now,
        )
        result = {
            "model": row.model_name,
            "version": version,
            "artifact": artifact_id,
            "metrics": outcome["metrics"],
            "baselines": outcome["baselines"],
        }
        progress = Progress.model_validate({**row.progress, "fraction": 1.0, "step": row.progress["steps"]})
        moved = jobs.move(
            session,
            row.id,
            JobStatus.SUCCEEDED,
            fence=lease.epoch,
            now=now,
            result=result,
            report=_report(row, outcome),
            progress=progress.model_dump(mode="json"),
            seconds={"features": round(outcome["seconds"]["features"], 4)},
            owner=None,
        )
        if not moved:
            raise Lost
        said = logs.Said(f"Succeeded: this is version {version} of the model {quote(row.model_name)}.", now)
        logs.add_line(session, row.id, said, attempt=lease.attempt)
        leases.finish(session, lease, "succeeded", now=now)

    def fail(self, session: Session, lease: Lease, row: leases.Work, failure: Failure, message: Message, *, now: datetime) -> None:  # noqa: ARG002
        if not leases.fail(session, self.kind, row, failure, now=now):
            raise Lost

    def seconds_allowed(self, request: Message, settings: Settings) -> float | None:  # noqa: ARG002
        """By the user's own word."""
        seconds: int | None = request["spec"]["max_seconds"]
        return seconds

    def clean(self, work_id: str, epoch: int, blobs: LocalBlobs, end: End) -> None:
        """Afterwards: only the published folder stays. A stale attempt takes away nothing but its own."""
        if end == "succeeded":
            blobs.keep_only(models.artifacts_key(work_id), f"e{epoch}")
        elif end == "failed":
            blobs.delete(models.artifacts_key(work_id))
        else:
            blobs.delete(models.artifact_key(work_id, epoch))


def _table(dataset: Dataset, blobs: LocalBlobs) -> Message:
    return {
        "name": datasets.versioned(dataset),
        "path": str(blobs.path(datasets.table_key(dataset.id, dataset.epoch))),
        "sha256": dataset.sha256,
        "table_sha256": datasets.profile_of(dataset).table_sha256,
    }


def _report(job: Job, outcome: dict[str, Any]) -> dict[str, Any]:
    return Report.model_validate(
        {
            "object": "report",
            "job": job.id,
            "method": job.plan["method"],
            "trainable_parameters": outcome["trainable_parameters"],
            "artifact_bytes": outcome["artifact_bytes"],
            "tasks": outcome["report_tasks"],
            "estimate": job.plan["estimate"],
            "actual": outcome["actual"],
            "cache": outcome["cache"],
            "precision": outcome["precision"],
        }
    ).model_dump(mode="json")
