"""Parquet, decoded by Arrow a thousand rows at a time; what becomes of its columns stands in `arrow_columns`.

Nothing that the footer says of sizes is believed: two megabytes can unpack to gigabytes behind a footer that speaks of kilobytes. So
the file is decoded twice: once to count and to refuse it, before a cell is made of it, and once for the cells, which take far longer.
Checksums of pages are verified where the file has them; page headers and the footer have none.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator, Mapping
from itertools import islice
from typing import BinaryIO

import pyarrow as pa
from pyarrow import parquet as pq

from headstart.data.arrow_columns import (
    BATCH_ROWS,
    FAULTS,
    FILE_ROWS,
    LOOKED_AT,
    batches_of,
    explained,
    first_cell,
    media_of,
    plain_record,
    unpacked_bytes,
)
from headstart.data.batches import Batch, rows_per_batch
from headstart.data.limits import ReadLimits
from headstart.data.media import kind_of
from headstart.data.problems import InvalidDataset, Problems
from headstart.specs.datasets import MediaType

BUFFER_BYTES = 2**16
"""Of each column that is read at once."""

_MAGIC, _ENCRYPTED_MAGIC = b"PAR1", b"PARE"
_VERSION_0 = b"\x15\x00"  # how a footer begins that gives its version as 0; there are 1 and 2


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
    media = _media(parquet, limits, problems, stated or {})
    most = FILE_ROWS if media else BATCH_ROWS
    for _ in _records(parquet, most, limits, problems):
        pass  # counted, and seen to be whole
    row = 1
    for record in _records(parquet, most, limits, problems):
        yield from batches_of(record, row, media, limits, problems)
        row += record.num_rows


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
    except FAULTS as error:
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


def _media(parquet: pq.ParquetFile, limits: ReadLimits, problems: Problems, stated: Mapping[str, MediaType]) -> dict[str, MediaType]:
    """Of which files there are columns, with all that can be refused before the file is decoded."""
    count, rows = parquet.metadata.num_columns, parquet.metadata.num_rows
    if count > limits.max_columns:
        message = f"The file has {count:,} columns, with those inside structs; at most {limits.max_columns:,} are taken."
        raise problems.refusal("too_many_columns", message)
    if rows > limits.max_rows:
        raise problems.refusal("too_many_rows", f"The file has more than {limits.max_rows:,} rows.")
    try:
        schema = parquet.schema_arrow
        return media_of(schema, limits, problems, stated, lambda name: _looked_up(parquet, name))
    except FAULTS as error:
        raise _explained(error, 0, problems) from None


def _looked_up(parquet: pq.ParquetFile, name: str) -> MediaType | None:
    """What the first value of a column is, if it is a file of a kind that is known."""
    try:
        for record in islice(parquet.iter_batches(FILE_ROWS, columns=[name], use_threads=False), LOOKED_AT // FILE_ROWS):
            first = first_cell(record.column(name))
            if first is not None:
                return kind_of(first)
    except FAULTS:
        return None  # then it is a column of bytes, and no more
    return None


def _records(parquet: pq.ParquetFile, most: int, limits: ReadLimits, problems: Problems) -> Iterator[pa.RecordBatch]:
    """All rows, `most` at once, in plain types, counted: by themselves and by the bytes that they unpack to."""
    rows = unpacked = 0
    records = parquet.iter_batches(min(most, rows_per_batch(parquet.metadata.num_columns)), use_threads=False)
    while True:
        try:
            record = next(records, None)
            if record is None:
                break
            record = plain_record(record)
        except FAULTS as error:
            raise _explained(error, rows, problems) from None
        rows += record.num_rows
        unpacked += unpacked_bytes(record)
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
    if "crypt" in str(error):
        return _encrypted(problems)
    return explained(error, rows, problems, "parquet_corrupt", "Parquet")


def _encrypted(problems: Problems) -> InvalidDataset:
    return problems.refusal("parquet_corrupt", "The file, or a column of it, is encrypted.", hint="Write it without encryption.")
