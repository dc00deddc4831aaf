"""Datasets: uploaded, read and checked; each upload under one name is a new, immutable version."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Literal, get_args

from pydantic import Field

from headstart.specs.fields import Moment, View
from headstart.specs.problems import Failure

Format = Literal["csv", "tsv", "jsonl", "parquet", "arrow", "zip"]
FORMATS: tuple[Format, ...] = get_args(Format)
ENDINGS: Mapping[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".feather": "arrow",
    ".zip": "zip",
}
"""What a file's name tells, in lower case."""
MAGIC: Mapping[bytes, Format] = {b"PK\x03\x04": "zip", b"PAR1": "parquet", b"ARRO": "arrow", b"\xff\xff\xff\xff": "arrow"}
"""What a file's first four bytes tell where its name tells nothing."""
Compression = Literal["gzip", "zstd"]
COMPRESSED: Mapping[str, Compression] = {".gz": "gzip", ".zst": "zstd"}
"""Endings behind that of the format: `reviews.csv.gz`. A zip is packed already."""
COMPRESSED_MAGIC: Mapping[bytes, Compression] = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
"""How compressed files begin, whatever they are called; no other format begins so."""
ColumnType = Literal["text", "category", "number", "categories", "tokens", "tags", "image", "audio"]
COLUMN_TYPES: tuple[ColumnType, ...] = get_args(ColumnType)
LIST_TYPES: frozenset[ColumnType] = frozenset({"categories", "tokens", "tags"})
"""Types of the columns whose cells are lists: of labels, of words, and of one tag for each word (or of labelled spans of a text)."""
MediaType = Literal["image", "audio"]
"""Types of the columns whose cells are files."""
MEDIA_TYPES: tuple[MediaType, ...] = get_args(MediaType)
SPLITS = ("train", "validation", "test")
"""What a split column holds."""
ReadMode = Literal["strict", "lenient"]
READ_MODES: tuple[ReadMode, ...] = get_args(ReadMode)
"""What one bad row does: `strict` refuses the file, `lenient` drops the row and counts it."""
DatasetStatus = Literal["pending", "validating", "ready", "invalid"]
How = Literal["append", "replace"]
"""What the rows of a new version do to those of its parent."""
HOWS: tuple[How, ...] = get_args(How)


class Parent(View):
    """The version that another was made from."""

    dataset: str = Field(examples=["ds_01h455vb4pex5vsknk084sn02q"])
    how: How
    key: str | None = Field(description="The column by which rows were replaced.")


def format_of(filename: str) -> Format | None:
    """What a file's name tells, behind an ending for its compression; None when it tells nothing."""
    path = PurePosixPath(filename.lower())
    packed = path.suffix in COMPRESSED
    found = ENDINGS.get(PurePosixPath(path.stem).suffix if packed else path.suffix)
    return None if packed and found == "zip" else found


def plain_stem(filename: str) -> str:
    """A file's name without its endings."""
    path = PurePosixPath(filename)
    return PurePosixPath(path.stem).stem if path.suffix.lower() in COMPRESSED else path.stem


class Column(View):
    name: str = Field(description="As the file names it.", examples=["review"])
    type: ColumnType = Field(description="Guessed from the values unless the schema said it.", examples=["text"])
    missing: int = Field(description="Rows with nothing in it.", examples=[0])
    distinct: int = Field(description="Different values among the rest; of categories and tags, different labels.", examples=[1998])


class Dataset(View):
    object: Literal["dataset"]
    id: str = Field(examples=["ds_01h455vb4pex5vsknk084sn02q"])
    name: str = Field(examples=["reviews"])
    version: int = Field(description="1 for the first upload of this name.", examples=[2])
    status: DatasetStatus
    format: Format = Field(description="Of the file, or of what it unpacks to.")
    mode: ReadMode = Field(description="`strict`: one bad row refuses the file. `lenient`: bad rows are dropped.", examples=["strict"])
    bytes: int = Field(description="Size of the file as sent.", examples=[183204])
    sha256: str = Field(description="Digest of the file as sent.")
    rows: int | None = Field(description="Null until it was read.", examples=[2000])
    columns: list[Column] | None = Field(description="Null until it was read.")
    dropped_rows: int | None = Field(description="Bad rows that `lenient` left out. Null until it was read.", examples=[0])
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


class Quantiles(View):
    """How numbers lie between the least and the greatest; all but these two may be off by one in a hundred."""

    min: float
    p5: float
    p25: float
    median: float
    p75: float
    p95: float
    max: float


class Duplicates(View):
    """Cells that are the same: texts but for case, composition and whitespace, files byte by byte."""

    rows: int = Field(description="Rows that repeat an earlier one.", examples=[3])
    across_splits: dict[str, int] | None = Field(
        description="Rows of validation and of test that are in train, too, and of test that are in validation. Null without a split column.",
        examples=[{"validation-train": 0, "test-train": 12, "test-validation": 0}],
    )
    exact: bool = Field(description="False when there were so many rows that a part of them was compared.")


class ColumnProfile(View):
    """What reading found out about one column; `values` counts each distinct value, null when there are too many to keep.

    Of categories and tags it counts the single labels; of tokens it is null.
    """

    name: str
    type: ColumnType
    missing: int
    distinct: int
    longest: int = Field(description="Characters of the longest value; of images and audio: bytes.")
    mean_length: float = Field(description="Mean characters of the values that are there; of images and audio: bytes.")
    values: dict[str, int] | None
    mean_seconds: float | None = Field(default=None, description="Of audio: mean seconds of the recordings that are there.")
    mean_pixels: float | None = Field(default=None, description="Of images: mean pixels of those that are there.")
    split_values: dict[str, dict[str, int]] | None = Field(
        default=None, description="Of labels: the same counts in each split, when a column says the splits and labels are not too many."
    )
    lengths: Quantiles | None = Field(default=None, description="Of texts: characters; of tokens and tags: items.")
    languages: dict[str, float] | None = Field(
        default=None,
        description="Of texts: share of each language in a sample, by script and common words; `und`: too short to tell.",
        examples=[{"en": 0.97, "und": 0.03}],
    )
    near_empty: int | None = Field(default=None, description="Of texts: those with fewer than two letters or digits.")
    duplicates: Duplicates | None = Field(default=None, description="Of texts, tokens, images and audio.")
    widths: Quantiles | None = Field(default=None, description="Of images: pixels.")
    heights: Quantiles | None = Field(default=None, description="Of images: pixels.")
    seconds: Quantiles | None = Field(default=None, description="Of audio.")
    rates: dict[str, int] | None = Field(default=None, description="Of audio: recordings by samples a second.")


class Profile(View):
    """Statistics of a dataset's columns."""

    object: Literal["profile"]
    rows: int
    dropped_rows: int
    split_column: str | None = Field(description="The first column that holds nothing but train, validation and test.")
    columns: list[ColumnProfile]


class DatasetProfile(View):
    """What reading found out about a file; plans are made from it."""

    rows: int
    columns: list[ColumnProfile]
    problems: list[RowProblem]
    problem_count: int
    dropped_rows: int = 0
    split_column: str | None = None
    """The first column that holds nothing but train, validation and test."""
    table_sha256: str | None = None
    """Of the table that reading wrote; checked before it is used."""

    def column(self, name: str) -> ColumnProfile | None:
        return next((column for column in self.columns if column.name == name), None)
