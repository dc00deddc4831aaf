"""Calls about API keys."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from headstart.client.protocol import Call, answer, body, fresh_key, nothing, query, route
from headstart.specs.keys import Key, NewKey, Scope
from headstart.specs.pages import Page


def create_key(
    *,
    name: str,
    scopes: Sequence[Scope] | None = None,
    workspace: str | None = None,
    expires_at: datetime | str | None = None,
    idempotency_key: str | None = None,
) -> Call[NewKey]:
    expiry = expires_at.isoformat() if isinstance(expires_at, datetime) else expires_at
    chosen = {"name": name, "scopes": None if scopes is None else list(scopes), "workspace": workspace, "expires_at": expiry}
    content = body({key: value for key, value in chosen.items() if value is not None})
    return Call("POST", route("keys"), answer(NewKey), content=content, idempotency_key=fresh_key(idempotency_key))


def list_keys(*, limit: int | None = None, after: str | None = None) -> Call[Page[Key]]:
    return Call("GET", route("keys"), answer(Page[Key]), query(limit=limit, after=after))


def get_key(key: str) -> Call[Key]:
    return Call("GET", route("keys", key), answer(Key))


def revoke_key(key: str) -> Call[None]:
    return Call("DELETE", route("keys", key), nothing)
