"""Whether cells are what the schema says of their columns, row by row."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from headstart.data.batches import Batch, Cells
from headstart.data.limits import ReadLimits
from headstart.data.problems import Problems
from headstart.data.profile import is_number
from headstart.errors import quote
from headstart.specs.datasets import ColumnType
from headstart.specs.labels import json_spans, json_texts, tag_labels

_LISTS: Mapping[ColumnType, str] = {"tokens": "a JSON list of words", "tags": "a JSON list of tags, or of spans with start, end and label"}


class Checks:
    """What the stated types ask of each row; a row that breaks it goes to `problems`.

    A span has to lie within a text of its row: within one of the columns that the schema calls text, or if it calls none so, within any
    other cell. That it lies within the one text that a task reads is for the task to see.
    """

    def __init__(self, names: Sequence[str], types: Mapping[str, ColumnType]) -> None:
        self._types = {name: kind for name, kind in types.items() if name in names}
        texts = {name for name, kind in self._types.items() if kind == "text"}
        self._texts = texts or set(names) - self._types.keys()

    def look(self, batch: Batch, problems: Problems) -> None:
        """Look at the columns of a batch whose types are stated."""
        columns = dict(zip(batch.names, batch.columns, strict=True))
        for name, kind in self._types.items():
            for row, cell in zip(batch.rows, columns[name], strict=True):
                if isinstance(cell, str):
                    _look_at(cell, name, kind, row, problems)
        tags = [name for name, kind in self._types.items() if kind == "tags"]
        if tags:
            self._look_at_tags(columns, tags, batch.rows, problems)

    def _look_at_tags(self, columns: Mapping[str, Cells], tags: Sequence[str], rows: Sequence[int], problems: Problems) -> None:
        words = [columns[name] for name, kind in self._types.items() if kind == "tokens"]
        texts = [columns[name] for name in self._texts if name in columns]
        for name in tags:
            for place, (row, cell) in enumerate(zip(rows, columns[name], strict=True)):
                if not isinstance(cell, str):
                    continue
                if json_spans(cell):
                    _check_spans(cell, name, row, max((_length(column[place]) for column in texts), default=0), problems)
                elif words and json_texts(cell):  # an empty list may be one of spans, none of which is there
                    _check_lengths(cell, name, row, [column[place] for column in words], problems)


def check_lengths(batch: Batch, texts: Collection[str], limits: ReadLimits, problems: Problems) -> None:
    """See that no cell of these columns is too long: where columns of base64 are stated, readers let all of a line pass.

    Raises:
        InvalidDataset: one is.
    """
    most = limits.max_field_chars
    for name, cells in zip(batch.names, batch.columns, strict=True):
        if name in texts and max(map(len, filter(None, cells)), default=0) > most:
            row = next(row for row, cell in zip(batch.rows, cells, strict=True) if cell and len(cell) > most)
            message = f"Row {row} has more than {most:,} characters in the column {quote(name)}."
            raise problems.refusal("field_too_long", message, row, column=name)


def _look_at(cell: str, name: str, kind: ColumnType, row: int, problems: Problems) -> None:
    where = f"Row {row} has {quote(cell)} in the column {quote(name)}, which is"
    if kind == "number" and not is_number(cell.strip()):
        problems.add("not_a_number", f"{where} not a finite number.", row, name)
    if (kind == "tokens" and json_texts(cell) is None) or (kind == "tags" and tag_labels(cell) is None):
        problems.add("not_a_list", f"{where} not {_LISTS[kind]}.", row, name)
    if kind == "categories" and cell.lstrip().startswith("[") and json_texts(cell) is None:
        problems.add("not_a_list", f"{where} not a JSON list of labels, though it begins like one.", row, name)


def _check_spans(cell: str, name: str, row: int, length: int, problems: Problems) -> None:
    for start, end, label in json_spans(cell) or ():
        if not 0 <= start < end <= length:
            there = f"and the text has {length:,} characters" if 0 <= start < end else "which is no part of a text"
            message = f"Row {row} has the span {quote(label)} from {start} to {end} in the column {quote(name)}, {there}."
            problems.add("span_outside", message, row, name)
            return


def _check_lengths(cell: str, name: str, row: int, words: Sequence[str | bytes | None], problems: Problems) -> None:
    count = len(json_texts(cell) or ())
    lengths = [len(told) for each in words if isinstance(each, str) and (told := json_texts(each)) is not None]
    if lengths and count not in lengths:
        message = f"Row {row} has {count:,} tags in the column {quote(name)} for {lengths[0]:,} tokens."
        problems.add("lengths_differ", message, row, name)


def _length(cell: str | bytes | None) -> int:
    return len(cell) if isinstance(cell, str) else 0
