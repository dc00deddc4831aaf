"""Parquet, decoded by Arrow a thousand rows at a time; what becomes of each type stands in `arrow_texts`.

Nothing that the footer says of sizes is believed: two megabytes can unpack to gigabytes behind a footer that speaks of kilobytes. So
the file is decoded twice: once to count and to refuse it, before a cell is made of it, and once for the cells, which take far longer.
Checksums of pages are verified where the file has them; page headers and the footer have none. The types of the file choose the texts
of the cells and nothing more: what a column is for is guessed from its texts, as in every other format.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Mapping, Sequence
from itertools import islice
from typing import BinaryIO

import pyarrow as pa
from pyarrow import compute, types
from pyarrow import parquet as pq

from headstart.data.arrow_texts import CellError, depth, least_chars, objection, plain, texts
from headstart.data.batches import MAX_CHARS, Batch, filled, rows_per_batch
from headstart.data.limits import ReadLimits
from headstart.data.media import kind_of
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
BUFFER_BYTES = 2**16
"""Of each column that is read at once."""
CELL_BYTES = 4
"""What a cell takes in the table at the least: a null column decodes to nothing."""

_MAGIC, _ENCRYPTED_MAGIC = b"PAR1", b"PARE"
_VERSION_0 = b"\x15\x00"  # how a footer begins that gives its version as 0; there are 1 and 2
_HINTS = {
    "bad_data": "Mend the value, or take the column out.",
    "bad_header": f"Each column has a name of its own, not empty, of at most {MAX_NAME_CHARS} characters.",
    "field_too_long": "Cut the value, or take the column out.",
    "not_utf8": "Write the text as UTF-8, as Parquet has it.",
}
"""Where what works is something else than for lines of text."""
_FAULTS = (pa.ArrowException, OSError, ValueError, MemoryError)  # all that Arrow was seen to raise over changed bytes


def parquet_batches(
    file: BinaryIO, limits: ReadLimits, problems: Problems, stated: Mapping[str, MediaType] | None = None
) -> Generator[Batch, None, None]:
    """The rows of a Parquet file. Columns of bytes, or of structs of `bytes` and `path` as Hugging Face has them, may hold files.

    Args:
        stated: of what; by their first bytes where it is not said.

    Raises:
        InvalidDataset: the file is no Parquet, is damaged or encrypted, unpacks to too much, or a column or value cannot be text.
    """
    parquet = _open(file, problems)
    names, media = _check_columns(parquet, limits, problems, stated or {})
    most = FILE_ROWS if media else BATCH_ROWS
    for _ in _records(parquet, most, limits, problems):
        pass  # counted, and seen to be whole
    row = 1
    for record in _records(parquet, most, limits, problems):
        for piece in _pieces(record):
            cells = [
                column.to_pylist() if name in media else _cells(column, name, row, limits, problems)
                for name, column in zip(names, piece.columns, strict=True)
            ]
            yield Batch(names, cells, row, media)
            row += piece.num_rows


def _open(file: BinaryIO, problems: Problems) -> pq.ParquetFile:
    _check_ends(file, problems)
    try:
        return pq.ParquetFile(
            file,
            buffer_size=BUFFER_BYTES,
            pre_buffer=False,
            page_checksum_verification=True,
            arrow_extensions_enabled=False,
            coerce_int96_timestamp_unit="us",  # nanoseconds would turn years before 1677 and after 2262 into others
        )
    except _FAULTS as error:
        raise _explained(error, 0, problems) from None


def _check_ends(file: BinaryIO, problems: Problems) -> None:
    size = file.seek(0, os.SEEK_END)
    if size == 0:
        raise problems.refusal("no_rows", "The file is empty.")
    file.seek(0)
    head = file.read(4)
    file.seek(max(size - 8, 0))
    footer_bytes, tail = int.from_bytes(file.read(4), "little"), file.read(4)
    if _ENCRYPTED_MAGIC in {head, tail}:
        raise _encrypted(problems)
    if head != _MAGIC or tail != _MAGIC or footer_bytes > size - 12:
        raise problems.refusal("parquet_corrupt", "The file is not Parquet, or not all of it: its beginning and its end do not fit.")
    file.seek(size - 8 - footer_bytes)
    if file.read(2) == _VERSION_0:
        raise problems.refusal("parquet_corrupt", "The file says that it is Parquet of version 0, which there is not.")
    file.seek(0)


def _check_columns(
    parquet: pq.ParquetFile, limits: ReadLimits, problems: Problems, stated: Mapping[str, MediaType]
) -> tuple[list[str], dict[str, MediaType]]:
    """What can be refused before all is decoded; gives the names, and of which files there are columns."""
    count, rows = parquet.metadata.num_columns, parquet.metadata.num_rows
    if count > limits.max_columns:
        message = f"The file has {count:,} columns, with those inside structs; at most {limits.max_columns:,} are taken."
        raise problems.refusal("too_many_columns", message)
    if rows > limits.max_rows:
        raise problems.refusal("too_many_rows", f"The file has more than {limits.max_rows:,} rows.")
    try:
        schema = parquet.schema_arrow
        names = [field.name for field in schema]
        objections = [objection(field) for field in schema]
    except _FAULTS as error:
        raise _explained(error, 0, problems) from None
    if not names:
        raise problems.refusal("no_rows", "The file has no columns.")
    check_names(names, problems, "file", _HINTS["bad_header"])
    media = {
        field.name: kind for field in schema if _may_be_files(field) and (kind := stated.get(field.name) or _looked_up(parquet, field.name))
    }
    _check_types(schema, [words if name not in media else None for name, words in zip(names, objections, strict=True)], limits, problems)
    return names, media


def _check_types(schema: pa.Schema, objections: Sequence[str | None], limits: ReadLimits, problems: Problems) -> None:
    for field, words in zip(schema, objections, strict=True):
        name = quote(field.name)
        if "\0" in field.name:
            raise problems.refusal("bad_header", f"The column name {name} has a NUL character.", hint=_HINTS["bad_header"])
        if words:
            problems.add("unsupported_type", f"The column {name} {words}, which is not taken.", column=field.name)
        elif depth(field.type) >= limits.max_depth:  # the row itself is one more, as in JSON Lines
            problems.add("too_deep", f"The column {name} is nested more than {limits.max_depth} deep.", column=field.name)
    problems.check()


def _may_be_files(field: pa.Field) -> bool:
    if objection(field.with_type(pa.string())):  # an extension type is nothing but itself
        return False
    kind = plain(field.type)
    if types.is_struct(kind):
        return {child.name for child in kind} == {"bytes", "path"} and _is_bytes(kind.field("bytes").type)
    return _is_bytes(kind)


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def _looked_up(parquet: pq.ParquetFile, name: str) -> MediaType | None:
    """What the first value of a column is, if it is a file of a kind that is known."""
    try:
        for record in islice(parquet.iter_batches(FILE_ROWS, columns=[name], use_threads=False), LOOKED_AT // FILE_ROWS):
            first = next((cell for cell in _plain(record.column(name)).to_pylist() if cell is not None), None)
            if first is not None:
                return kind_of(first)
    except _FAULTS:
        return None  # then it is a column of bytes, and no more
    return None


def _plain(column: pa.Array) -> pa.Array:
    """A column in plain types, one of files as their bytes."""
    column = column.cast(plain(column.type))
    if types.is_struct(column.type) and _may_be_files(pa.field("", column.type)):
        column = compute.struct_field(column, "bytes")
    return column.cast(pa.large_binary()) if types.is_binary(column.type) else column


def _records(parquet: pq.ParquetFile, most: int, limits: ReadLimits, problems: Problems) -> Iterator[pa.RecordBatch]:
    """All rows, `most` at once, in plain types, counted: by themselves and by the bytes that they unpack to."""
    rows = unpacked = 0
    records = parquet.iter_batches(min(most, rows_per_batch(parquet.metadata.num_columns)), use_threads=False)
    while True:
        try:
            record = next(records, None)
            if record is None:
                break
            record = pa.record_batch([_plain(column) for column in record.columns], names=record.schema.names)
        except _FAULTS as error:
            raise _explained(error, rows, problems) from None
        rows += record.num_rows
        unpacked += max(record.nbytes, record.num_rows * record.num_columns * CELL_BYTES)
        if rows > limits.max_rows:
            raise problems.refusal("too_many_rows", f"The file has more than {limits.max_rows:,} rows.")
        if unpacked > limits.max_decoded_bytes:
            raise problems.refusal("decoded_too_large", f"The file unpacks to more than {limits.max_decoded_bytes:,} bytes.")
        yield record
    if rows != parquet.metadata.num_rows:
        raise problems.refusal("parquet_corrupt", f"The file is damaged: it holds {rows:,} rows, and its footer speaks of another number.")
    if not rows:
        raise problems.refusal("no_rows", "The file has columns and no rows.")


def _explained(error: Exception, rows: int, problems: Problems) -> Exception:
    """The refusal that an error of Arrow's means, after so many good rows; a fault of the machine as it is."""
    after = f" after row {rows:,}" if rows else ""
    if isinstance(error, MemoryError) or "binary array capacity" in str(error):
        return problems.refusal("decoded_too_large", f"The file{after} unpacks to more than memory holds.")
    if isinstance(error, OSError) and error.errno is not None:
        return error
    if "crypt" in str(error):
        return _encrypted(problems)
    if "too deeply nested" in str(error):
        return problems.refusal("too_deep", "The columns of the file are nested too deep.")
    return problems.refusal(
        "parquet_corrupt", f"The file{after} cannot be read: it is damaged, or Parquet of a kind that is not known here."
    )


def _encrypted(problems: Problems) -> InvalidDataset:
    return problems.refusal("parquet_corrupt", "The file, or a column of it, is encrypted.", hint="Write it without encryption.")


def _pieces(record: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Rows in the order of the file, no more at once than their texts take memory."""
    if record.num_rows > 1 and sum(map(least_chars, record.columns)) > MAX_CHARS:
        half = record.num_rows // 2
        yield from _pieces(record.slice(0, half))
        yield from _pieces(record.slice(half))
    else:
        yield record


def _cells(column: pa.Array, name: str, first_row: int, limits: ReadLimits, problems: Problems) -> list[str | None]:
    try:
        return _column(column, limits.max_field_chars)
    except CellError as error:
        if len(column) == 1:
            message = f"Row {first_row} {error.words} in the column {quote(name)}."
            raise problems.refusal(error.code, message, first_row, column=name, hint=_HINTS.get(error.code)) from None
        # Row by row, to find the one at fault. It may be none of these: nested columns share what is below them with the rows around.
        return [cell for offset in range(len(column)) for cell in _cells(column.take([offset]), name, first_row + offset, limits, problems)]


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
