"""What a job starts from: a backbone, or a model that stands in for one, with what it learnt merged and its heads dropped."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session

from headstart.specs.models import ModelTask
from headstart.store import backbones, models
from headstart.store.tables import Artifact, Backbone, Dataset, Job


@dataclass(frozen=True, slots=True)
class Origin:
    """`parent` and its `name`, such as `reviews:3`, are None when the backbone itself was named; `dataset` is what it learnt from."""

    backbone: Backbone
    parent: Artifact | None = None
    name: str | None = None
    dataset: str | None = None
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
                learnt_from = session.scalar(select(Dataset.name).join(Job, Job.dataset_id == Dataset.id).where(Job.id == artifact.job_id))
                tasks = models.tasks_of(version)
                return Origin(backbone, artifact, f"{model.name}:{version.version}", learnt_from, tasks)
    return Origin(backbones.resolve_backbone(session, workspace_id, reference, pointer=pointer))
