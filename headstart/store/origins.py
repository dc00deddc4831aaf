"""What a job starts from: a backbone, or a model that stands in for one, with what it learnt merged and its heads dropped."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from headstart.specs.models import ModelTask
from headstart.store import backbones, models
from headstart.store.tables import Artifact, Backbone, Dataset, Job


@dataclass(frozen=True, slots=True)
class Origin:
    """`parent` and its `name`, such as `reviews:3`, are None when the backbone itself was named; `datasets` are what it learnt from, by name."""

    backbone: Backbone
    parent: Artifact | None = None
    name: str | None = None
    datasets: frozenset[str] = frozenset()
    tasks: list[ModelTask] = field(default_factory=list)


def resolve_origin(session: Session, workspace_id: str, reference: str, *, pointer: str) -> Origin:
    """What a body names as its backbone; a backbone comes before a model of the same name.

    Raises:
        BadInput: `backbone_not_found`, it is neither; or the backbone turned out invalid.
        Conflict: `dataset_not_ready`, a worker is still reading the backbone.
    """
    if backbones.find_backbone(session, workspace_id, reference) is None:
        found = models.find_version(session, workspace_id, reference)
        if found is not None:
            model, version, artifact, backbone = found
            session.refresh(model, with_for_update=True)  # a deletion waits for us, or has come first
            if model.deleted_at is None:
                tasks = models.tasks_of(version)
                return Origin(backbone, artifact, f"{model.name}:{version.version}", _learnt_from(session, artifact), tasks)
    return Origin(backbones.resolve_backbone(session, workspace_id, reference, pointer=pointer))


def _learnt_from(session: Session, artifact: Artifact) -> frozenset[str]:
    """The names of the datasets of the job that made it, as its plan has them; of older plans, of the job's own."""
    job = session.get_one(Job, artifact.job_id)
    names = {task.get("dataset") for task in job.plan["tasks"]} - {None}
    return frozenset(name.partition(":")[0] for name in names or {session.get_one(Dataset, job.dataset_id).name})
