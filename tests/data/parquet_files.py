"""Parquet files as bytes."""

from __future__ import annotations

import io
from typing import Any

import pyarrow as pa
from pyarrow import parquet as pq


def written(columns: dict[str, Any] | pa.Table, **options: Any) -> bytes:
    """What `pq.write_table` makes of these columns."""
    sink = io.BytesIO()
    pq.write_table(columns if isinstance(columns, pa.Table) else pa.table(columns), sink, **options)
    return sink.getvalue()


def footer_start(content: bytes) -> int:
    return len(content) - 8 - int.from_bytes(content[-8:-4], "little")


def repeating(chars: int, rows: int, groups: int, **options: Any) -> bytes:
    """The same long text again and again: gigabytes in a few hundred bytes."""
    table = pa.table({"text": pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array(["x" * chars]))})
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, table.schema, compression="zstd", dictionary_pagesize_limit=2**30, **options) as writer:
        for _ in range(groups):
            writer.write_table(table)
    return sink.getvalue()
