"""What a job has to do with what its backbone learnt before."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from headstart.specs.fields import View

RelationshipName = Literal["same-domain", "cross-domain", "multi-task"]


class Relationship(View):
    """A name, and what it was concluded from. It changes nothing of what is done; it says what to expect of the transfer."""

    value: RelationshipName | None = Field(description="Null: nothing is transferred.", examples=["cross-domain"])
    why: str = Field(examples=["The backbone was trained on data of its makers, of which nothing is known here."])
