"""Ids: TypeIDs, a prefix that names the kind and a UUIDv7 that sorts by time of making.

Source: https://github.com/jetify-com/typeid/tree/main/spec (0.3.0); RFC 9562 §5.7 for UUIDv7.
"""

from __future__ import annotations

import re
from typing import Literal

from typeid import TypeID

Kind = Literal["ds", "bb", "job", "att", "art", "mdl", "key", "ws", "req", "evt", "cache", "upl"]

_SHAPE = re.compile(r"[a-z]{2,8}_[0-7][0-9a-hjkmnp-tv-z]{25}")


def new_id(kind: Kind) -> str:
    """A new id such as `job_01h455vb4pex5vsknk084sn02q`."""
    return str(TypeID(prefix=kind))


def is_id(text: str, kind: Kind) -> bool:
    """Whether `text` has the shape of an id of this kind; it may still name nothing."""
    return text.startswith(f"{kind}_") and _SHAPE.fullmatch(text) is not None
