"""Backbones: register, see their layers, delete."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter, Response

from app.dependencies import CallerHere, Creating, PageHere, Reading, Shared, Writing, answer, paged, respond
from app.openapi import made, problems
from app.requests import StrictRoute
from app.sources import check_source
from headstart.specs.backbones import Backbone, CreateBackbone, Layer
from headstart.specs.pages import Page
from headstart.store import backbones as store
from headstart.store.idempotency import Answer

router = APIRouter(route_class=StrictRoute, tags=["backbones"])


@router.post("/v1/backbones", status_code=202, response_model=Backbone, responses=made(202, "backbone") | problems(400, 409, 413, 415))
def create_backbone(body: CreateBackbone, caller: CallerHere, work: Creating, services: Shared) -> Response:
    """Register a pretrained model. A worker reads it; watch its status."""

    def make() -> Answer:
        check_source(body.source, services.settings)
        row = store.create_backbone(work.session, caller.workspace_id, body, max_attempts=services.settings.max_attempts, now=work.now)
        work.after_commit(partial(services.bell.ring, row.id))
        return answer(store.view(row), 202, f"/v1/backbones/{row.id}")

    return respond(work.once(make))


@router.get("/v1/backbones", responses=problems())
def list_backbones(caller: CallerHere, session: Reading, page: PageHere) -> Page[Backbone]:
    rows, following = store.list_backbones(session, caller.workspace_id, limit=page.limit, after=page.after)
    return paged([store.view(row) for row in rows], following)


@router.get("/v1/backbones/{backbone}", responses=problems(404))
def get_backbone(backbone: str, caller: CallerHere, session: Reading) -> Backbone:
    """By id or by name."""
    return store.view(store.get_backbone(session, caller.workspace_id, backbone))


@router.get("/v1/backbones/{backbone}/layers", responses=problems(404))
def list_backbone_layers(backbone: str, caller: CallerHere, session: Reading, page: PageHere) -> Page[Layer]:
    """In forward order; none until it is ready."""
    row = store.get_backbone(session, caller.workspace_id, backbone)
    return page.of([] if row.anatomy is None else store.anatomy_of(row).layers)


@router.delete("/v1/backbones/{backbone}", status_code=204, responses=problems(404, 409))
def delete_backbone(backbone: str, caller: CallerHere, work: Writing) -> None:
    """Models that were made from it go on answering. Files that nobody needs any more are taken away within hours, by a worker."""
    store.delete_backbone(work.session, caller.workspace_id, backbone, now=work.now)
