"""Models as backbones: the chain of artifacts that a model stands on, and which of them are needed still."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from headstart.store.tables import Artifact, Model, ModelVersion


def chain(session: Session, artifact_id: str | None) -> list[Artifact]:
    """The artifact and what it stands on in turn, oldest first; empty for None."""
    found: list[Artifact] = []
    while artifact_id is not None:
        artifact = session.get_one(Artifact, artifact_id)
        found.insert(0, artifact)
        artifact_id = artifact.parent_id
    return found


def unneeded(session: Session, artifact_ids: Sequence[str]) -> list[Artifact]:
    """Of these artifacts, and of those that they stand on, the ones that no living model is or stands on."""
    asked = {artifact.id: artifact for each in artifact_ids for artifact in chain(session, each)}
    gone = asked.keys() - _needed(session, asked.keys())
    return [artifact for artifact_id, artifact in asked.items() if artifact_id in gone]


def _needed(session: Session, asked: Collection[str]) -> set[str]:
    """Those of `asked` from which a living model version can be reached, child by child."""
    above = select(Artifact.id.label("root"), Artifact.id.label("id")).where(Artifact.id.in_(asked)).cte("above", recursive=True)
    above = above.union(select(above.c.root, Artifact.id).join(above, Artifact.parent_id == above.c.id))
    living = (
        select(above.c.root)
        .join(ModelVersion, ModelVersion.artifact_id == above.c.id)
        .join(Model, Model.id == ModelVersion.model_id)
        .where(Model.deleted_at.is_(None))
    )
    return set(session.scalars(living))
