"""API keys: shown once."""

from __future__ import annotations

import base64
import hmac
from datetime import UTC, datetime

from fastapi import APIRouter, Request, Response
from sqlalchemy.orm import Session

from app.dependencies import CallerHere, Creating, PageHere, Reading, Writing, answer, paged, respond
from app.openapi import made, problems
from app.requests import StrictRoute
from headstart.errors import BadInput, Fault, invalid_field
from headstart.specs.keys import CreateKey, Key, NewKey
from headstart.specs.pages import Page
from headstart.store import keys as store
from headstart.store import workspaces
from headstart.store.idempotency import Answer
from headstart.store.keys import KEY_PREFIX, Caller
from headstart.store.tables import Key as Row

router = APIRouter(route_class=StrictRoute, tags=["keys"])


def view(row: Row) -> Key:
    return Key.model_validate(
        {
            "object": "key",
            "id": row.id,
            "name": row.name,
            "prefix": row.prefix,
            "scopes": row.scopes,
            "workspace": row.workspace_id,
            "created_at": row.created_at,
            "expires_at": row.expires_at,
            "last_used_at": row.last_used_at,
            "revoked_at": row.revoked_at,
        }
    )


@router.post("/v1/keys", status_code=201, response_model=NewKey, responses=made(201, "key") | problems(400, 409, 413, 415))
def create_key(body: CreateKey, request: Request, caller: CallerHere, work: Creating) -> Response:
    """The secret is in this answer only."""
    holder = request.headers["authorization"].split()[-1]

    def make() -> Answer:
        row, secret = store.create_key(
            work.session,
            workspace_id=_workspace(work.session, caller, body.workspace),
            name=body.name,
            scopes=body.scopes,
            expires_at=_expiry(body.expires_at, work.now),
            now=work.now,
        )
        return answer(NewKey(**view(row).model_dump(), key=sealed(secret, row.id, holder)), 201, f"/v1/keys/{row.id}")

    kept = work.once(make)
    told = NewKey.model_validate_json(kept.body)
    told = told.model_copy(update={"key": sealed(told.key, told.id, holder)})
    return respond(answer(told, kept.status, kept.location))


def sealed(secret: str, key_id: str, holder: str) -> str:
    """Seal a new key's secret, or open it again: the answer that is kept for repeats must tell nothing to whoever reads the database.

    The 32 random bytes are combined with a pad that needs the caller's own key, HMAC-SHA-256 over an id that no other secret has.
    """
    random = base64.urlsafe_b64decode(secret.removeprefix(KEY_PREFIX) + "=")
    pad = hmac.digest(holder.encode(), b"new key " + key_id.encode(), "sha256")
    combined = bytes(one ^ other for one, other in zip(random, pad, strict=True))
    return KEY_PREFIX + base64.urlsafe_b64encode(combined).decode().rstrip("=")


def _workspace(session: Session, caller: Caller, asked: str | None) -> str:
    """The workspace of the new key; what others must not know of is not told apart from what is not there."""
    if asked is None or asked == caller.workspace_id:
        return caller.workspace_id
    if not caller.operator or workspaces.find_workspace(session, asked) is None:
        message = "no such workspace"
        raise BadInput(
            "workspace_not_found",
            "There is no such workspace.",
            "GET /v1/workspaces lists those that are.",
            (Fault("/workspace", message),),
        )
    return asked


def _expiry(moment: datetime | None, now: datetime) -> datetime | None:
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise invalid_field("/expires_at", "expires_at needs a zone, such as 2026-11-24T03:00:00Z.")
    try:
        moment = moment.astimezone(UTC)
    except OverflowError:
        raise invalid_field("/expires_at", "expires_at is out of range.") from None
    if moment <= now:
        raise invalid_field("/expires_at", "expires_at has passed already.")
    return moment


@router.get("/v1/keys", responses=problems())
def list_keys(caller: CallerHere, session: Reading, page: PageHere) -> Page[Key]:
    rows, following = store.list_keys(session, caller.workspace_id, limit=page.limit, after=page.after)
    return paged([view(row) for row in rows], following)


@router.get("/v1/keys/{key}", responses=problems(404))
def get_key(key: str, caller: CallerHere, session: Reading) -> Key:
    return view(store.get_key(session, caller.workspace_id, key))


@router.delete("/v1/keys/{key}", status_code=204, responses=problems(404))
def revoke_key(key: str, caller: CallerHere, work: Writing) -> None:
    """Every process refuses it within 5 seconds."""
    store.revoke_key(work.session, caller.workspace_id, key, now=work.now)
