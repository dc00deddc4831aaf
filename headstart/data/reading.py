"""From an uploaded file to a table and its profile, in one streaming pass. Runs in a confined child process."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from headstart.blobs.atomic import atomic_file
from headstart.data.batches import Batch
from headstart.data.csv_rows import csv_batches
from headstart.data.jsonl_rows import LateColumnsError, jsonl_batches
from headstart.data.limits import ReadLimits
from headstart.data.parquet_rows import parquet_batches
from headstart.data.problems import InvalidDataset, Problems
from headstart.data.profile import ColumnCounter, column_counters
from headstart.errors import closest, listing, quote
from headstart.specs.datasets import ColumnType, DatasetProfile, Format

__all__ = ["InvalidDataset", "read_dataset"]


def read_dataset(
    source: Path,
    target: Path,
    *,
    format: Format,  # noqa: A002  the word of the public contract
    types: Mapping[str, ColumnType],
    limits: ReadLimits,
) -> DatasetProfile:
    """Write the rows of `source` to `target` as an Arrow IPC file, every column a string, missing cells null.

    Cells are kept as the file has them. Labels are compared by `headstart.specs.labels.normal_label`, here and later.

    Args:
        types: column types that the user states; they win over the guess.

    Raises:
        InvalidDataset: the file cannot become a dataset; `target` is not there then.
        OSError, MemoryError: the machine's fault, not the file's.
    """
    columns: list[str] = []
    while True:
        problems = Problems(limits.max_kept_problems)
        # closed before the file is: a reader that was not read to its end still holds it
        with open(source, "rb") as file, closing(_batches(format, file, limits, problems, columns)) as batches:
            try:
                return _write(batches, target, dict(types), limits, problems)
            except LateColumnsError as late:
                columns = late.columns  # all of them: the second time is the last


def _batches(name: Format, file: BinaryIO, limits: ReadLimits, problems: Problems, columns: Sequence[str]) -> Generator[Batch, None, None]:
    match name:
        case "csv":
            return csv_batches(file, limits, problems)
        case "tsv":
            return csv_batches(file, limits, problems, delimiter="\t")
        case "jsonl":
            return jsonl_batches(file, limits, problems, columns)
        case "parquet":
            return parquet_batches(file, limits, problems)


def _write(batches: Iterator[Batch], target: Path, types: dict[str, ColumnType], limits: ReadLimits, problems: Problems) -> DatasetProfile:
    first = next(batches, None)
    if first is None:
        problems.check()
        raise problems.refusal("no_rows", "The file has no rows.")
    counters = column_counters(first.names, types, limits)
    with atomic_file(target) as file:
        rows = _fill(file, first, batches, counters, limits, problems)
        _check_types(types, first.names, problems)
        problems.check()
    return DatasetProfile(rows=rows, columns=[counter.profile() for counter in counters], problems=[], problem_count=0)


def _fill(
    file: BinaryIO, first: Batch, rest: Iterator[Batch], counters: list[ColumnCounter], limits: ReadLimits, problems: Problems
) -> int:
    """Write and count every batch; gives back the number of rows."""
    schema = pa.schema([(name, pa.string()) for name in first.names])
    rows = decoded = 0
    batch: Batch | None = first
    with pa.ipc.new_file(file, schema) as writer:
        while batch is not None:
            record = pa.record_batch([pa.array(cells, pa.string()) for cells in batch.columns], schema=schema)
            rows += record.num_rows
            decoded += record.nbytes
            if decoded > limits.max_decoded_bytes:
                raise problems.refusal("too_large", f"The table takes more than {limits.max_decoded_bytes:,} bytes.")
            writer.write_batch(record)
            for counter, cells in zip(counters, batch.columns, strict=True):
                counter.add(cells, batch.first_row, problems)
            batch = next(rest, None)
    return rows


def _check_types(types: Mapping[str, ColumnType], names: Sequence[str], problems: Problems) -> None:
    for name in types:
        if name not in names:
            near = closest(name, names)
            hint = f"Columns are: {listing(names)}." + (f" Did you mean {quote(near[0])}?" if near else "")
            raise problems.refusal("column_not_found", f"The dataset has no column {quote(name)}, which the schema names.", hint=hint)
