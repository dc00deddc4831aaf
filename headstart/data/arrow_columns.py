"""Columns that have Arrow's types, from Parquet or from Arrow's own files: which can be taken, which hold files, and their rows as cells.

The types of the file choose the texts of the cells and nothing more: what a column is for is guessed from its texts, as in every other format.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import pyarrow as pa
from pyarrow import compute, types

from headstart.data.arrow_texts import CellError, depth, least_chars, objection, plain, texts
from headstart.data.batches import MAX_CHARS, Batch, filled
from headstart.data.limits import ReadLimits
from headstart.data.names import MAX_NAME_CHARS, check_names
from headstart.data.problems import InvalidDataset, Problems
from headstart.errors import quote
from headstart.specs.datasets import MediaType

BATCH_ROWS = 1_024
"""Decoded at once; few, for each value in them may take a megabyte."""
FILE_ROWS = 8
"""The same where there are columns of files, which are larger still."""
LOOKED_AT = 1_024
"""Rows in which a first file is looked for, to tell images from recordings and both from other bytes."""
CELL_BYTES = 4
"""What a cell takes in the table at the least: a null column decodes to nothing."""
FAULTS = (pa.ArrowException, OSError, ValueError, MemoryError)
"""All that Arrow was seen to raise over changed bytes."""

_HINTS = {
    "bad_data": "Mend the value, or take the column out.",
    "bad_header": f"Each column has a name of its own, not empty, of at most {MAX_NAME_CHARS} characters.",
    "field_too_long": "Cut the value, or take the column out.",
    "not_utf8": "Write the text as UTF-8, as Arrow has it.",
}
"""Where what works is something else than for lines of text."""


def media_of(
    schema: pa.Schema,
    limits: ReadLimits,
    problems: Problems,
    stated: Mapping[str, MediaType],
    looked_up: Callable[[str], MediaType | None],
) -> dict[str, MediaType]:
    """Which columns hold files, and of what: as stated, else as `looked_up` says of a column by its name.

    Raises:
        InvalidDataset: a column has no name, or a type that is not taken.
    """
    try:
        names = _names_of(schema)
    except UnicodeDecodeError:
        raise problems.refusal("not_utf8", "The name of a column holds bytes that are not UTF-8.", hint=_HINTS["not_utf8"]) from None
    if not names:
        raise problems.refusal("no_rows", "The file has no columns.")
    check_names(names, problems, "file", _HINTS["bad_header"])
    media = {field.name: kind for field in schema if _may_be_files(field) and (kind := stated.get(field.name) or looked_up(field.name))}
    for field in schema:
        name = quote(field.name)
        words = None if field.name in media else objection(field)
        if "\0" in field.name:
            raise problems.refusal("bad_header", f"The column name {name} has a NUL character.", hint=_HINTS["bad_header"])
        if words:
            problems.add("unsupported_type", f"The column {name} {words}, which is not taken.", column=field.name)
        elif depth(field.type) >= limits.max_depth:  # the row itself is one more, as in JSON Lines
            problems.add("too_deep", f"The column {name} is nested more than {limits.max_depth} deep.", column=field.name)
    problems.check()
    return media


def _names_of(fields: Iterable[pa.Field]) -> list[str]:
    """Their names, once those of all that is inside them were read, too: Arrow checks none.

    Raises:
        UnicodeDecodeError: one is not UTF-8.
    """
    names = []
    for field in fields:
        names.append(field.name)
        _names_of(field.type.field(number) for number in range(field.type.num_fields))
    return names


def first_cell(column: pa.Array) -> bytes | None:
    """The first file in a column of files, if there is one."""
    return next((cell for cell in plain_column(column).to_pylist() if cell is not None), None)


def plain_column(column: pa.Array) -> pa.Array:
    """A column in plain types, one of files as their bytes."""
    column = column.cast(plain(column.type))
    if types.is_struct(column.type) and _may_be_files(pa.field("", column.type)):
        column = compute.struct_field(column, "bytes")
    return column.cast(pa.large_binary()) if types.is_binary(column.type) else column


def plain_record(record: pa.RecordBatch) -> pa.RecordBatch:
    return pa.record_batch([plain_column(column) for column in record.columns], names=record.schema.names)


def unpacked_bytes(record: pa.RecordBatch) -> int:
    """What a record takes in memory, counted no lower than its cells do."""
    nbytes: int = record.nbytes
    return max(nbytes, int(record.num_rows) * int(record.num_columns) * CELL_BYTES)


def batches_of(record: pa.RecordBatch, row: int, media: Mapping[str, MediaType], limits: ReadLimits, problems: Problems) -> Iterator[Batch]:
    """The cells of a plain record, whose first row is `row`, no more at once than memory should hold.

    Raises:
        InvalidDataset: a value cannot be text.
    """
    names = record.schema.names
    for piece in _pieces(record):
        cells = [
            column.to_pylist() if name in media else _cells(column, name, row, limits, problems)
            for name, column in zip(names, piece.columns, strict=True)
        ]
        yield Batch(names, cells, range(row, row + piece.num_rows), media)
        row += piece.num_rows


def explained(error: Exception, rows: int, problems: Problems, code: str, kind: str) -> Exception:
    """The refusal that an error of Arrow's means, after so many good rows of a `kind` of file; a fault of the machine as it is."""
    after = f" after row {rows:,}" if rows else ""
    if isinstance(error, MemoryError) or "binary array capacity" in str(error):
        return problems.refusal("decoded_too_large", f"The file{after} unpacks to more than memory holds.")
    if isinstance(error, OSError) and error.errno is not None:
        return error
    if "too deeply nested" in str(error):
        return problems.refusal("too_deep", "The columns of the file are nested too deep.")
    return problems.refusal(code, f"The file{after} cannot be read: it is damaged, or {kind} of a kind that is not known here.")


def _may_be_files(field: pa.Field) -> bool:
    if objection(field.with_type(pa.string())):  # an extension type is nothing but itself
        return False
    kind = plain(field.type)
    if types.is_struct(kind):
        return {child.name for child in kind} == {"bytes", "path"} and _is_bytes(kind.field("bytes").type)
    return _is_bytes(kind)


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def _pieces(record: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Rows in the order of the file, no more at once than their texts take memory."""
    if record.num_rows > 1 and sum(map(least_chars, record.columns)) > MAX_CHARS:
        half = record.num_rows // 2
        yield from _pieces(record.slice(0, half))
        yield from _pieces(record.slice(half))
    else:
        yield record


def _cells(column: pa.Array, name: str, first_row: int, limits: ReadLimits, problems: Problems) -> Sequence[str | None]:
    try:
        return _column(column, limits.max_field_chars)
    except CellError as error:
        if len(column) == 1:
            message = f"Row {first_row} {error.words} in the column {quote(name)}."
            raise _refused(error, message, first_row, name, problems) from None
        # Row by row, to find the one at fault. It may be none of these: nested columns share what is below them with the rows around.
        return [cell for offset in range(len(column)) for cell in _cells(column.take([offset]), name, first_row + offset, limits, problems)]


def _refused(error: CellError, message: str, row: int, name: str, problems: Problems) -> InvalidDataset:
    return problems.refusal(error.code, message, row, column=name, hint=_HINTS.get(error.code))


def _column(column: pa.Array, most: int) -> list[str | None]:
    try:
        column.validate(full=True)
    except pa.ArrowInvalid as error:
        if "UTF8" in str(error):
            raise CellError("not_utf8", "holds bytes that are not UTF-8") from None
        raise CellError("parquet_corrupt", "holds a damaged value") from None
    if least_chars(column) > most * len(column):
        raise CellError("field_too_long", f"has more than {most:,} characters")
    cells = [filled(text or "") for text in texts(column)]
    if any(len(cell) > most for cell in cells if cell):
        raise CellError("field_too_long", f"has more than {most:,} characters")
    return cells
