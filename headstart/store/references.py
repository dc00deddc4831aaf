"""How people name things: an id, `name`, `name:2`, or `name@alias`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from headstart.specs.fields import MAX_INT, NAME_PATTERN

_NAME = re.compile(NAME_PATTERN)


@dataclass(frozen=True, slots=True)
class Reference:
    """`version` and `alias` are never both set; neither means the newest."""

    name: str
    version: int | None = None
    alias: str | None = None


def parse_reference(text: str) -> Reference | None:
    """The parts of a reference, or None when it cannot name anything."""
    name, at, alias = text.partition("@")
    if at:
        return Reference(name, alias=alias) if _NAME.fullmatch(name) and _NAME.fullmatch(alias) else None
    name, colon, number = text.partition(":")
    if not _NAME.fullmatch(name):
        return None
    if not colon:
        return Reference(name)
    if re.fullmatch(r"[1-9][0-9]{0,15}", number) and int(number) <= MAX_INT:
        return Reference(name, version=int(number))
    return None
