"""Datasets: uploaded, read and checked; each upload under one name is a new, immutable version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from pydantic import Field

from headstart.specs.fields import Moment, View
from headstart.specs.problems import Failure

Format = Literal["csv", "tsv", "jsonl", "parquet", "zip"]
FORMATS: tuple[Format, ...] = get_args(Format)
ENDINGS: Mapping[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".zip": "zip",
}
"""What a file's name tells, in lower case."""
MAGIC: Mapping[bytes, Format] = {b"PK\x03\x04": "zip", b"PAR1": "parquet"}
"""What a file's first four bytes tell where its name tells nothing."""
ColumnType = Literal["text", "category", "number", "image", "audio"]
COLUMN_TYPES: tuple[ColumnType, ...] = get_args(ColumnType)
MediaType = Literal["image", "audio"]
"""Types of the columns whose cells are files."""
MEDIA_TYPES: tuple[MediaType, ...] = get_args(MediaType)
SPLITS = ("train", "validation", "test")
"""What a split column holds."""
DatasetStatus = Literal["pending", "validating", "ready", "invalid"]
How = Literal["append", "replace"]
"""What the rows of a new version do to those of its parent."""
HOWS: tuple[How, ...] = get_args(How)


class Parent(View):
    """The version that another was made from."""

    dataset: str = Field(examples=["ds_01h455vb4pex5vsknk084sn02q"])
    how: How
    key: str | None = Field(description="The column by which rows were replaced.")


class Column(View):
    name: str = Field(description="As the file names it.", examples=["review"])
    type: ColumnType = Field(description="Guessed from the values unless the schema said it.", examples=["text"])
    missing: int = Field(description="Rows with nothing in it.", examples=[0])
    distinct: int = Field(description="Different values among the rest.", examples=[1998])


class Dataset(View):
    object: Literal["dataset"]
    id: str = Field(examples=["ds_01h455vb4pex5vsknk084sn02q"])
    name: str = Field(examples=["reviews"])
    version: int = Field(description="1 for the first upload of this name.", examples=[2])
    status: DatasetStatus
    format: Format
    bytes: int = Field(description="Size of the file as sent.", examples=[183204])
    sha256: str = Field(description="Digest of the file as sent.")
    rows: int | None = Field(description="Null until it was read.", examples=[2000])
    columns: list[Column] | None = Field(description="Null until it was read.")
    problem_count: int = Field(description="See `/problems`.", examples=[0])
    error: Failure | None = Field(description="Why it is invalid.")
    parent: Parent | None = Field(description="Null when all its rows came in one file.")
    created_at: Moment


class RowProblem(View):
    row: int | None = Field(description="Data row, counted from 1; null when the whole file is meant.", examples=[17])
    column: str | None = Field(examples=["label"])
    code: str = Field(examples=["ragged_row"])
    message: str = Field(examples=["Row 17 has 3 fields; the header has 2."])


class Row(View):
    """One row as it was read."""

    object: Literal["row"]
    row: int = Field(description="Counted from 1.", examples=[17])
    values: dict[str, str | None] = Field(
        description="By column; null where it is missing. A file is described in words: `PNG image, 640×480, 12,034 bytes`.",
        examples=[{"review": "great film", "label": "pos"}],
    )
    cut: list[str] = Field(description="Columns whose value is longer than what is shown.")


class ColumnProfile(View):
    """What reading found out about one column; `values` counts each distinct value, null when there are too many to keep."""

    name: str
    type: ColumnType
    missing: int
    distinct: int
    longest: int = Field(description="Characters of the longest value; of images and audio: bytes.")
    mean_length: float = Field(description="Mean characters of the values that are there; of images and audio: bytes.")
    values: dict[str, int] | None
    mean_seconds: float | None = Field(default=None, description="Of audio: mean seconds of the recordings that are there.")
    mean_pixels: float | None = Field(default=None, description="Of images: mean pixels of those that are there.")


class Profile(View):
    """Statistics of a dataset's columns."""

    object: Literal["profile"]
    rows: int
    columns: list[ColumnProfile]


class DatasetProfile(View):
    """What reading found out about a file; plans are made from it."""

    rows: int
    columns: list[ColumnProfile]
    problems: list[RowProblem]
    problem_count: int
    table_sha256: str | None = None
    """Of the table that reading wrote; checked before it is used."""

    def column(self, name: str) -> ColumnProfile | None:
        return next((column for column in self.columns if column.name == name), None)
