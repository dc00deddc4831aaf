"""API keys: shown once, stored hashed."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from headstart.specs.fields import Input, Label, Moment, View

Scope = Literal["read", "write", "admin"]


class CreateKey(Input):
    name: Label = Field(description="What it is for.", examples=["ci"])
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=3)] = Field(
        default=["read", "write"], description="read: see and predict; write: make and change; admin: keys and workspaces."
    )
    workspace: str | None = Field(
        default=None, max_length=128, description="Null: the caller's own.", examples=["ws_01h455vb4pex5vsknk084sn02q"]
    )
    expires_at: Annotated[datetime, Field(strict=False)] | None = Field(default=None, description="RFC 3339 with a zone; null: never.")


class Key(View):
    object: Literal["key"]
    id: str = Field(examples=["key_01h455vb4pex5vsknk084sn02q"])
    name: str
    prefix: str = Field(description="How the key begins, to tell keys apart.", examples=["hs_3fk9"])
    scopes: list[Scope]
    workspace: str
    created_at: Moment
    expires_at: Moment | None
    last_used_at: Moment | None
    revoked_at: Moment | None


class NewKey(Key):
    key: str = Field(description="The secret; only in this answer.", examples=["hs_3fk9…"])
