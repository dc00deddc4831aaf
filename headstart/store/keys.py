"""API keys: `hs_` and 32 random bytes; only the SHA-256 is stored."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from headstart.errors import not_found
from headstart.specs.ids import new_id
from headstart.specs.keys import Scope
from headstart.store.pages import page
from headstart.store.tables import Key
from headstart.store.workspaces import first_workspace

KEY_PREFIX = "hs_"
SHOWN = 7
"""Characters of a key that are stored and shown, `hs_` included."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a request comes from."""

    key_id: str
    workspace_id: str
    scopes: frozenset[str]
    operator: bool
    """An admin of the first workspace, who may act for others."""


def digest_of(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def create_key(
    session: Session, *, workspace_id: str, name: str, scopes: list[Scope], expires_at: datetime | None, now: datetime
) -> tuple[Key, str]:
    """A new key and its secret, which is not kept."""
    secret = KEY_PREFIX + secrets.token_urlsafe(32)
    ordered = [scope for scope in ("read", "write", "admin") if scope in scopes]
    key = Key(
        id=new_id("key"),
        workspace_id=workspace_id,
        name=name,
        prefix=secret[:SHOWN],
        digest=digest_of(secret),
        scopes=ordered,
        created_at=now,
        expires_at=expires_at,
        last_used_at=None,
        revoked_at=None,
    )
    session.add(key)
    session.flush()
    return key, secret


def find_caller(session: Session, secret: str, *, now: datetime) -> Caller | None:
    """Who holds this secret, or None when the key is unknown, expired or revoked."""
    key = session.scalars(select(Key).where(Key.digest == digest_of(secret))).first()
    if key is None or not is_live(key, now=now):
        return None
    first = first_workspace(session)
    operator = "admin" in key.scopes and first is not None and key.workspace_id == first.id
    return Caller(key.id, key.workspace_id, frozenset(key.scopes), operator)


def is_live(key: Key, *, now: datetime) -> bool:
    """Neither revoked nor expired."""
    return key.revoked_at is None and (key.expires_at is None or key.expires_at > now)


def note_use(session: Session, key_id: str, *, now: datetime) -> None:
    session.execute(update(Key).where(Key.id == key_id).values(last_used_at=now))


def get_key(session: Session, workspace_id: str, key_id: str) -> Key:
    key = session.scalars(select(Key).where(Key.id == key_id, Key.workspace_id == workspace_id)).first()
    if key is None:
        raise not_found("key")
    return key


def list_keys(session: Session, workspace_id: str, *, limit: int, after: str | None) -> tuple[list[Key], str | None]:
    return page(session, select(Key).where(Key.workspace_id == workspace_id), Key.id, limit=limit, after=after)


def revoke_key(session: Session, workspace_id: str, key_id: str, *, now: datetime) -> None:
    """Revoking twice is fine; the first moment stays."""
    key = get_key(session, workspace_id, key_id)
    if key.revoked_at is None:
        key.revoked_at = now
        session.flush()
