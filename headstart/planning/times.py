"""Times in cells, as places on one axis: ISO 8601, or numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_MONTH = re.compile(r"[0-9]{4}-[0-9]{2}")


def read_times(cells: Sequence[str | None]) -> tuple[list[float | None], list[int]]:
    """The time in each cell, None where there is none, and the positions of cells that cannot be read.

    All are numbers, in a unit of their own, or all are dates and times of ISO 8601, in seconds since 1970; of the two what more cells are.
    A date is its midnight, a month its first day; without a zone a time is UTC; below a microsecond nothing is told apart.
    """
    numbers, moments = _read(cells, _number), _read(cells, _moment)
    unread = [[place for place, cell in enumerate(cells) if cell is not None and read[place] is None] for read in (numbers, moments)]
    return (numbers, unread[0]) if len(unread[0]) <= len(unread[1]) else (moments, unread[1])


def _number(text: str) -> float | None:
    value = float(text) if _NUMBER.fullmatch(text) else math.inf
    return value if math.isfinite(value) else None


def _moment(text: str) -> float | None:
    try:
        moment = datetime.fromisoformat(f"{text}-01" if _MONTH.fullmatch(text) else text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _read(cells: Sequence[str | None], of: Callable[[str], float | None]) -> list[float | None]:
    return [None if cell is None else of(cell.strip()) for cell in cells]
