"""JSON Lines: one object a line. Numbers keep the letters they were written with, so that `1`, `1.0` and `007` never meet.

Depth and length are bounded before any parser sees a line: parsers have been crashed by nesting alone.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Generator, Iterator, Sequence
from typing import Any, BinaryIO, NoReturn

from headstart.data.batches import MAX_CHARS, Batch, filled, rows_per_batch
from headstart.data.csv_rows import refuse_utf16
from headstart.data.limits import ReadLimits
from headstart.data.names import MAX_NAME_CHARS
from headstart.data.problems import Problems
from headstart.errors import quote

# A string, closed or not, or a bracket. Possessive, and every quote begins a match: linear in the length of the line.
_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)


class LateColumnsError(Exception):
    """A key appeared after the first batch had gone out; `columns` are all there are, to read again with."""

    def __init__(self, columns: list[str]) -> None:
        super().__init__(columns)
        self.columns = columns


class _RowError(ValueError):
    """A line that is no row: `code` and the rest of a sentence that begins with the row."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code = code
        self.words = words


class _Number(str):
    """A number as it was written."""

    __slots__ = ()


def jsonl_batches(file: BinaryIO, limits: ReadLimits, problems: Problems, columns: Sequence[str] = ()) -> Generator[Batch, None, None]:
    """The rows of a JSON Lines file; its columns are the keys of all rows in the order they are first seen, after `columns`.

    A line that is no JSON object goes to `problems` and is left out; once they refuse the file, the rest is only looked through for more.

    Raises:
        InvalidDataset: the bytes make further reading senseless.
        LateColumnsError: a batch was given out before a key was seen, at the end of the file.
    """
    refuse_utf16(file, problems)
    known = dict.fromkeys(columns)
    names: list[str] = []  # of the batches that went out
    rows: list[dict[str, str | None]] = []
    numbers: list[int] = []
    mark = MAX_CHARS
    for number, row in _rows(file, limits, problems, known):
        if names and len(known) > len(names):
            rows, numbers = [], []
            continue
        rows.append(row)
        numbers.append(number)
        mark -= sum(len(cell) for cell in row.values() if cell)
        if len(rows) >= rows_per_batch(len(known)) or mark <= 0:
            names = list(known)
            yield _batch(names, rows, numbers)
            rows, numbers, mark = [], [], MAX_CHARS
    if names and len(known) > len(names) and not problems.refusing:
        raise LateColumnsError(list(known))
    if rows and known:
        yield _batch(list(known), rows, numbers)
    elif not names and not problems.refusing:
        raise problems.refusal("no_rows", _nothing(rows, problems))


def _nothing(rows: Sequence[object], problems: Problems) -> str:
    if rows:
        return "No row of the file has a key."
    return "The file has no good row." if problems.dropped else "The file is empty."


def _batch(names: list[str], rows: list[dict[str, str | None]], numbers: list[int]) -> Batch:
    return Batch(names, [[row.get(name) for row in rows] for name in names], numbers)


def _rows(file: BinaryIO, limits: ReadLimits, problems: Problems, known: dict[str, None]) -> Iterator[tuple[int, dict[str, str | None]]]:
    """The number of each good row and its cells by key; `known` grows by the keys that are seen."""
    number = 0
    for line in _lines(file, limits, problems):
        number += 1
        if number > limits.max_rows:
            raise problems.refusal("too_many_rows", f"The file has more than {limits.max_rows:,} rows.")
        try:
            row = _row(line, number, limits, problems, known)
        except _RowError as error:
            problems.skip(error.code, f"Row {number} {error.words}", number)
            continue
        if not problems.refusing:
            yield number, row


def _lines(file: BinaryIO, limits: ReadLimits, problems: Problems) -> Iterator[bytes]:
    """Lines that are not blank. Row numbers count these alone."""
    number = 1
    file.seek(len(codecs.BOM_UTF8) if file.read(3) == codecs.BOM_UTF8 else 0)
    while line := file.readline(limits.max_line_bytes + 1):
        if len(line) > limits.max_line_bytes:
            raise problems.refusal("line_too_long", f"Row {number} has a line of more than {limits.max_line_bytes:,} bytes.", number)
        if not line.isspace():
            yield line
            number += 1


def _row(line: bytes, number: int, limits: ReadLimits, problems: Problems, known: dict[str, None]) -> dict[str, str | None]:
    try:
        text = line.decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise problems.refusal("not_utf8", f"Row {number} holds bytes that are not UTF-8.", number) from None
    _check_depth(text, limits.max_depth)
    row = _parse(text)
    if not row.keys() <= known.keys():
        _check_keys([key for key in row if key not in known])
        if len(row.keys() | known.keys()) > limits.max_columns:
            raise problems.refusal("too_many_columns", f"The file has more than {limits.max_columns:,} different keys.", number)
    cells = {key: _cell(value) for key, value in row.items()}
    for key, cell in cells.items():
        if cell is not None and len(cell) > limits.max_field_chars:
            raise _RowError("field_too_long", f"has more than {limits.max_field_chars:,} characters under {quote(key)}.")
    if "\\u" in text:  # only an escape can make a lone surrogate or a NUL
        for cell in cells.values():
            _check_text(cell or "")
    known.update(dict.fromkeys(row))
    return cells


def _check_depth(text: str, most: int) -> None:
    if text.count("{") + text.count("[") <= most:
        return
    depth = 0
    for token in _TOKEN.finditer(text):
        mark = token[0]
        if mark in {"{", "["}:
            depth += 1
            if depth > most:
                raise _RowError("too_deep", f"is nested more than {most} deep.")
        elif mark in {"}", "]"}:
            depth -= 1


def _parse(text: str) -> dict[str, Any]:
    try:
        row = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise _RowError("bad_json", f"is not valid JSON: look near character {error.pos + 1}.") from None
    if not isinstance(row, dict):
        raise _RowError("bad_json", "is JSON, and not an object.")
    return row


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _RowError("bad_json", f"has the key {quote(twice)} twice.")
    return made


def _constant(name: str) -> NoReturn:
    raise _RowError("bad_json", f"holds {name}, which is not JSON.")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_int=_Number, parse_float=_Number, parse_constant=_constant)


def _check_keys(keys: Sequence[str]) -> None:
    for key in keys:
        if filled(key) is None:
            raise _RowError("bad_json", "has an empty key.")
        if len(key) > MAX_NAME_CHARS:
            raise _RowError("bad_json", f"has the key {quote(key)} of more than {MAX_NAME_CHARS} characters.")
        _check_text(key)


def _check_text(text: str) -> None:
    if "\0" in text:
        raise _RowError("bad_json", "holds a NUL character.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _RowError("bad_json", "holds half of a surrogate pair.") from None


def _cell(value: object) -> str | None:
    """The text of a value: strings and numbers as written, lists and objects as compact JSON, null is missing."""
    if value is None:
        return None
    if isinstance(value, str):
        return filled(str(value))
    return _compact(value)


def _compact(value: object) -> str:
    match value:
        case _Number():
            return str(value)
        case str():
            _check_text(value)
            return json.dumps(value, ensure_ascii=False)
        case list():
            return f"[{','.join(map(_compact, value))}]"
        case dict():
            return "{" + ",".join(f"{_compact(key)}:{_compact(item)}" for key, item in value.items()) + "}"
        case _:
            return json.dumps(value)
