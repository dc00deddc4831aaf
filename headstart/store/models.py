"""Models: names, versions, aliases; publishing a job's artifact as the next version."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, aliased

from headstart.errors import BadInput, Conflict, Fault, not_found
from headstart.specs import models as specs
from headstart.specs.ids import is_id, new_id
from headstart.specs.jobs import JobStatus
from headstart.store import parents
from headstart.store.pages import page
from headstart.store.references import parse_reference
from headstart.store.states import TERMINAL
from headstart.store.tables import Artifact, Backbone, Job, Model, ModelAlias, ModelVersion


def artifact_key(job_id: str, epoch: int) -> str:
    """Blob folder of the artifact that attempt `epoch` of a job wrote: a stale attempt writes elsewhere."""
    return f"{artifacts_key(job_id)}/e{epoch}"


def artifacts_key(job_id: str) -> str:
    """Blob folder of what all attempts of a job wrote."""
    return f"artifacts/{job_id}"


@dataclass(frozen=True, slots=True)
class Served:
    """All that prediction needs to know of a model version."""

    model: str
    version: int
    artifact_id: str
    artifact_blob: str
    parent_blobs: tuple[str, ...]
    """Of the artifacts that it stands on, oldest first; empty for most."""
    backbone: str
    backbone_sha256: str
    backbone_anatomy: dict[str, Any]
    inputs: tuple[str, ...]
    """What its inputs may hold, by name: all that any of its tasks reads."""


def publish(
    session: Session,
    job: Job,
    *,
    artifact_id: str,
    blob: str,
    size_bytes: int,
    tasks: list[specs.ModelTask],
    metrics: dict[str, dict[str, float]],
    now: datetime,
) -> int:
    """The artifact as the next version of the job's model; the caller moves the job in the same transaction."""
    artifact = Artifact(
        id=artifact_id,
        workspace_id=job.workspace_id,
        job_id=job.id,
        backbone_id=job.backbone_id,
        parent_id=job.parent_id,
        blob=blob,
        bytes=size_bytes,
        created_at=now,
    )
    session.add(artifact)
    session.flush()
    model = _obtain(session, job.workspace_id, job.model_name, now=now)
    raised = update(Model).where(Model.id == model.id).values(latest=Model.latest + 1).returning(Model.latest)
    version = session.execute(raised.execution_options(synchronize_session=False)).scalar_one()
    session.add(
        ModelVersion(
            model_id=model.id,
            version=version,
            artifact_id=artifact_id,
            tasks={"tasks": [task.model_dump() for task in tasks]},
            metrics=metrics,
            created_at=now,
        )
    )
    session.flush()
    session.expire(model)
    return version


def _obtain(session: Session, workspace_id: str, name: str, *, now: datetime) -> Model:
    """The model of this name, made if absent; a name that was deleted goes on counting where it stopped."""
    found = session.scalars(_alive(workspace_id).where(Model.name == name)).first()
    if found is not None:
        return found
    latest = session.scalar(select(func.max(Model.latest)).where(Model.workspace_id == workspace_id, Model.name == name)) or 0
    model = Model(id=new_id("mdl"), workspace_id=workspace_id, name=name, latest=latest, created_at=now, deleted_at=None)
    try:
        with session.begin_nested():
            session.add(model)
        return model
    except IntegrityError:
        return session.scalars(_alive(workspace_id).where(Model.name == name)).one()


def _alive(workspace_id: str) -> Select[Model]:
    return select(Model).where(Model.workspace_id == workspace_id, Model.deleted_at.is_(None))


def get_model(session: Session, workspace_id: str, reference: str) -> Model:
    """By name or id."""
    column = Model.id if is_id(reference, "mdl") else Model.name
    model = session.scalars(_alive(workspace_id).where(column == reference)).first()
    if model is None:
        raise not_found("model")
    return model


def list_models(session: Session, workspace_id: str, *, limit: int, after: str | None) -> tuple[list[Model], str | None]:
    return page(session, _alive(workspace_id), Model.id, limit=limit, after=after)


def aliases_of(session: Session, models: list[Model]) -> dict[str, dict[str, int]]:
    """Aliases of all these models by model id, in one query."""
    found: dict[str, dict[str, int]] = {model.id: {} for model in models}
    query = select(ModelAlias).where(ModelAlias.model_id.in_(found)).order_by(ModelAlias.alias)
    for alias in session.scalars(query):
        found[alias.model_id][alias.alias] = alias.version
    return found


def list_versions(session: Session, model: Model, *, limit: int, before: int | None) -> tuple[list[specs.ModelVersion], int | None]:
    """Newest first; the second value is the `before` of the next page."""
    query = _versions(model)
    if before is not None:
        query = query.where(ModelVersion.version < before)
    rows = session.execute(query.order_by(ModelVersion.version.desc()).limit(limit + 1)).all()
    shown = [_version_view(model, *row) for row in rows[:limit]]
    return shown, shown[-1].version if len(rows) > limit else None


def get_version(session: Session, model: Model, version: int) -> specs.ModelVersion:
    row = session.execute(_versions(model).where(ModelVersion.version == version)).first()
    if row is None:
        raise not_found("model version")
    return _version_view(model, *row)


def _versions(model: Model) -> Select[ModelVersion, Artifact, str, str | None, int | None]:
    parent, parent_version = aliased(Model), aliased(ModelVersion)
    return (
        select(ModelVersion, Artifact, Backbone.name, parent.name, parent_version.version)
        .join(Artifact, Artifact.id == ModelVersion.artifact_id)
        .join(Backbone, Backbone.id == Artifact.backbone_id)
        .outerjoin(parent_version, parent_version.artifact_id == Artifact.parent_id)
        .outerjoin(parent, parent.id == parent_version.model_id)
        .where(ModelVersion.model_id == model.id)
    )


def put_alias(session: Session, model: Model, alias: str, version: int) -> None:
    """Point `alias` at `version`, whether or not it was there.

    Raises:
        BadInput: the model has no such version.
        NotFound: the model was deleted meanwhile.
    """
    _hold(session, model)
    if session.get(ModelVersion, (model.id, version)) is None:
        message = f"no version {version}"
        raise BadInput(
            "invalid_field", f"The model has no version {version}.", f"The newest is {model.latest}.", (Fault("/version", message),)
        )
    row = session.get(ModelAlias, (model.id, alias))
    if row is None:
        session.add(ModelAlias(model_id=model.id, alias=alias, version=version))
    else:
        row.version = version
    session.flush()


def delete_alias(session: Session, model: Model, alias: str) -> None:
    _hold(session, model)
    row = session.get(ModelAlias, (model.id, alias))
    if row is None:
        raise not_found("alias")
    session.delete(row)
    session.flush()


def _hold(session: Session, model: Model) -> None:
    """One at a time changes the aliases of a model, or deletes it."""
    session.refresh(model, with_for_update=True)
    if model.deleted_at is not None:
        raise not_found("model")


def delete_model(session: Session, workspace_id: str, reference: str, *, now: datetime) -> list[str]:
    """Hide a model and all its versions; gives the blobs that nobody needs any more.

    Raises:
        Conflict: `in_use`, an alias points to it or a job that is not finished will publish to it.
    """
    model = get_model(session, workspace_id, reference)
    session.refresh(model, with_for_update=True)  # a job that is being created on it holds it, or will not find it
    alias = session.scalars(select(ModelAlias.alias).where(ModelAlias.model_id == model.id).limit(1)).first()
    if alias is not None:
        raise Conflict("in_use", f"The alias '{alias}' points to this model.", "Delete its aliases first.")
    running = select(Job.id).where(Job.workspace_id == workspace_id, Job.model_name == model.name, Job.status.not_in(TERMINAL))
    job = session.scalars(running.limit(1)).first()
    if job is not None:
        raise Conflict("in_use", f"Job {job} will publish a version of this model.", "Wait for it, or cancel it.")
    own = list(session.scalars(select(ModelVersion.artifact_id).where(ModelVersion.model_id == model.id)))
    starting = select(Job.id).where(Job.parent_id.in_(own), Job.status.not_in(TERMINAL))
    job = session.scalars(starting.limit(1)).first()
    if job is not None:
        raise Conflict("in_use", f"Job {job} starts from this model.", "Wait for it, or cancel it.")
    session.execute(delete(ModelAlias).where(ModelAlias.model_id == model.id))
    model.deleted_at = now
    session.flush()
    return [artifact.blob for artifact in parents.unneeded(session, own)]


def find_version(session: Session, workspace_id: str, reference: str) -> tuple[Model, ModelVersion, Artifact, Backbone] | None:
    """What `name`, `name:3`, `name@prod` or a model's id means right now."""
    parsed = parse_reference(reference)
    query = (
        select(Model, ModelVersion, Artifact, Backbone)
        .join(ModelVersion, ModelVersion.model_id == Model.id)
        .join(Artifact, Artifact.id == ModelVersion.artifact_id)
        .join(Backbone, Backbone.id == Artifact.backbone_id)
        .where(Model.workspace_id == workspace_id, Model.deleted_at.is_(None))
    )
    if is_id(reference, "mdl"):
        query = query.where(Model.id == reference, ModelVersion.version == Model.latest)
    elif parsed is None:
        return None
    elif parsed.alias is not None:
        pointed = (ModelAlias.model_id == Model.id) & (ModelAlias.alias == parsed.alias)
        query = query.join(ModelAlias, pointed).where(Model.name == parsed.name, ModelVersion.version == ModelAlias.version)
    else:
        query = query.where(Model.name == parsed.name, ModelVersion.version == (parsed.version or Model.latest))
    row = session.execute(query).first()
    return None if row is None else (row[0], row[1], row[2], row[3])


def tasks_of(version: ModelVersion) -> list[specs.ModelTask]:
    """What its heads learnt."""
    return [specs.ModelTask.model_validate(task) for task in version.tasks["tasks"]]


def find_served(session: Session, workspace_id: str, reference: str) -> Served | None:
    """The same, with all that prediction needs."""
    found = find_version(session, workspace_id, reference)
    if found is None:
        return None
    model, version, artifact, backbone = found
    if backbone.sha256 is None or backbone.anatomy is None:
        return None
    return Served(
        model=model.name,
        version=version.version,
        artifact_id=artifact.id,
        artifact_blob=artifact.blob,
        parent_blobs=tuple(parent.blob for parent in parents.chain(session, artifact.parent_id)),
        backbone=backbone.name,
        backbone_sha256=backbone.sha256,
        backbone_anatomy=backbone.anatomy,
        inputs=tuple(dict.fromkeys(name for task in version.tasks["tasks"] for name in task["inputs"])),
    )


def published_by(session: Session, job_id: str) -> tuple[str, int] | None:
    """The model name and version that a job has published, if it has."""
    query = (
        select(Model.name, ModelVersion.version)
        .join(ModelVersion, ModelVersion.model_id == Model.id)
        .join(Artifact, Artifact.id == ModelVersion.artifact_id)
        .join(Job, Job.id == Artifact.job_id)
        .where(Job.id == job_id, Job.status == JobStatus.SUCCEEDED)
    )
    row = session.execute(query).first()
    return None if row is None else (row[0], row[1])


def view(model: Model, aliases: dict[str, int]) -> specs.Model:
    return specs.Model(object="model", id=model.id, name=model.name, latest=model.latest, aliases=aliases, created_at=model.created_at)


def _version_view(
    model: Model, version: ModelVersion, artifact: Artifact, backbone: str, parent: str | None, parent_version: int | None
) -> specs.ModelVersion:
    return specs.ModelVersion(
        object="model_version",
        model=model.name,
        version=version.version,
        artifact=artifact.id,
        job=artifact.job_id,
        backbone=backbone,
        parent=None if parent is None else f"{parent}:{parent_version}",
        artifact_bytes=artifact.bytes,
        tasks=tasks_of(version),
        metrics=version.metrics,
        created_at=version.created_at,
    )
