"""Models: versions and aliases."""

from __future__ import annotations

import re
from functools import partial
from pathlib import PurePosixPath

from fastapi import APIRouter

from app.dependencies import CallerHere, PageHere, Reading, Shared, Writing, paged
from app.openapi import problems
from app.requests import StrictRoute
from headstart.errors import invalid_field, not_found
from headstart.specs.fields import MAX_INT, NAME_PATTERN
from headstart.specs.models import Model, ModelVersion, PutAlias
from headstart.specs.pages import Page
from headstart.store import models as store
from headstart.store.pages import encode_cursor

router = APIRouter(route_class=StrictRoute, tags=["models"])


@router.get("/v1/models", responses=problems())
def list_models(caller: CallerHere, session: Reading, page: PageHere) -> Page[Model]:
    rows, following = store.list_models(session, caller.workspace_id, limit=page.limit, after=page.after)
    aliases = store.aliases_of(session, rows)
    return paged([store.view(row, aliases[row.id]) for row in rows], following)


@router.get("/v1/models/{model}", responses=problems(404))
def get_model(model: str, caller: CallerHere, session: Reading) -> Model:
    """By name or id."""
    row = store.get_model(session, caller.workspace_id, model)
    return store.view(row, store.aliases_of(session, [row])[row.id])


@router.delete("/v1/models/{model}", status_code=204, responses=problems(404, 409))
def delete_model(model: str, caller: CallerHere, work: Writing, services: Shared) -> None:
    """All versions and their artifacts go."""
    for blob in store.delete_model(work.session, caller.workspace_id, model, now=work.now):
        attempts = str(PurePosixPath(blob).parent)  # of the job, which published once: what its other attempts left goes too
        work.after_commit(partial(services.blobs.delete, attempts))


@router.get("/v1/models/{model}/versions", responses=problems(404))
def list_model_versions(model: str, caller: CallerHere, session: Reading, page: PageHere) -> Page[ModelVersion]:
    row = store.get_model(session, caller.workspace_id, model)
    versions, before = store.list_versions(session, row, limit=page.limit, before=page.number())
    return paged(versions, None if before is None else encode_cursor(str(before)))


@router.get("/v1/models/{model}/versions/{version}", responses=problems(404))
def get_model_version(model: str, version: str, caller: CallerHere, session: Reading) -> ModelVersion:
    row = store.get_model(session, caller.workspace_id, model)
    if not re.fullmatch(r"[1-9][0-9]{0,15}", version) or int(version) > MAX_INT:
        raise not_found("model version")
    return store.get_version(session, row, int(version))


@router.put("/v1/models/{model}/aliases/{alias}", responses=problems(400, 404, 413, 415))
def put_model_alias(model: str, alias: str, body: PutAlias, caller: CallerHere, work: Writing) -> Model:
    """Point an alias at a version, whether or not it was there."""
    row = store.get_model(work.session, caller.workspace_id, model)
    if not re.fullmatch(NAME_PATTERN, alias):
        raise invalid_field("/alias", "An alias is lower-case letters, digits, '.', '_' and '-'; at most 63.")
    store.put_alias(work.session, row, alias, body.version)
    return store.view(row, store.aliases_of(work.session, [row])[row.id])


@router.delete("/v1/models/{model}/aliases/{alias}", status_code=204, responses=problems(404))
def delete_model_alias(model: str, alias: str, caller: CallerHere, work: Writing) -> None:
    store.delete_alias(work.session, store.get_model(work.session, caller.workspace_id, model), alias)
