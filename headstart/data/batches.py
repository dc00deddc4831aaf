"""Rows on their way from a file to a table: a few thousand at a time, column by column."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Self, cast

from headstart.specs.datasets import MediaType

MAX_ROWS = 4_096
MAX_CELLS = 1_000_000
MAX_CHARS = 4 * 2**20
MAX_BYTES = 4 * 2**20
"""Of the files in one batch; a batch of one may be larger."""


Cells = Sequence[str | None] | Sequence[bytes | None]


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of a file, in their order; `columns` are parallel to `names`, and `rows` says which row each is, counted from 1."""

    names: list[str]
    columns: Sequence[Cells]
    rows: Sequence[int]
    media: Mapping[str, MediaType] = field(default_factory=dict)
    """Columns whose cells are bytes, and of what; the same in every batch."""
    files: Sequence[str | None] = ()
    """Where the bytes of each row come from, when they have names."""
    words: Mapping[str, Sequence[str | None]] = field(default_factory=dict)
    """Of columns of files that were opened before: what was written of each."""
    fresh: int | None = None
    """Of rows of the version before: how many of them the file has replaced; those it left were checked when that version was read."""

    def picked(self, places: Sequence[int]) -> Self:
        """Some of the rows, by their place here."""
        return replace(
            self,
            columns=cast("Sequence[Cells]", [[cells[place] for place in places] for cells in self.columns]),
            rows=[self.rows[place] for place in places],
            files=[self.files[place] for place in places] if self.files else (),
            words={name: [words[place] for place in places] for name, words in self.words.items()},
        )


def rows_per_batch(width: int) -> int:
    """Rows that are gathered before they are written, so that memory does not grow with the number of columns."""
    return max(1, min(MAX_ROWS, MAX_CELLS // max(width, 1)))


def filled(text: str) -> str | None:
    """A cell as the table holds it: exactly as in the file, or None (missing) when nothing but whitespace is in it."""
    return text if text and not text.isspace() else None
