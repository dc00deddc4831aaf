"""Reading bytes as a person would upload them."""

from __future__ import annotations

from pathlib import Path

import pytest

from headstart.data.limits import ReadLimits
from headstart.data.reading import InvalidDataset, read_dataset
from headstart.data.table import open_table, texts
from headstart.specs.datasets import ColumnType, DatasetProfile, Format


class Reader:
    """Reads `content` in a folder of its own; `columns` are the table's cells after a read that went well."""

    def __init__(self, folder: Path) -> None:
        self.source = folder / "upload"
        self.target = folder / "table.arrow"

    def read(
        self, content: bytes | str, file_format: Format = "csv", types: dict[str, ColumnType] | None = None, **limits: int
    ) -> DatasetProfile:
        self.target.unlink(missing_ok=True)
        self.source.write_bytes(content.encode() if isinstance(content, str) else content)
        return read_dataset(self.source, self.target, format=file_format, types=types or {}, limits=ReadLimits(**limits))

    def columns(self) -> dict[str, list[str | None]]:
        table = open_table(self.target)
        return {name: texts(table, name) for name in table.column_names}

    def verdict(self, content: bytes | str, file_format: Format = "csv") -> DatasetProfile | InvalidDataset:
        """What becomes of `content`; any other exception is a fault."""
        try:
            return self.read(content, file_format)
        except InvalidDataset as error:
            return error

    def refused(
        self, content: bytes | str, file_format: Format = "csv", types: dict[str, ColumnType] | None = None, **limits: int
    ) -> InvalidDataset:
        """The refusal of `content`, after which no file may be left."""
        with pytest.raises(InvalidDataset) as caught:
            self.read(content, file_format, types, **limits)
        assert {path.name for path in self.target.parent.iterdir()} == {"upload"}
        return caught.value


@pytest.fixture
def reader(tmp_path):
    return Reader(tmp_path)


@pytest.fixture(scope="module")
def shared_reader(tmp_path_factory):
    """For property tests, whose examples share one folder."""
    return Reader(tmp_path_factory.mktemp("shared"))
