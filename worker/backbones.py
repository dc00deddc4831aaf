"""Backbones as work: copy a folder in, write down its anatomy."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from sqlalchemy.orm import Session

from headstart import demos
from headstart.blobs.local import LocalBlobs
from headstart.errors import BadInput, EngineFault, Unavailable
from headstart.settings import Settings
from headstart.sources import find_folder
from headstart.specs.backbones import Anatomy
from headstart.specs.problems import Failure
from headstart.store import backbones, leases
from headstart.store.leases import Lease
from headstart.store.tables import Backbone
from worker.messages import Message
from worker.work import End


class BackboneWork:
    kind, role = backbones.KIND, "engine"

    def request(self, session: Session, lease: Lease, settings: Settings, blobs: LocalBlobs) -> Message:
        source, root, licence = _source(session.get_one(Backbone, lease.id).source, settings)
        return {
            "do": self.kind,
            "source": str(source),
            "root": None if root is None else str(root),
            "license": licence,
            "blobs": str(blobs.root),
            "staging": staging_key(lease.id, lease.epoch),
            "folder": backbones.FOLDER,
            "max_bytes": settings.max_backbone_bytes,
            "threads": settings.threads,
        }

    def succeed(self, session: Session, lease: Lease, row: leases.Work, message: Message, *, now: datetime) -> None:
        assert isinstance(row, Backbone)  # noqa: S101 - the kind says so
        backbones.mark_ready(row, Anatomy.model_validate(message["anatomy"]))
        session.flush()
        leases.finish(session, lease, "succeeded", now=now)

    def fail(self, session: Session, lease: Lease, row: leases.Work, failure: Failure, message: Message, *, now: datetime) -> None:  # noqa: ARG002
        assert isinstance(row, Backbone)  # noqa: S101
        backbones.mark_invalid(row, failure)
        session.flush()
        leases.finish(session, lease, "failed", now=now)

    def seconds_allowed(self, request: Message, settings: Settings) -> float | None:  # noqa: ARG002
        return settings.register_seconds

    def clean(self, work_id: str, epoch: int, blobs: LocalBlobs, end: End) -> None:
        """Afterwards: no copy that is not under its content's name."""
        blobs.delete(staging_key(work_id, epoch) if end == "again" else f"{backbones.STAGING}/{work_id}")


def staging_key(work_id: str, epoch: int) -> str:
    """Where attempt `epoch` copies a folder before its content is known."""
    return f"{backbones.STAGING}/{work_id}/e{epoch}"


def _source(source: str, settings: Settings) -> tuple[Path, Path | None, str | None]:
    """Folder, the root it must lie below, and licence of a registered source."""
    scheme, _, name = source.partition(":")
    if scheme == "demo":
        try:
            folder = demos.backbone_folder(settings.assets or demos.default_assets_root(), name)
        except Unavailable as error:  # for the worker that word means the database
            hint = "Run `python -m headstart.demos` on the worker's machine, then delete this backbone and register it again."
            raise EngineFault(error.code, error.message, hint) from error
        return folder, None, demos.DEMO_BACKBONES[name].license
    found = find_folder(settings.backbone_roots, name)
    if found is None:
        message = "The worker finds no such folder."
        raise BadInput("backbone_not_found", message, "It must lie below one of the worker's HEADSTART_BACKBONE_ROOTS.")
    return found.folder, found.root, None
