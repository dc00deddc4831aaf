"""Bad rows: refused, dropped and counted, or only told of."""

from __future__ import annotations

import base64
import json

import pytest

from headstart.data.limits import ReadLimits
from headstart.data.reading import InvalidDataset, read_dataset
from tests.data.media_files import archive, image

CSV = "text,price\ngood,1\nshort\nfine,2\n\nwide,3,4\nmuch,a lot\nlast,4\n"


@pytest.fixture
def lenient(reader):
    """Reads as `mode: lenient` does."""

    def read(content, file_format="csv", types=None, **limits):
        reader.source.write_bytes(content.encode() if isinstance(content, str) else content)
        bounds = ReadLimits(**limits)
        return read_dataset(reader.source, reader.target, format=file_format, types=types or {}, limits=bounds, mode="lenient")

    return read


def test_bad_rows_are_dropped_counted_and_named_by_their_row_in_the_file(reader, lenient):
    profile = lenient(CSV, types={"price": "number"})
    assert reader.columns() == {"text": ["good", "fine", "last"], "price": ["1", "2", "4"]}
    assert (profile.rows, profile.dropped_rows, profile.problem_count) == (3, 4, 4)
    assert [(each.row, each.code) for each in profile.problems] == [
        (2, "ragged_row"),
        (4, "ragged_row"),
        (5, "ragged_row"),
        (6, "not_a_number"),
    ]
    price = profile.column("price")
    assert (price.type, price.distinct, price.values) == ("number", 3, {"1": 1, "2": 1, "4": 1})


def test_the_same_file_is_refused_strictly(reader):
    assert reader.refused(CSV, types={"price": "number"}).problem_count == 3


def test_bad_lines_of_json_are_dropped(reader, lenient):
    lines = ['{"a": "x"}', "{", "[]", '{"a": NaN}', '{"a": "y", "b": "z"}', '{"a": 1, "a": 2}', '{"a": ' + "[" * 40 + "]" * 40 + "}"]
    profile = lenient("\n".join(lines), "jsonl")
    assert reader.columns() == {"a": ["x", "y"], "b": [None, "z"]}
    assert [(each.row, each.code) for each in profile.problems] == [
        (2, "bad_json"),
        (3, "bad_json"),
        (4, "bad_json"),
        (6, "bad_json"),
        (7, "too_deep"),
    ]
    assert profile.dropped_rows == 5


def test_columns_that_come_late_are_found_behind_bad_lines_too(reader, lenient):
    lines = ['{"a": "x"}'] * 5_000 + ["{", '{"late": "y"}']
    profile = lenient("\n".join(lines), "jsonl")
    assert (profile.rows, profile.dropped_rows, profile.problem_count) == (5_001, 1, 1)
    assert reader.columns()["late"][-1] == "y"


def test_damaged_images_are_dropped_with_their_rows(reader, lenient):
    members = {"cat/1.png": image(1), "cat/2.png": image(2)[:40], "dog/3.png": image(3), "dog/4.png": b"<svg/>"}
    profile = lenient(archive(members), "zip")
    assert [(each.row, each.code) for each in profile.problems] == [(2, "bad_image"), (4, "unknown_format")]
    assert (profile.rows, profile.dropped_rows) == (2, 2)
    assert reader.columns()["label"] == ["cat", "dog"]
    assert (profile.column("image").missing, profile.column("image").distinct) == (0, 2)


def test_a_table_that_names_files_which_are_not_there_loses_these_rows(reader, lenient):
    table = b"file_name,label\n1.png,x\n,x\nno.png,y\n2.png,y\n"
    profile = lenient(archive({"1.png": image(1), "2.png": image(2), "metadata.csv": table}), "zip")
    assert (profile.rows, profile.dropped_rows, reader.columns()["label"]) == (2, 2, ["x", "y"])


def test_a_row_with_two_faults_is_one_row_less(reader, lenient):
    text = "a,b\n1,2\nx,y\n3,4\n"
    profile = lenient(text, types={"a": "number", "b": "number"})
    assert (profile.rows, profile.dropped_rows, profile.problem_count) == (2, 1, 2)


def test_cells_that_are_no_base64_and_spans_outside_the_text_are_dropped(reader, lenient):
    rows = [
        {"picture": base64.b64encode(image(1)).decode(), "text": "Bo", "spans": [{"start": 0, "end": 2, "label": "PER"}]},
        {"picture": "!", "text": "Bo", "spans": []},
        {"picture": base64.b64encode(image(2)).decode(), "text": "Bo", "spans": [{"start": 0, "end": 3, "label": "PER"}]},
    ]
    types = {"picture": "image", "text": "text", "spans": "tags"}
    profile = lenient("\n".join(map(json.dumps, rows)), "jsonl", types)
    assert (profile.rows, profile.dropped_rows) == (1, 2)
    assert {each.code for each in profile.problems} == {"bad_base64", "span_outside"}


FILE_LEVEL = {
    "an unclosed quote": ('a,b\n1,"x\n', "csv", "unclosed_quote"),
    "not UTF-8": (b"a\n\xff\n", "csv", "not_utf8"),
    "a header with a name twice": ("a,a\n1,2\n", "csv", "bad_header"),
    "an endless line": ("a\n" + "x" * 200, "csv", "line_too_long"),
    "no row": ("a,b\n", "csv", "no_rows"),
    "nothing": ("", "jsonl", "no_rows"),
    "a cut archive": (archive({"a/1.png": image(1), "b/1.png": image(2)})[:-9], "zip", "archive_corrupt"),
}


@pytest.mark.parametrize("case", FILE_LEVEL)
def test_what_is_wrong_with_the_whole_file_always_refuses_it(lenient, reader, case):
    content, file_format, code = FILE_LEVEL[case]
    with pytest.raises(InvalidDataset) as caught:
        lenient(content, file_format, max_line_bytes=100)
    assert caught.value.failure.code == code
    assert not reader.target.exists()


@pytest.mark.parametrize(
    ("content", "file_format", "types", "dropped"),
    [("a,b\n1\n2\n", "csv", {}, 2), ("{\n[\n", "jsonl", {}, 2), ("a,b\nx,1\n", "csv", {"a": "number"}, 1)],
)
def test_a_file_without_one_good_row_is_refused(lenient, content, file_format, types, dropped):
    with pytest.raises(InvalidDataset) as caught:
        lenient(content, file_format, types)
    assert caught.value.failure.code == "no_rows"
    assert caught.value.problem_count == dropped + 1


def test_a_million_bad_rows_take_no_memory_to_speak_of(lenient):
    profile = lenient("a,b\n1,2\n" + "x\n" * 100_000 + "3,4\n", max_kept_problems=10)
    assert (profile.rows, profile.dropped_rows, len(profile.problems)) == (2, 100_000, 10)


@pytest.mark.parametrize("mode", ["strict", "lenient"])
def test_words_among_numbers_are_told_row_by_row_and_taken(reader, mode):
    reader.source.write_text("price,x\n1,a\nmuch,b\n2.5,c\n,d\n3,e\nn/a,f\n")
    profile = read_dataset(reader.source, reader.target, format="csv", types={}, limits=ReadLimits(), mode=mode)
    assert [(each.row, each.column, each.code) for each in profile.problems] == [(2, "price", "mixed_types"), (6, "price", "mixed_types")]
    assert profile.problems[0].message == "Row 2 has 'much' in the column 'price', most of which are numbers."
    assert (profile.rows, profile.problem_count, profile.dropped_rows) == (6, 2, 0)


def test_so_many_words_among_numbers_are_counted_and_the_first_are_named(reader):
    text = "price\n" + "".join("much\n" if number % 3 == 0 else f"{number}\n" for number in range(900))
    profile = reader.read(text)
    assert (profile.problem_count, len(profile.problems)) == (300, 100)
    assert profile.problems[-1].row == 298


@pytest.mark.parametrize("types", [{"price": "text"}, {"price": "category"}])
def test_a_stated_type_leaves_nothing_to_be_told(reader, types):
    assert reader.read("price\n1\nmuch\n2\n3\n", types=types).problem_count == 0


def test_words_with_some_numbers_are_words(reader):
    assert reader.read("price\n1\nmuch\na lot\n3\n").problem_count == 0
