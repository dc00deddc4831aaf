"""What two tables share, against a plain count."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstart.data.difference import Difference, difference, nothing_shared
from headstart.data.table import table_schema

Row = tuple[str | None, ...]
SCHEMA = pa.schema([("id", pa.string()), ("text", pa.string())])


def write(path: Path, rows: Sequence[Row], schema: pa.Schema = SCHEMA, batch: int = 3) -> Path:
    with pa.ipc.new_file(str(path), schema) as writer:
        for start in range(0, len(rows), batch):
            columns = list(zip(*rows[start : start + batch], strict=True))
            writer.write_batch(
                pa.record_batch([pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)], schema)
            )
    return path


def numbers(found: Difference) -> dict[str, Any]:
    pairs = {name: list(zip(*(side.tolist() for side in getattr(found, name)), strict=True)) for name in ("changed", "unchanged")}
    return {"added": found.added.tolist(), "removed": found.removed.tolist()} | pairs


CELL = st.sampled_from([None, "", "a", "b", "ab", "é"])
ROWS = st.lists(st.tuples(CELL, CELL), max_size=12)


@given(before=ROWS, after=ROWS)
def test_rows_are_paired_as_a_plain_count_says(tmp_path_factory: pytest.TempPathFactory, before: list[Row], after: list[Row]):
    folder = tmp_path_factory.mktemp("tables")
    found = difference(write(folder / "a", before), write(folder / "b", after), ["id", "text"], None)
    shared = Counter(before) & Counter(after)
    assert Counter(after[row] for row in found.added) == Counter(after) - shared
    assert Counter(before[row] for row in found.removed) == Counter(before) - shared
    assert all(before[old] == after[new] for old, new in zip(*found.unchanged, strict=True))
    assert len(found.unchanged[0]) == shared.total()
    assert not len(found.changed[0])
    assert sorted([*found.added, *found.unchanged[1]]) == list(range(len(after)))
    assert sorted([*found.removed, *found.unchanged[0]]) == list(range(len(before)))


def test_with_a_key_rows_change_and_a_row_without_one_is_told_by_its_content(tmp_path: Path):
    before = [("1", "a"), ("2", "b"), (None, "x"), ("3", "c"), (None, "y")]
    after = [(" 2", "B"), ("1", "a"), ("4", "d"), (None, "x"), (None, "z")]
    found = difference(write(tmp_path / "a", before), write(tmp_path / "b", after), ["id", "text"], "id")
    assert numbers(found) == {"added": [2, 4], "removed": [3, 4], "changed": [(1, 0)], "unchanged": [(0, 1), (2, 3)]}


def test_rows_with_one_key_are_paired_in_their_order(tmp_path: Path):
    before, after = [("1", "a"), ("1", "b")], [("1", "a"), ("0", "n"), ("1", "c"), ("1", "d")]
    found = difference(write(tmp_path / "a", before, batch=9), write(tmp_path / "b", after, batch=9), ["id", "text"], "id")
    assert numbers(found) == {"added": [1, 3], "removed": [], "changed": [(1, 2)], "unchanged": [(0, 0)]}


def test_cells_do_not_run_into_each_other(tmp_path: Path):
    before = [("a", "b"), ("a', 'b", ""), ("", None), ("None", "x")]
    after = [("a', 'b", "b"), ("ab", ""), (None, ""), (None, "x")]
    found = difference(write(tmp_path / "a", before), write(tmp_path / "b", after), ["id", "text"], None)
    assert not len(found.unchanged[0])


def test_many_rows_in_another_order_are_all_found(tmp_path: Path):
    rows: list[Row] = [(str(number), f"text {number % 977}") for number in range(20_000)]
    shuffled = random.Random(0).sample(rows, len(rows))[:-10]
    found = difference(write(tmp_path / "a", rows, batch=4096), write(tmp_path / "b", shuffled, batch=4096), ["id", "text"], "id")
    assert (len(found.unchanged[0]), len(found.removed), len(found.added)) == (19_990, 10, 0)
    assert all(rows[old] == shuffled[new] for old, new in zip(*found.unchanged, strict=True))


def test_columns_in_another_order_make_no_difference(tmp_path: Path):
    other = pa.schema([("text", pa.string()), ("more", pa.string()), ("id", pa.string())])
    before = write(tmp_path / "a", [("1", "a"), ("2", "b")])
    after = write(tmp_path / "b", [("a", "?", "1"), ("c", "?", "2")], other)
    assert numbers(difference(before, after, ["id", "text"], "id")) == {
        "added": [],
        "removed": [],
        "changed": [(1, 1)],
        "unchanged": [(0, 0)],
    }


def test_files_are_compared_by_their_bytes(tmp_path: Path):
    schema = table_schema(["image"], {"image"})
    tables = []
    for name, contents in (("a", [b"1", b"2", None]), ("b", [b"2", b"3", None, b"1"])):
        tables.append(write(tmp_path / name, [(content, "words") for content in contents], schema))  # type: ignore[misc]
    assert numbers(difference(tables[0], tables[1], ["image"], None)) == {
        "added": [1],
        "removed": [],
        "changed": [],
        "unchanged": [(1, 0), (2, 2), (0, 3)],
    }


def test_tables_without_a_common_column_share_nothing():
    assert numbers(nothing_shared(2, 3)) == {"added": [0, 1, 2], "removed": [0, 1], "changed": [], "unchanged": []}
