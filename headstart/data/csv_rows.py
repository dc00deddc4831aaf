"""CSV as RFC 4180 has it, read by the standard library and held to the rules that it lets pass.

The standard library takes an unclosed quote as one field up to the end of the file and knows only physical lines; so lines are
handed to it by `_Lines`, which bounds their length, checks their bytes, and knows the row that is being read.
"""

from __future__ import annotations

import codecs
import csv
import io
import itertools
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import BinaryIO

from headstart.data.batches import MAX_CHARS, Batch, filled, rows_per_batch
from headstart.data.limits import ReadLimits
from headstart.data.names import check_names
from headstart.data.problems import InvalidDataset, Problems


def csv_batches(file: BinaryIO, limits: ReadLimits, problems: Problems, delimiter: str = ",") -> Generator[Batch, None, None]:
    """The rows of a CSV file with a header; of a TSV file with `delimiter` a tab.

    A row of the wrong width goes to `problems` and is left out; once they refuse the file, the rest is only looked through for more.

    Raises:
        InvalidDataset: the bytes, the header or the quoting make further reading senseless.
    """
    refuse_utf16(file, problems)
    text = io.TextIOWrapper(file, encoding="utf-8-sig", errors="surrogateescape", newline="")
    try:
        lines = _Lines(text, limits, problems)
        with _field_limit(limits.max_field_chars):
            yield from _batches(_records(lines, problems, delimiter), lines, limits, problems)
    finally:
        text.detach()


def refuse_utf16(file: BinaryIO, problems: Problems) -> None:
    """Raise InvalidDataset for a file that begins with the byte order mark of UTF-16 or UTF-32."""
    start = file.read(4)
    file.seek(0)
    if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE)):
        raise problems.refusal("not_utf8", "The file is UTF-16 or UTF-32, not UTF-8.")


class _Lines:
    """Physical lines, checked. `row` is the data row that is being read, 0 for the header; `chars` is what was read in all."""

    def __init__(self, text: io.TextIOWrapper, limits: ReadLimits, problems: Problems) -> None:
        self.row = 0
        self.chars = 0
        self.number = 0
        self.overlong = False
        self._last = ""
        self._text = text
        self._limit = limits.max_line_bytes
        self._problems = problems

    def __iter__(self) -> Iterator[str]:
        readline, limit = self._text.readline, self._limit
        while line := readline(limit):
            self._last = line
            self.number += 1
            self.chars += len(line)
            if len(line) == limit and line[-1] not in "\r\n":
                # What there is of it goes to the parser first: a single field that is too long has words of its own.
                self.overlong = True
            if "\0" in line:
                raise self._problems.refusal("bad_data", f"{self.place} holds a NUL byte.", self.row or None)
            if not line.isascii():
                self._check_utf8(line)
            yield line
            self.refuse_overlong()

    @property
    def place(self) -> str:
        return f"Row {self.row}" if self.row else "The header"

    def refuse_overlong(self) -> None:
        if self.overlong:
            raise self._problems.refusal(
                "line_too_long", f"{self.place} has a line of more than {self._limit:,} characters.", self.row or None
            )

    def _check_utf8(self, line: str) -> None:
        try:
            line.encode()
        except UnicodeEncodeError:  # surrogateescape has put a surrogate in the place of each byte that is not UTF-8
            raise self._problems.refusal("not_utf8", f"{self.place} holds bytes that are not UTF-8.", self.row or None) from None

    def quote_stays_open(self) -> bool:
        """Whether no lone quote ends the field that was open before this line, up to the end of the file."""
        rest = itertools.chain([self._last], iter(lambda: self._text.readline(self._limit), ""))
        return not any('"' in line.replace('""', "") for line in rest)


def _records(lines: _Lines, problems: Problems, delimiter: str) -> Iterator[list[str]]:
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    begun = 0
    while True:
        try:
            begun = lines.number
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise _explain(str(error), lines, problems, delimiter, spans_lines=lines.number > begun + 1) from None
        lines.refuse_overlong()
        yield record


def _explain(error: str, lines: _Lines, problems: Problems, delimiter: str, *, spans_lines: bool) -> InvalidDataset:
    row = lines.row or None
    if "unexpected end of data" in error or ("field larger" in error and spans_lines and lines.quote_stays_open()):
        return problems.refusal("unclosed_quote", f"{lines.place} opens a quote that is never closed.", row)
    if "field larger" in error:
        return problems.refusal("field_too_long", f"{lines.place} has a field of more than {csv.field_size_limit():,} characters.", row)
    if "expected after" in error:
        separator = "comma" if delimiter == "," else "tab"
        return problems.refusal("bad_quote", f"{lines.place} has characters between a closing quote and the next {separator}.", row)
    return problems.refusal("bad_data", f"{lines.place} cannot be read as CSV.", row)


@contextmanager
def _field_limit(chars: int) -> Iterator[None]:
    before = csv.field_size_limit(chars)  # one for the whole process; we run in a child of our own, and put it back for tests
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _batches(records: Iterator[list[str]], lines: _Lines, limits: ReadLimits, problems: Problems) -> Iterator[Batch]:
    names = _header(records, limits, problems)
    most, mark = rows_per_batch(len(names)), lines.chars + MAX_CHARS
    rows: list[list[str]] = []
    numbers: list[int] = []
    none = True
    for row in _whole_rows(records, len(names), lines, limits, problems):
        rows.append(row)
        numbers.append(lines.row - 1)
        if len(rows) >= most or lines.chars >= mark:
            yield _batch(names, rows, numbers)
            none = False
            rows, numbers, mark = [], [], lines.chars + MAX_CHARS
    if rows:
        yield _batch(names, rows, numbers)
    elif none and not problems.refusing:
        raise problems.refusal(
            "no_rows", "The file has a header and no good row." if problems.dropped else "The file has a header and no rows."
        )


def _header(records: Iterator[list[str]], limits: ReadLimits, problems: Problems) -> list[str]:
    names = next((record for record in records if record), None)
    if names is None:
        raise problems.refusal("no_rows", "The file is empty.")
    if len(names) > limits.max_columns:
        raise problems.refusal("too_many_columns", f"The file has {len(names):,} columns; at most {limits.max_columns:,} are taken.")
    check_names(names, problems)
    return names


def _whole_rows(records: Iterator[list[str]], width: int, lines: _Lines, limits: ReadLimits, problems: Problems) -> Iterator[list[str]]:
    """The rows that are not ragged; blank lines count as ragged only when a row follows them."""
    lines.row = 1
    blank_from = 0
    for record in records:
        row, lines.row = lines.row, lines.row + 1
        if not record:
            blank_from = blank_from or row
            continue
        if blank_from:
            for blank in range(blank_from, row):
                problems.skip("ragged_row", f"Row {blank} is a blank line.", blank)
            blank_from = 0
        if row > limits.max_rows:
            raise problems.refusal("too_many_rows", f"The file has more than {limits.max_rows:,} rows.")
        if len(record) != width:
            problems.skip("ragged_row", f"Row {row} has {_fields(len(record))}; the header has {width}.", row)
        elif not problems.refusing:
            yield record


def _fields(count: int) -> str:
    return "1 field" if count == 1 else f"{count:,} fields"


def _batch(names: list[str], rows: list[list[str]], numbers: list[int]) -> Batch:
    return Batch(names, [[filled(text) for text in column] for column in zip(*rows, strict=True)], numbers)
