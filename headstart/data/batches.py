"""Rows on their way from a file to a table: a few thousand at a time, column by column."""

from __future__ import annotations

from dataclasses import dataclass

MAX_ROWS = 4_096
MAX_CELLS = 1_000_000
MAX_CHARS = 4 * 2**20


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive rows of a file; `first_row` counts data rows from 1, and `columns` are parallel to `names`."""

    names: list[str]
    columns: list[list[str | None]]
    first_row: int


def rows_per_batch(width: int) -> int:
    """Rows that are gathered before they are written, so that memory does not grow with the number of columns."""
    return max(1, min(MAX_ROWS, MAX_CELLS // max(width, 1)))


def filled(text: str) -> str | None:
    """A cell as the table holds it: exactly as in the file, or None (missing) when nothing but whitespace is in it."""
    return text if text and not text.isspace() else None
