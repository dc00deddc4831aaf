"""Arrow's own files: IPC with a footer, which is Feather version 2, and IPC streams, as Hugging Face keeps data sets on disk.

Nothing in them is trusted: buffers may be compressed, shared by many records, or too short for what they are said to hold. Each record is
validated as a whole before a value of it is looked at, and what records unpack to is counted.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from typing import BinaryIO

import pyarrow as pa

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
from headstart.data.problems import Problems
from headstart.specs.datasets import MediaType

_FILE_MAGIC, _OLD_FEATHER_MAGIC = b"ARROW1", b"FEA1"


def arrow_batches(
    file: BinaryIO, limits: ReadLimits, problems: Problems, stated: Mapping[str, MediaType] | None = None
) -> Generator[Batch, None, None]:
    """The rows of an Arrow file or stream. Columns of bytes, or of structs of `bytes` and `path` as Hugging Face has them, may hold files.

    Args:
        stated: of what; by their first bytes where it is not said.

    Raises:
        InvalidDataset: the file is no Arrow, is damaged, unpacks to too much, or a column or value cannot be text.
    """
    schema, records = _opened(file, limits, problems)
    first = next(records, None)
    media = media_of(schema, limits, problems, stated or {}, lambda name: _looked_up(first, name))
    most = min(FILE_ROWS if media else BATCH_ROWS, rows_per_batch(len(schema)))
    row = 1
    while first is not None:
        for piece in _plain_pieces(first, most, row - 1, problems):
            yield from batches_of(piece, row, media, limits, problems)
            row += piece.num_rows
        first = next(records, None)
    if row == 1:
        raise problems.refusal("no_rows", "The file has columns and no rows.")


def _opened(file: BinaryIO, limits: ReadLimits, problems: Problems) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    head = file.read(len(_FILE_MAGIC))
    file.seek(0)
    if not head:
        raise problems.refusal("no_rows", "The file is empty.")
    if head.startswith(_OLD_FEATHER_MAGIC):
        raise problems.refusal(
            "arrow_corrupt", "The file is Feather of version 1.", hint="Write it as Feather of version 2, or as Parquet."
        )
    try:
        options = pa.ipc.IpcReadOptions(use_threads=False)
        source = pa.PythonFile(file, mode="r")
        if head == _FILE_MAGIC:
            reader = pa.ipc.open_file(source, options=options)
            given = (reader.get_batch(number) for number in range(reader.num_record_batches))
        else:
            reader = given = pa.ipc.open_stream(source, options=options)
        schema = reader.schema
    except FAULTS as error:
        raise explained(error, 0, problems, "arrow_corrupt", "Arrow") from None
    if _width(schema) > limits.max_columns:
        message = f"The file has more than {limits.max_columns:,} columns, with those inside structs."
        raise problems.refusal("too_many_columns", message)
    return schema, _records(given, limits, problems)


def _records(given: Iterator[pa.RecordBatch], limits: ReadLimits, problems: Problems) -> Iterator[pa.RecordBatch]:
    """The records that hold rows, each valid, and counted: by its rows and by the bytes that it takes."""
    rows = unpacked = 0
    while True:
        try:
            record = next(given, None)
            if record is None:
                return
            rows += record.num_rows
            if rows <= limits.max_rows:
                record.validate(full=True)
        except FAULTS as error:
            if "UTF8" in str(error):
                raise problems.refusal("not_utf8", f"One of the rows up to {rows:,} holds bytes that are not UTF-8.") from None
            raise explained(error, rows, problems, "arrow_corrupt", "Arrow") from None
        if rows > limits.max_rows:
            raise problems.refusal("too_many_rows", f"The file has more than {limits.max_rows:,} rows.")
        unpacked += unpacked_bytes(record)
        if unpacked > limits.max_decoded_bytes:
            raise problems.refusal("decoded_too_large", f"The file unpacks to more than {limits.max_decoded_bytes:,} bytes.")
        if record.num_rows:
            yield record


def _plain_pieces(record: pa.RecordBatch, most: int, rows: int, problems: Problems) -> Iterator[pa.RecordBatch]:
    """A record in plain types, `most` rows at once: a dictionary may repeat a long text in each."""
    for start in range(0, record.num_rows, most):
        try:
            yield plain_record(record.slice(start, most))
        except FAULTS as error:
            raise explained(error, rows + start, problems, "arrow_corrupt", "Arrow") from None


def _looked_up(record: pa.RecordBatch | None, name: str) -> MediaType | None:
    """What the first value of a column is, if it is a file of a kind that is known."""
    if record is None:
        return None
    try:
        for start in range(0, min(record.num_rows, LOOKED_AT), FILE_ROWS):
            first = first_cell(record.column(name).slice(start, FILE_ROWS))
            if first is not None:
                return kind_of(first)
    except FAULTS:
        return None  # then it is a column of bytes, and no more
    return None


def _width(schema: pa.Schema) -> int:
    """Columns, with those inside structs and lists."""
    waiting, seen = [field.type for field in schema], 0
    while waiting:
        kind = waiting.pop()
        kind = kind.storage_type if isinstance(kind, pa.BaseExtensionType) else kind
        seen += 1
        waiting += [kind.field(number).type for number in range(kind.num_fields)]
    return seen
