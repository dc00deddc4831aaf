"""Whether the process lives, and whether it can do its work. No key is needed."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter

from app.dependencies import Shared
from app.openapi import only
from app.requests import StrictRoute
from headstart.specs.fields import View
from headstart.store.workspaces import first_workspace

router = APIRouter(route_class=StrictRoute, tags=["health"])


class Liveness(View):
    status: Literal["ok"]


class Health(View):
    """`engine` is `loading` for a while after the start; predictions wait for it."""

    status: Literal["ok"]
    database: Literal["ok"]
    engine: Literal["loading", "ready", "failed", "elsewhere"]


@router.get("/livez")
async def get_liveness() -> Liveness:
    """Answer as long as the process does."""
    return Liveness(status="ok")


@router.get("/readyz", responses=only(500, 503))
def get_health(services: Shared) -> Health:
    """Answer 200 when the database does."""
    with services.database.read() as session:
        first_workspace(session)
    return Health.model_validate({"status": "ok", "database": "ok", "engine": services.engine_state()})
