"""Calls about workspaces."""

from __future__ import annotations

from headstart.client.protocol import Call, answer, body, fresh_key, query, route
from headstart.specs.pages import Page
from headstart.specs.workspaces import Workspace


def create_workspace(*, name: str, idempotency_key: str | None = None) -> Call[Workspace]:
    return Call("POST", route("workspaces"), answer(Workspace), content=body({"name": name}), idempotency_key=fresh_key(idempotency_key))


def list_workspaces(*, limit: int | None = None, after: str | None = None) -> Call[Page[Workspace]]:
    return Call("GET", route("workspaces"), answer(Page[Workspace]), query(limit=limit, after=after))


def get_workspace(workspace: str) -> Call[Workspace]:
    return Call("GET", route("workspaces", workspace), answer(Workspace))
