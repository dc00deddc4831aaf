"""The one exception family: every refusal a user can meet, with its code, words and hint.

HeadstartError
├── BadInput          422  what was sent cannot be used
│   └── Malformed     400  it is not even readable as what it claims to be
├── Unauthenticated   401
├── Denied            403
├── NotFound          404
├── Conflict          409  right request, wrong moment
│   └── Locked        423  somebody else is at it right now
├── TooLarge          413
├── UnsupportedMedia  415
├── Overloaded        429
├── Unavailable       503  a part of the installation is away
└── EngineFault       500  an attempt failed; `code` says how
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

QUOTE_LIMIT = 64
"""The longest piece of a user's own text that a message repeats."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One field or row that is wrong: `pointer` is an RFC 6901 JSON pointer, `row` counts data rows from 1."""

    pointer: str | None
    message: str
    row: int | None = None


@dataclass(eq=False)
class HeadstartError(Exception):
    """A refusal with a stable `code`, a sentence on what is wrong, and a `hint` on what would work."""

    code: str
    message: str
    hint: str | None = None
    faults: Sequence[Fault] = field(default=())
    retry_after_seconds: int | None = None

    status: ClassVar[int] = 500

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message} {self.hint}"


class BadInput(HeadstartError):
    status = 422


class Malformed(BadInput):
    status = 400


class Unauthenticated(HeadstartError):
    status = 401


class Denied(HeadstartError):
    status = 403


class NotFound(HeadstartError):
    status = 404


class Conflict(HeadstartError):
    status = 409


class Locked(Conflict):
    status = 423


class TooLarge(HeadstartError):
    status = 413


class UnsupportedMedia(HeadstartError):
    status = 415


class Overloaded(HeadstartError):
    status = 429


class Unavailable(HeadstartError):
    status = 503


class EngineFault(HeadstartError):
    """An attempt that failed for a reason worth a word: `out_of_memory`, `disk_full`, `bad_data`, …"""

    status = 500


def quote(text: str) -> str:
    """A user's own word for use in a message: at most 64 characters, control and bidi characters escaped."""
    shown = "".join(
        c if unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Zl", "Zp"} else c.encode("unicode_escape").decode()
        for c in text[:QUOTE_LIMIT]
    )
    if len(text) > QUOTE_LIMIT or len(shown) > QUOTE_LIMIT:
        shown = shown[: QUOTE_LIMIT - 1] + "…"
    return f"'{shown}'"


def closest(word: str, known: Iterable[str], most: int = 1) -> list[str]:
    """The known words that look most like `word`, best first; empty when none comes near."""
    return difflib.get_close_matches(word[:QUOTE_LIMIT], list(known), n=most, cutoff=0.6)


def listing(words: Sequence[str], most: int = 20) -> str:
    """Words for a hint, joined by commas, each shortened, with the number left out."""
    shown = ", ".join(quote(word)[1:-1] for word in words[:most])
    return shown if len(words) <= most else f"{shown} and {len(words) - most} more"


def invalid_field(pointer: str, message: str, hint: str | None = None, *, code: str = "invalid_field") -> BadInput:
    """A 422 about one field of the body."""
    return BadInput(code, message, hint, faults=(Fault(pointer, message),))


def not_found(what: str, hint: str | None = None) -> NotFound:
    """The 404 of a path id: the same words whether it is absent or another workspace's."""
    return NotFound("not_found", f"There is no such {what}.", hint)
