"""The two base models and the field types that every shape shares."""

from __future__ import annotations

import unicodedata
from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, PlainSerializer

MAX_INT = 2**53 - 1
"""The largest integer every JSON reader keeps exact (RFC 8259 §6)."""

NAME_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,62}$"


class Input(BaseModel):
    """What a user sends: unknown keys refused, numbers strict and finite, nothing coerced."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True, hide_input_in_errors=True)


class View(BaseModel):
    """What a user gets: every field always present, nothing defaulted."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _plain(text: str) -> str:
    text = unicodedata.normalize("NFC", text)
    if any(unicodedata.category(c) in {"Cc", "Cs"} or c in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069" for c in text):
        raise ValueError("control and bidi characters are not taken here")
    return text


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Name = Annotated[
    str, Field(pattern=NAME_PATTERN, description="Lower-case letters, digits, `.`, `_`, `-`; at most 63.", examples=["reviews"])
]
"""A name that is also a reference."""

Label = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_plain)]
"""Free text for people: a key's or a workspace's name."""

MAX_COLUMN_CHARS = 256
ColumnName = Annotated[str, Field(min_length=1, max_length=MAX_COLUMN_CHARS)]

Reference = Annotated[
    str,
    Field(
        min_length=1, max_length=128, description="An id, a `name` (newest), `name:2`, or for models `name@alias`.", examples=["reviews"]
    ),
]

Moment = Annotated[
    datetime,
    PlainSerializer(_rfc3339, return_type=str, when_used="json"),
    Field(description="RFC 3339, UTC.", examples=["2026-11-24T03:00:00.000Z"]),
]

DType = Literal["float32", "bfloat16", "float16"]
