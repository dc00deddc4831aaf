"""Pages of a list, newest first, by an opaque cursor over the sortable id."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any, TypeVar

from sqlalchemy import Select
from sqlalchemy.orm import InstrumentedAttribute, Session

from headstart.errors import BadInput, Fault

T = TypeVar("T")


def encode_cursor(last_id: str) -> str:
    return base64.urlsafe_b64encode(json.dumps({"i": last_id}, separators=(",", ":")).encode()).decode().rstrip("=")


def decode_cursor(cursor: str) -> str:
    """The id behind a cursor.

    Raises:
        BadInput: it was not made by `encode_cursor`.
    """
    try:
        value = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        last = value["i"]
        if isinstance(last, str) and last.isascii() and last.isprintable() and len(last) <= 64:
            return last
    except (ValueError, KeyError, TypeError, binascii.Error, RecursionError):
        pass
    message = "the cursor is not one that a list gave"
    raise BadInput("invalid_field", "`after` is not a cursor of this list.", "Use `next` of the page before.", (Fault("/after", message),))


def page(
    session: Session, query: Select[T], key: InstrumentedAttribute[Any], *, limit: int, after: str | None
) -> tuple[list[T], str | None]:
    """At most `limit` rows older than the cursor, and the cursor of the next page or None."""
    if after is not None:
        query = query.where(key < decode_cursor(after))
    rows = list(session.scalars(query.order_by(key.desc()).limit(limit + 1)))
    more = len(rows) > limit
    rows = rows[:limit]
    return rows, encode_cursor(getattr(rows[-1], key.key)) if more else None
