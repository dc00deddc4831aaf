"""From an uploaded file to a table and its profile, in one streaming pass. Runs in a confined child process."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa

from headstart.blobs.atomic import atomic_file
from headstart.data.batches import Batch
from headstart.data.csv_rows import csv_batches
from headstart.data.joining import ParentTable, joined
from headstart.data.jsonl_rows import LateColumnsError, jsonl_batches
from headstart.data.limits import ReadLimits
from headstart.data.media import MediaColumn
from headstart.data.parquet_rows import parquet_batches
from headstart.data.problems import InvalidDataset, Problems
from headstart.data.profile import ColumnCounter, column_counters, hashes_of_each
from headstart.data.table import table_schema
from headstart.data.zip_rows import zip_batches
from headstart.errors import closest, listing, quote
from headstart.specs.datasets import MEDIA_TYPES, ColumnType, DatasetProfile, Format, MediaType

__all__ = ["InvalidDataset", "read_dataset"]


def read_dataset(
    source: Path,
    target: Path,
    *,
    format: Format,  # noqa: A002  the word of the public contract
    types: Mapping[str, ColumnType],
    limits: ReadLimits,
    parent: ParentTable | None = None,
) -> DatasetProfile:
    """Write the rows of `source` to `target` as an Arrow IPC file: files as bytes, all else as strings, missing cells null.

    Cells are kept as the file has them, and so is every byte of images and recordings. Labels are compared by
    `headstart.specs.labels.normal_label`, here and later.

    Args:
        types: column types that the user states; they win over the guess.
        parent: the version whose rows come first or are replaced, when this is a version of another.

    Raises:
        InvalidDataset: the file cannot become a dataset; `target` is not there then.
        OSError, MemoryError: the machine's fault, not the file's.
    """
    columns: list[str] = []
    while True:
        problems = Problems(limits.max_kept_problems)
        # closed before the file is: a reader that was not read to its end still holds it
        with open(source, "rb") as file, closing(_batches(format, file, types, limits, problems, columns)) as new:
            try:
                with closing(new if parent is None else joined(new, parent, types, limits, problems)) as batches:
                    return _write(batches, target, dict(types), limits, problems)
            except LateColumnsError as late:
                columns = late.columns  # all of them: the second time is the last


def _batches(
    name: Format, file: BinaryIO, types: Mapping[str, ColumnType], limits: ReadLimits, problems: Problems, columns: Sequence[str]
) -> Generator[Batch, None, None]:
    if _stated_media(types):  # base64 is long: texts beside it are measured once they are read
        limits = replace(limits, max_field_chars=limits.max_line_bytes)
    match name:
        case "csv":
            return csv_batches(file, limits, problems)
        case "tsv":
            return csv_batches(file, limits, problems, delimiter="\t")
        case "jsonl":
            return jsonl_batches(file, limits, problems, columns)
        case "parquet":
            return parquet_batches(file, limits, problems, _stated_media(types))
        case "zip":
            return zip_batches(file, limits, problems, columns)


def _stated_media(types: Mapping[str, ColumnType]) -> dict[str, MediaType]:
    return {name: kind for name, stated in types.items() for kind in MEDIA_TYPES if kind == stated}


def _write(batches: Iterator[Batch], target: Path, types: dict[str, ColumnType], limits: ReadLimits, problems: Problems) -> DatasetProfile:
    first = next(batches, None)
    if first is None:
        problems.check()
        raise problems.refusal("no_rows", "The file has no rows.")
    _check_media(first, types, problems)
    media = {**_stated_media(types), **first.media}
    texts = {counter.name: counter for counter in column_counters(first.names, types, limits)}
    hashes = hashes_of_each(len(first.names), limits)
    columns = [MediaColumn(name, media[name], limits, hashes=hashes) if name in media else texts[name] for name in first.names]
    with atomic_file(target) as file:
        rows = _fill(file, first, batches, columns, limits, problems)
        _check_types(types, first.names, problems)
        problems.check()
    return DatasetProfile(rows=rows, columns=[column.profile() for column in columns], problems=[], problem_count=0)


def _fill(
    file: BinaryIO,
    first: Batch,
    rest: Iterator[Batch],
    columns: Sequence[ColumnCounter | MediaColumn],
    limits: ReadLimits,
    problems: Problems,
) -> int:
    """Write and count every batch; gives back the number of rows."""
    schema = table_schema(first.names, {column.name for column in columns if isinstance(column, MediaColumn)})
    rows = decoded = 0
    batch: Batch | None = first
    with pa.ipc.new_file(file, schema) as writer:
        while batch is not None:
            record = pa.record_batch(_arrays(batch, columns, limits, problems), schema=schema)
            rows += record.num_rows
            decoded += record.nbytes
            if decoded > limits.max_decoded_bytes:
                raise problems.refusal("too_large", f"The table takes more than {limits.max_decoded_bytes:,} bytes.")
            writer.write_batch(record)
            batch = next(rest, None)
    return rows


def _arrays(batch: Batch, columns: Sequence[ColumnCounter | MediaColumn], limits: ReadLimits, problems: Problems) -> list[pa.Array]:
    """The columns of a batch, then the words for its files, as the schema has them; each counted."""
    arrays, words = [], []
    for column, cells in zip(columns, batch.columns, strict=True):
        if isinstance(column, MediaColumn):
            contents, described = column.add(cells, batch, problems)
            arrays.append(pa.array(contents, pa.large_binary()))
            words.append(pa.array(described, pa.string()))
        else:
            texts = cast("Sequence[str | None]", cells)
            arrays.append(pa.array(texts, pa.string()))
            column.add(texts, batch.first_row, problems)
            if column.longest > limits.max_field_chars:
                raise _too_long(texts, column.name, batch, limits, problems)
    return [*arrays, *words]


def _too_long(texts: Sequence[str | None], name: str, batch: Batch, limits: ReadLimits, problems: Problems) -> InvalidDataset:
    row = next(row for row, text in enumerate(texts, batch.first_row) if text and len(text) > limits.max_field_chars)
    message = f"Row {row} has more than {limits.max_field_chars:,} characters in the column {quote(name)}."
    return problems.refusal("field_too_long", message, row, column=name)


def _check_media(first: Batch, types: Mapping[str, ColumnType], problems: Problems) -> None:
    for name, kind in first.media.items():
        if types.get(name, kind) != kind:
            message = f"The column {quote(name)} holds {_FILES[kind]}, and the schema says that it is {types[name]!r}."
            raise problems.refusal("unsupported_type", message, column=name, hint="Leave the column out of the schema.")


_FILES: Mapping[MediaType, str] = {"image": "images", "audio": "recordings"}


def _check_types(types: Mapping[str, ColumnType], names: Sequence[str], problems: Problems) -> None:
    for name in types:
        if name not in names:
            near = closest(name, names)
            hint = f"Columns are: {listing(names)}." + (f" Did you mean {quote(near[0])}?" if near else "")
            raise problems.refusal("column_not_found", f"The dataset has no column {quote(name)}, which the schema names.", hint=hint)
