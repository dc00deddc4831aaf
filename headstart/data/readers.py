"""One reader for each format of tables; archives of several are `zip_rows`."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import BinaryIO, Literal

from headstart.data.arrow_rows import arrow_batches
from headstart.data.batches import Batch
from headstart.data.csv_rows import csv_batches
from headstart.data.jsonl_rows import jsonl_batches
from headstart.data.limits import ReadLimits
from headstart.data.parquet_rows import parquet_batches
from headstart.data.problems import Problems
from headstart.specs.datasets import MediaType

TableFormat = Literal["csv", "tsv", "jsonl", "parquet", "arrow"]


def table_batches(
    name: TableFormat, file: BinaryIO, limits: ReadLimits, problems: Problems, columns: Sequence[str], stated: Mapping[str, MediaType]
) -> Generator[Batch, None, None]:
    """The rows of one table.

    Args:
        columns: names to begin with, of a format that tells them row by row.
        stated: which columns hold files, of a format that can hold bytes.
    """
    match name:
        case "csv":
            return csv_batches(file, limits, problems)
        case "tsv":
            return csv_batches(file, limits, problems, delimiter="\t")
        case "jsonl":
            return jsonl_batches(file, limits, problems, columns)
        case "parquet":
            return parquet_batches(file, limits, problems, stated)
        case "arrow":
            return arrow_batches(file, limits, problems, stated)
