"""Backbones: registered under a name, read once by a worker, shared by content."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Select, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from headstart.errors import BadInput, Conflict, Fault, closest, invalid_field, listing, not_found, quote
from headstart.specs import backbones as specs
from headstart.specs.ids import is_id, new_id
from headstart.specs.problems import Failure
from headstart.store.pages import page
from headstart.store.states import TERMINAL
from headstart.store.tables import Artifact, Backbone, Job, Model, ModelAlias, ModelVersion

KIND = "backbone"
FOLDER = "backbones"
STAGING = "staging"
"""Where a worker copies a folder before its content is known."""


def folder_key(sha256: str) -> str:
    """Blob folder of a backbone's files: by content, so that workspaces share what is equal."""
    return f"{FOLDER}/{sha256}"


def create_backbone(session: Session, workspace_id: str, body: specs.CreateBackbone, *, max_attempts: int, now: datetime) -> Backbone:
    """`pending` until a worker has read it.

    Raises:
        Conflict: `state_conflict`, the name is taken.
    """
    backbone = Backbone(
        id=new_id("bb"),
        workspace_id=workspace_id,
        name=body.name,
        source=body.source,
        status="pending",
        sha256=None,
        anatomy=None,
        error=None,
        created_at=now,
        deleted_at=None,
        max_attempts=max_attempts,
    )
    try:
        with session.begin_nested():
            session.add(backbone)
    except IntegrityError as error:
        raise Conflict(
            "state_conflict", f"There is a backbone {quote(body.name)} already.", "Use it, choose another name, or delete it first."
        ) from error
    return backbone


def _alive(workspace_id: str) -> Select[Backbone]:
    return select(Backbone).where(Backbone.workspace_id == workspace_id, Backbone.deleted_at.is_(None))


def find_backbone(session: Session, workspace_id: str, reference: str) -> Backbone | None:
    """By id or by name."""
    column = Backbone.id if is_id(reference, "bb") else Backbone.name
    return session.scalars(_alive(workspace_id).where(column == reference)).first()


def get_backbone(session: Session, workspace_id: str, reference: str) -> Backbone:
    backbone = find_backbone(session, workspace_id, reference)
    if backbone is None:
        raise not_found("backbone")
    return backbone


def list_backbones(session: Session, workspace_id: str, *, limit: int, after: str | None) -> tuple[list[Backbone], str | None]:
    return page(session, _alive(workspace_id), Backbone.id, limit=limit, after=after)


def resolve_backbone(session: Session, workspace_id: str, reference: str, *, pointer: str) -> Backbone:
    """The ready backbone that a body names.

    Raises:
        BadInput: `backbone_not_found` (the hint lists those that are), or it turned out invalid.
        Conflict: `dataset_not_ready`, a worker is still reading it.
    """
    backbone = find_backbone(session, workspace_id, reference)
    if backbone is None:
        names = list(session.scalars(select(Backbone.name).where(_alive(workspace_id).whereclause).order_by(Backbone.id.desc()).limit(20)))  # type: ignore[arg-type]
        near = closest(reference, names)
        hint = f"Did you mean '{near[0]}'? " if near else ""
        hint += f"Backbones are: {listing(names)}." if names else "None is registered yet: POST /v1/backbones."
        hint += " A model can stand in for one, as 'name', 'name:3' or 'name@alias'."
        raise BadInput("backbone_not_found", "There is no such backbone.", hint, (Fault(pointer, "no such backbone"),))
    if backbone.status == "invalid":
        code = (backbone.error or {}).get("code", "bad_data")
        raise invalid_field(pointer, f"The backbone could not be read ({code}).", "Register it again, mended, under another name.")
    if backbone.status != "ready":
        raise Conflict("dataset_not_ready", "The backbone is still being read.", "Try again shortly.", retry_after_seconds=1)
    session.refresh(backbone, with_for_update=True)
    if backbone.deleted_at is not None:
        return resolve_backbone(session, workspace_id, reference, pointer=pointer)
    return backbone


def anatomy_of(backbone: Backbone) -> specs.Anatomy:
    """What a worker read; only of a ready backbone."""
    return specs.Anatomy.model_validate(backbone.anatomy)


def mark_ready(backbone: Backbone, anatomy: specs.Anatomy) -> None:
    backbone.status, backbone.sha256, backbone.anatomy = "ready", anatomy.sha256, anatomy.model_dump(mode="json")


def mark_invalid(backbone: Backbone, failure: Failure) -> None:
    backbone.status, backbone.error = "invalid", failure.model_dump()


def delete_backbone(session: Session, workspace_id: str, reference: str, *, now: datetime) -> Backbone:
    """Hide it at once. Its files stay while a model version is served from them.

    Raises:
        Conflict: `in_use`, an unfinished job or an alias needs it.
    """
    backbone = get_backbone(session, workspace_id, reference)
    session.refresh(backbone, with_for_update=True)  # a job that is being created holds it, or will not find it
    job = session.scalars(select(Job.id).where(Job.backbone_id == backbone.id, Job.status.not_in(TERMINAL)).limit(1)).first()
    if job is not None:
        raise Conflict("in_use", f"Job {job} needs this backbone.", "Wait for it, or cancel it.")
    aliased = (
        select(Model.name, ModelAlias.alias)
        .join(ModelAlias, ModelAlias.model_id == Model.id)
        .join(ModelVersion, (ModelVersion.model_id == Model.id) & (ModelVersion.version == ModelAlias.version))
        .join(Artifact, Artifact.id == ModelVersion.artifact_id)
        .where(Artifact.backbone_id == backbone.id, Model.deleted_at.is_(None))
        .limit(1)
    )
    alias = session.execute(aliased).first()
    if alias is not None:
        raise Conflict("in_use", f"The alias {alias.name}@{alias.alias} needs this backbone.", "Point the alias elsewhere, or delete it.")
    backbone.deleted_at = now
    session.flush()
    return backbone


def files_needed(session: Session, sha256: str) -> bool:
    """Whether a registered backbone, or a model version that can still be asked, needs the files of this content."""
    registered = select(Backbone.id).where(Backbone.sha256 == sha256, Backbone.deleted_at.is_(None)).limit(1)
    served = (
        select(ModelVersion.version)
        .join(Model, Model.id == ModelVersion.model_id)
        .join(Artifact, Artifact.id == ModelVersion.artifact_id)
        .join(Backbone, Backbone.id == Artifact.backbone_id)
        .where(Backbone.sha256 == sha256, Model.deleted_at.is_(None))
        .limit(1)
    )
    return session.scalar(registered) is not None or session.scalar(served) is not None


def view(backbone: Backbone) -> specs.Backbone:
    anatomy = None if backbone.anatomy is None else anatomy_of(backbone)
    return specs.Backbone(
        object="backbone",
        id=backbone.id,
        name=backbone.name,
        source=backbone.source,
        sha256=backbone.sha256,
        status=backbone.status,
        modality=None if anatomy is None else anatomy.modality,
        architecture=None if anatomy is None else anatomy.architecture,
        license=None if anatomy is None else anatomy.license,
        parameters=None if anatomy is None else anatomy.parameters,
        bytes=None if anatomy is None else anatomy.bytes,
        width=None if anatomy is None else anatomy.width,
        layer_count=None if anatomy is None else len(anatomy.layers),
        error=None if backbone.error is None else Failure.model_validate(backbone.error),
        created_at=backbone.created_at,
    )
