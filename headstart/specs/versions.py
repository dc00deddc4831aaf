"""Versions of a dataset: from a finished upload, from another version by adding or replacing rows, and how two of them differ."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, model_validator

from headstart.specs.datasets import ColumnType, Format, ReadMode
from headstart.specs.fields import ColumnName, Input, Name, View

MAX_ROWS = 10_000
"""Rows in one body; more come as a file."""

UploadId = Annotated[
    str, Field(min_length=1, max_length=128, description="A finished upload.", examples=["upl_01h455vb4pex5vsknk084sn02q"])
]
StatedFormat = Annotated[Format | None, Field(description="Null: from the name that the upload gave, or its first bytes.")]
StatedTypes = Annotated[
    dict[ColumnName, ColumnType], Field(alias="schema", description="Column types that are stated.", examples=[{"label": "category"}])
]
StatedMode = Annotated[ReadMode, Field(description="What one bad row does: `strict` refuses all, `lenient` drops the row and counts it.")]


class CreateDataset(Input):
    """A dataset from a finished upload."""

    name: Name
    upload: UploadId
    format: StatedFormat = None
    types: StatedTypes = Field(default={}, alias="schema")
    mode: StatedMode = "strict"


class NewRows(Input):
    """Rows as they are, or a finished upload that holds them."""

    upload: UploadId | None = None
    rows: list[dict[ColumnName, JsonValue]] | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_ROWS,
        description="Objects of column and value.",
        examples=[[{"review": "dull", "label": "neg"}]],
    )
    format: StatedFormat = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.upload is None) == (self.rows is None):
            raise ValueError("must have either `upload` or `rows`")
        if self.rows is not None and self.format is not None:
            raise ValueError("has a `format`, which only an `upload` can have")
        return self


class ReplacingRows(NewRows):
    """The same, with the column that tells which old row each new one replaces."""

    key: ColumnName = Field(
        description="A row with the value of an old one replaces it in its place; columns that the new rows lack keep what they had. "
        "A row with a new value is added at the end.",
        examples=["id"],
    )


class CreateVersion(Input):
    """What makes the next version of this one: its rows and then some, or some of them replaced."""

    append: NewRows | None = None
    replace: ReplacingRows | None = None
    types: StatedTypes = Field(
        default={},
        alias="schema",
        description="Column types that are stated anew; those that were stated for this version stay, the rest is guessed from all rows.",
    )
    mode: ReadMode = Field(
        default="strict",
        description="What one bad new row does: `strict` refuses all, `lenient` drops it and counts it. Old rows are never dropped.",
    )

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.append is None) == (self.replace is None):
            raise ValueError("must have either `append` or `replace`")
        return self


class Retyped(View):
    column: str
    before: ColumnType
    after: ColumnType


class ColumnChanges(View):
    common: list[str] = Field(description="Those that rows are compared by.")
    added: list[str]
    removed: list[str]
    retyped: list[Retyped]


class RowCounts(View):
    before: int
    after: int
    added: int
    removed: int
    changed: int = Field(description="Rows whose key is in both and whose content differs; 0 without a key.")
    unchanged: int


class LabelCounts(View):
    before: dict[str, int]
    after: dict[str, int]


class Match(View):
    """One row in both versions, by its number in each, counted from 1."""

    before: int
    after: int


class DatasetDiff(View):
    """What is different in `dataset` from what it was in `against`. Rows are the same when their cells in the common columns are."""

    object: Literal["dataset_diff"]
    dataset: str
    against: str
    key: str | None
    columns: ColumnChanges
    rows: RowCounts
    labels: dict[str, LabelCounts] = Field(description="By column, how often each label occurs; columns with too many values are left out.")
    added: list[int] = Field(description="Of this page: numbers of rows that are new, in `dataset`.")
    removed: list[int] = Field(description="Of this page: numbers of rows that are gone, in `against`.")
    changed: list[Match]
    unchanged: list[Match]
    has_more: bool = Field(description="Whether another page of row numbers follows.")
    next: str | None = Field(description="Its cursor.")
