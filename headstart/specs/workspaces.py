"""Workspaces: tenants. Nothing of one is visible from another."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from headstart.specs.fields import Input, Label, Moment, View


class CreateWorkspace(Input):
    name: Label = Field(description="For people.", examples=["research"])


class Workspace(View):
    object: Literal["workspace"]
    id: str = Field(examples=["ws_01h455vb4pex5vsknk084sn02q"])
    name: str
    created_at: Moment
