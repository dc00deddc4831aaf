"""Columns of files in tables: base64 in texts, bytes in Parquet."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.data.media import kind_of
from headstart.data.table import open_table
from headstart.specs.datasets import Format
from tests.data.media_files import image, recording
from tests.data.parquet_files import written

A, B = image(1), image(2)
SOUND = recording()


def cells(reader: Any, name: str) -> list[Any]:
    found: list[Any] = open_table(reader.target).column(name).to_pylist()
    return found


def text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def table(kind: Format, values: Sequence[str | None]) -> str | bytes:
    """The values as the column `picture`, beside a label."""
    if kind == "jsonl":
        return "".join(json.dumps({"picture": value, "label": "x"}) + "\n" for value in values)
    if kind == "parquet":
        return written({"picture": pa.array(values, pa.string()), "label": ["x"] * len(values)})
    separator = "," if kind == "csv" else "\t"
    quoted = ['""' if value is None else f'"{value}"' for value in values]
    return "".join(f"{each}{separator}x\n" for each in ["picture", *quoted]).replace(f"{separator}x", f"{separator}label", 1)


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_a_stated_column_is_decoded_from_base64(reader, kind):
    values = [text(A), None, "data:image/png;base64," + text(B), "data:image/png;charset=utf-8;base64," + text(B), text(A) + " "]
    profile = reader.read(table(kind, values), kind, {"picture": "image"})
    assert cells(reader, "picture") == [A, None, B, B, A]
    column = profile.column("picture")
    assert (column.type, column.missing, column.distinct, column.mean_pixels) == ("image", 1, 2, 12.0)
    assert cells(reader, "label") == ["x"] * 5


def test_base64_in_lines_is_put_together(reader):
    reader.read(table("csv", [base64.encodebytes(image(1, (200, 200))).decode()]), "csv", {"picture": "image"})
    assert cells(reader, "picture") == [image(1, (200, 200))]


def test_recordings_in_base64_have_seconds(reader):
    profile = reader.read(table("jsonl", [text(SOUND), "data:audio/wav;base64," + text(SOUND)]), "jsonl", {"picture": "audio"})
    assert cells(reader, "picture") == [SOUND, SOUND]
    assert profile.column("picture").mean_seconds == pytest.approx(0.1)


def test_without_a_word_of_the_schema_base64_is_text(reader):
    profile = reader.read(table("csv", [text(A), text(B)]), "csv")
    assert profile.column("picture").type == "text"


def test_each_cell_that_is_no_file_is_named_with_its_row(reader):
    values = [text(A), "great film", text(b"great film"), "https://example.org/a.png", text(A[:40]), "====", "data:image/png;base64,"]
    error = reader.refused(table("jsonl", values), "jsonl", {"picture": "image"})
    assert [(problem.row, problem.column, problem.code) for problem in error.problems] == [
        (2, "picture", "bad_base64"),
        (3, "picture", "unknown_format"),
        (4, "picture", "bad_base64"),
        (5, "picture", "bad_image"),
        (6, "picture", "bad_base64"),
        (7, "picture", "bad_base64"),
    ]
    assert error.failure.message == "Row 2, the column 'picture': The text is not base64. There are 5 other problems."
    assert "great" not in str(error.problems)


def test_an_image_may_be_longer_than_a_text_may(reader):
    long = "x" * 900
    content = table("csv", [text(image(1, (200, 200)))])
    assert reader.read(content, "csv", {"picture": "image"}, max_field_chars=500).rows == 1
    error = reader.refused(f"picture,label\n{text(A)},x\n{text(A)},{long}\n", "csv", {"picture": "image"}, max_field_chars=500)
    assert error.failure.message == "Row 2 has more than 500 characters in the column 'label'."
    assert reader.refused(content, "csv", max_field_chars=500).failure.code == "field_too_long"


BYTES = {
    "binary": pa.array([A, None, B]),
    "large binary": pa.array([A, None, B], pa.large_binary()),
    "struct": pa.array([{"bytes": A, "path": "a.png"}, None, {"bytes": B, "path": None}]),
    "struct with no file": pa.array([{"bytes": A, "path": "a.png"}, {"bytes": None, "path": None}, {"bytes": B, "path": None}]),
    "dictionary": pa.array([A, None, B]).dictionary_encode(),
}


@pytest.mark.parametrize("case", BYTES)
@pytest.mark.parametrize("types", [{}, {"image": "image"}])
def test_bytes_in_parquet_are_files(reader, case, types):
    profile = reader.read(written({"image": BYTES[case], "label": [1, 2, 3]}), "parquet", types)
    assert cells(reader, "image") == [A, None, B]
    assert [(column.type, column.missing) for column in profile.columns] == [("image", 1), ("number", 0)]


def test_bytes_in_parquet_are_told_apart_by_their_beginnings(reader):
    profile = reader.read(written({"a": [A] * 100, "b": [None] * 99 + [SOUND]}), "parquet")
    assert [column.type for column in profile.columns] == ["image", "audio"]
    assert cells(reader, "b") == [None] * 99 + [SOUND]


def test_bytes_that_are_no_files_are_refused(reader):
    for values in ([b"x"], pa.array([None], pa.binary())):
        assert reader.refused(written({"a": values}), "parquet").failure.code == "unsupported_type"
    error = reader.refused(written({"a": [A, b"x"]}), "parquet")
    assert [(problem.row, problem.column, problem.code) for problem in error.problems] == [(2, "a", "unknown_format")]
    assert reader.refused(written({"a": [b"x"]}), "parquet", {"a": "image"}).failure.code == "unknown_format"
    assert reader.refused(written({"a": [A]}), "parquet", {"a": "text"}).failure.code == "unsupported_type"


@given(st.binary(max_size=16))
def test_any_bytes_are_an_image_a_recording_or_neither(head):
    assert kind_of(head) in {"image", "audio", None}
    assert kind_of(b"") is None


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.none(), st.integers(0, 500)), min_size=1, max_size=8).filter(any))
def test_files_come_out_as_they_went_in(shared_reader, shades):
    contents = [None if shade is None else image(shade) for shade in shades]
    shared_reader.read(table("jsonl", [None if content is None else text(content) for content in contents]), "jsonl", {"picture": "image"})
    assert cells(shared_reader, "picture") == contents
