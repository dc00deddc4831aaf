"""Control: every route but prediction. Nothing here reaches the engine."""

from __future__ import annotations

from fastapi import APIRouter, FastAPI

from app.authentication import Limits
from app.door import make_app
from app.routes import backbones, cache, datasets, docs, events, health, jobs, keys, logs, models, plans, uploads, versions, workspaces
from app.services import Services

CONTROL: tuple[APIRouter, ...] = (
    datasets.uploads,
    datasets.router,
    versions.uploads,
    versions.router,
    uploads.router,
    backbones.router,
    plans.router,
    jobs.router,
    events.router,
    logs.router,
    models.router,
    keys.router,
    workspaces.router,
    cache.router,
)
EVERYWHERE: tuple[APIRouter, ...] = (health.router, docs.router)


def create_control(services: Services, *, limits: Limits | None = None) -> FastAPI:
    return make_app(services, [*CONTROL, *EVERYWHERE], limits=limits)
