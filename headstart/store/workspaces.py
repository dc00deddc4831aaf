"""Workspaces."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from headstart.errors import not_found
from headstart.specs.ids import new_id
from headstart.specs.workspaces import CreateWorkspace
from headstart.store.pages import page
from headstart.store.tables import Dataset, Upload, Workspace

FIRST = "default"
"""The workspace of the installation's operator: made at the first start; its admins may act for other workspaces."""


def create_workspace(session: Session, body: CreateWorkspace, *, now: datetime) -> Workspace:
    workspace = Workspace(id=new_id("ws"), name=body.name, created_at=now)
    session.add(workspace)
    session.flush()
    return workspace


def find_workspace(session: Session, workspace_id: str) -> Workspace | None:
    return session.get(Workspace, workspace_id)


def get_workspace(session: Session, workspace_id: str) -> Workspace:
    workspace = find_workspace(session, workspace_id)
    if workspace is None:
        raise not_found("workspace")
    return workspace


def first_workspace(session: Session) -> Workspace | None:
    """The operator's workspace: the oldest."""
    return session.scalars(select(Workspace).order_by(Workspace.id).limit(1)).first()


def hold_workspace(session: Session, workspace_id: str) -> None:
    """Wait for those who are adding rows of this workspace, and keep others from it until the transaction ends."""
    session.scalars(select(Workspace.id).where(Workspace.id == workspace_id).with_for_update()).one()


def was_stored(session: Session, workspace_id: str, table: type[Dataset | Upload], row_id: str) -> bool:
    """Whether a transaction whose end was not heard of has made this row; one that is still being committed is waited for."""
    hold_workspace(session, workspace_id)
    return session.get(table, row_id) is not None


def list_workspaces(session: Session, *, only: str | None, limit: int, after: str | None) -> tuple[list[Workspace], str | None]:
    """All workspaces, or `only` one."""
    query = select(Workspace)
    return page(session, query if only is None else query.where(Workspace.id == only), Workspace.id, limit=limit, after=after)
