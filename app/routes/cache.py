"""The feature cache: what the workers' machines keep."""

from __future__ import annotations

from fastapi import APIRouter

from app.dependencies import CallerHere, Reading
from app.openapi import problems
from app.requests import StrictRoute
from headstart.specs.cache import Cache
from headstart.store import caches as store

router = APIRouter(route_class=StrictRoute, tags=["cache"])


@router.get("/v1/cache", responses=problems())
def get_cache(caller: CallerHere, session: Reading) -> Cache:
    """For admins: how large it is, how often it served, and what is in it. Those of the first workspace see all, others what is theirs."""
    return store.view_caches(session, only=None if caller.operator else caller.workspace_id)
