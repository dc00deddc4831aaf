"""Workspaces: the operator makes them and sees all; anyone else sees their own."""

from __future__ import annotations

from fastapi import APIRouter, Response

from app.dependencies import CallerHere, Creating, PageHere, Reading, answer, paged, respond
from app.openapi import made, problems
from app.requests import StrictRoute
from headstart.errors import Denied, not_found
from headstart.specs.pages import Page
from headstart.specs.workspaces import CreateWorkspace, Workspace
from headstart.store import workspaces as store
from headstart.store.idempotency import Answer
from headstart.store.tables import Workspace as Row

router = APIRouter(route_class=StrictRoute, tags=["workspaces"])


def view(row: Row) -> Workspace:
    return Workspace(object="workspace", id=row.id, name=row.name, created_at=row.created_at)


@router.post("/v1/workspaces", status_code=201, response_model=Workspace, responses=made(201, "workspace") | problems(400, 409, 413, 415))
def create_workspace(body: CreateWorkspace, caller: CallerHere, work: Creating) -> Response:
    """For admins of the first workspace."""

    def make() -> Answer:
        if not caller.operator:
            raise Denied("scope_missing", "Only admins of the first workspace make workspaces.", "Ask the operator.")
        row = store.create_workspace(work.session, body, now=work.now)
        return answer(view(row), 201, f"/v1/workspaces/{row.id}")

    return respond(work.once(make))


@router.get("/v1/workspaces", responses=problems())
def list_workspaces(caller: CallerHere, session: Reading, page: PageHere) -> Page[Workspace]:
    only = None if caller.operator else caller.workspace_id
    rows, following = store.list_workspaces(session, only=only, limit=page.limit, after=page.after)
    return paged([view(row) for row in rows], following)


@router.get("/v1/workspaces/{workspace}", responses=problems(404))
def get_workspace(workspace: str, caller: CallerHere, session: Reading) -> Workspace:
    if workspace != caller.workspace_id and not caller.operator:
        raise not_found("workspace")
    return view(store.get_workspace(session, workspace))
