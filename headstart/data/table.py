"""The table of a dataset that was read: mapped, so that opening it costs nothing."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa


def open_table(path: Path) -> pa.Table:
    """The whole table, memory-mapped; all columns are strings, null is missing. It stays valid when the file is unlinked."""
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all()


def texts(table: pa.Table, column: str) -> list[str | None]:
    """The cells of one column in the order of the rows, None where missing.

    Raises:
        KeyError: there is no such column.
    """
    cells: list[str | None] = table.column(column).to_pylist()
    return cells
