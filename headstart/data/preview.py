"""A look at a few rows of a dataset's table. Files are shown as the words that reading wrote of them; no byte of them is touched."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from headstart.blobs.local import file_sha256
from headstart.data.table import open_words
from headstart.errors import EngineFault
from headstart.specs.datasets import Row

MOST_CHARS = 2_000
"""Of one value in a preview."""


def preview(path: Path, sha256: str | None, start: int, count: int) -> list[Row]:
    """At most `count` rows from `start` (0-based) on.

    Raises:
        EngineFault: `bad_data`, the stored table is not what reading wrote: a file that was cut would end the process once it is mapped.
        OSError: it is not there, or cannot be read.
    """
    whole(path, sha256)
    rows = open_words(path).slice(start, count).to_pylist()
    return [_row(number, values) for number, values in enumerate(rows, start=start + 1)]


def whole(path: Path, sha256: str | None) -> None:
    """See that a table is what reading wrote; None: nobody wrote down what that was.

    Raises:
        EngineFault: `bad_data`.
        OSError: it is not there, or cannot be read.
    """
    if sha256 is not None:
        _see_whole(path, sha256)


def _row(number: int, values: dict[str, str | None]) -> Row:
    cut = [name for name, value in values.items() if value is not None and len(value) > MOST_CHARS]
    return Row(object="row", row=number, values={name: value and value[:MOST_CHARS] for name, value in values.items()}, cut=cut)


@lru_cache(maxsize=256)
def _see_whole(path: Path, sha256: str) -> None:
    """Tables are immutable, so one look at each is enough; one that goes wrong is not remembered, since the disk may do better next time."""
    if file_sha256(path) != sha256:
        raise EngineFault("bad_data", "The stored table of the dataset is damaged.", "Upload the dataset again.")
