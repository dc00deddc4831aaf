"""The first start: a workspace, an admin's key, and the file that tells them to the person who started it."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path

import structlog
from sqlalchemy.orm import Session

from app.services import Services
from headstart.blobs.atomic import sync_folder
from headstart.specs.workspaces import CreateWorkspace
from headstart.store import belonging, keys, workspaces

log = structlog.get_logger()


def write_credentials(services: Services, url: str) -> None:
    """See that `settings.credentials` holds this address and an admin's key that works; only its owner may read it."""
    path = services.settings.credentials
    key = _kept_key(path)
    with services.database.write() as session:
        caller = None if key is None else keys.find_caller(session, key, now=services.clock())
        if key is None or caller is None or not caller.operator:
            key = _first_key(services, session)
    _write_private(path, json.dumps({"url": url, "key": key}) + "\n")


def ensure_workspace(services: Services) -> None:
    """Make the operator's workspace if there is none, and mark the blob folder as this installation's.

    Two processes may try at once, the database lets one write at a time.
    """
    with services.database.write() as session:
        first = workspaces.first_workspace(session)
        if first is None:
            first = workspaces.create_workspace(session, CreateWorkspace(name=workspaces.FIRST), now=services.clock())
    belonging.claim(services.blobs, first.id)


def _kept_key(path: Path) -> str | None:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        return value["key"] if isinstance(value["key"], str) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _first_key(services: Services, session: Session) -> str:
    workspace = workspaces.first_workspace(session)
    if workspace is None:
        workspace = workspaces.create_workspace(session, CreateWorkspace(name=workspaces.FIRST), now=services.clock())
    row, secret = keys.create_key(
        session, workspace_id=workspace.id, name="first", scopes=["read", "write", "admin"], expires_at=None, now=services.clock()
    )
    log.info("first_key_made", key_id=row.id, workspace_id=workspace.id)
    return secret


def _write_private(path: Path, text: str) -> None:
    """Write a file that nobody else could read at any moment, in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
