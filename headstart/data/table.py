"""The table of a dataset that was read: mapped, so that opening it costs nothing.

Texts are strings, files are `large_binary`; beside each column of files stands one, not shown, that describes them in words.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, overload

import pyarrow as pa

from headstart.data.batches import Batch

_WORDS = "\0"
"""Begins the name of a column of descriptions, before the name of the files' own: no format lets a name have it."""


def table_schema(names: Sequence[str], media: Collection[str]) -> pa.Schema:
    """The columns in their order, then the descriptions of those in `media`."""
    columns = [(name, pa.large_binary() if name in media else pa.string()) for name in names]
    return pa.schema([*columns, *((_WORDS + name, pa.string()) for name in names if name in media)])


def open_table(path: Path) -> pa.Table:
    """The whole table, memory-mapped; null is missing. It stays valid when the file is unlinked."""
    table = _mapped(path)
    return table.select([name for name in table.column_names if not name.startswith(_WORDS)])


def open_words(path: Path) -> pa.Table:
    """The same with strings alone: each file is its description."""
    table = _mapped(path)
    names = [name for name in table.column_names if not name.startswith(_WORDS)]
    return table.select([_WORDS + name if _WORDS + name in table.column_names else name for name in names]).rename_columns(names)


def _mapped(path: Path) -> pa.Table:
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all()


class TableReader:
    """A table read from its file a batch at a time, for a process that may not map it.

    Attributes:
        names: of its columns, without the descriptions.
        media: those of files.
    """

    def __init__(self, path: Path) -> None:
        self._file = pa.OSFile(str(path))
        self._reader = pa.ipc.open_file(self._file)
        schema = self._reader.schema
        self.names = [name for name in schema.names if not name.startswith(_WORDS)]
        self.media = [name for name in self.names if _WORDS + name in schema.names]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def batches(self) -> Iterator[Batch]:
        """Its rows, with what was written of each file."""
        row = 1
        for number in range(self._reader.num_record_batches):
            record = self._reader.get_batch(number)
            words = {name: record.column(_WORDS + name).to_pylist() for name in self.media}
            columns = [record.column(name).to_pylist() for name in self.names]
            yield Batch(self.names, columns, range(row, row + record.num_rows), words=words, fresh=0)
            row += record.num_rows

    def records(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Some of its columns, as they are stored."""
        for number in range(self._reader.num_record_batches):
            yield self._reader.get_batch(number).select(list(names))


def texts(table: pa.Table, column: str) -> list[str | None]:
    """The cells of one column in the order of the rows, None where missing.

    Raises:
        KeyError: there is no such column.
    """
    cells: list[str | None] = table.column(column).to_pylist()
    return cells


class Files(Sequence[bytes | None]):
    """The files in one column, None where missing; each is copied out of the mapped table when it is asked for and not before."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        self._column = column

    def __len__(self) -> int:
        return len(self._column)

    @overload
    def __getitem__(self, row: int) -> bytes | None: ...
    @overload
    def __getitem__(self, row: slice) -> Files: ...
    def __getitem__(self, row: int | slice) -> bytes | Files | None:
        if isinstance(row, slice):
            return Files(self._column[row])
        content: bytes | None = self._column[row].as_py()
        return content


def cells(table: pa.Table, column: str) -> Files:
    """The cells of a column of images or recordings, in the order of the rows.

    Raises:
        KeyError: there is no such column.
    """
    return Files(table.column(column))
