"""Columns whose cells are lists: what they are taken for, and what a schema asks of them."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from headstart.data.limits import ReadLimits
from headstart.data.problems import HINTS
from headstart.data.reading import read_dataset
from tests.data.parquet_files import written

SHARED = Path(__file__).parents[3] / "shared" / "data"
PROSE = [f"The {number}th sentence of its kind has words of its own, {number * 7} of them." for number in range(40)]
WORDS = [[f"w{number}", f"x{number * 3}", "is", "here"][: 2 + number % 3] for number in range(12)]
TAGS = [["B-PER", "I-PER", "O", "O"][: 2 + number % 3] for number in range(12)]


def jsonl(**columns) -> str:
    return "".join(json.dumps(dict(zip(columns, row, strict=True))) + "\n" for row in zip(*columns.values(), strict=True))


def types_of(profile) -> dict[str, str]:
    return {column.name: column.type for column in profile.columns}


GUESSES = {
    "lists of few labels": ([["joy"], ["joy", "love"], [], ["love"]] * 3, "categories"),
    "lists of few numbers": ([[1], [2, 5], [5]] * 4, "categories"),
    "labels behind bars": (["joy", "joy|love", "love", "anger | joy", "anger"] * 3, "categories"),
    "bars that are rare": ([*["joy", "love"] * 50, "joy|love", "love|joy"], "categories"),
    "one bar among labels": ([*["joy", "love"] * 50, "joy|love"], "category"),
    "one bar in prose": ([*PROSE, "Either this | or that."], "text"),
    "bars in all prose": ([f"{one} | {one[::-1]}" for one in PROSE], "text"),
    "lists of ever new texts": ([[f"a{number}", f"b{number}"] for number in range(20)], "text"),
    "vectors": ([[number / 7, number / 3] for number in range(20)], "text"),
    "yes and no for each label": ([[0, 1, 1], [1, 0, 1], [0, 0, 0]] * 4, "text"),
    "lists in half of the cells": ([["a"], "some words"] * 10, "category"),
    "spans": ([[{"start": 0, "end": 2, "label": "PER"}]] * 9, "category"),
    "lists of lists": ([[["a"]], [["b"]]] * 9, "category"),
}


@pytest.mark.parametrize("case", GUESSES)
def test_a_column_of_lists_is_known_by_its_cells(reader, case):
    cells, expected = GUESSES[case]
    assert types_of(reader.read(jsonl(c=cells), "jsonl")) == {"c": expected}


def test_lists_that_are_equally_long_row_by_row_are_tokens_and_tags(reader):
    parts = [["NOUN", "NOUN", "VERB", "ADV"][: len(tags)] for tags in TAGS]
    profile = reader.read(jsonl(tags=TAGS, parts=parts, words=WORDS), "jsonl")
    assert types_of(profile) == {"tags": "tags", "parts": "tags", "words": "tokens"}
    assert types_of(reader.read(jsonl(tags=TAGS, words=WORDS), "jsonl")) == {"tags": "tags", "words": "tokens"}
    tags = reader.read(jsonl(id=range(12), tags=TAGS, words=WORDS), "jsonl").column("tags")
    assert (tags.values, tags.distinct) == ({"B-PER": 12, "I-PER": 12, "O": 12}, 3)
    assert (tags.lengths.min, tags.lengths.median, tags.lengths.max) == (2, 3, 4)


def test_a_row_of_another_length_makes_them_something_else(reader):
    types = types_of(reader.read(jsonl(tags=[*TAGS[:-1], ["O"]], words=WORDS), "jsonl"))
    assert types == {"tags": "text", "words": "text"}


def test_sets_of_labels_that_happen_to_be_equally_long_are_categories(reader):
    domains, acts = [["a"], ["b", "a"]] * 6, [["x"], ["y", "z"]] * 6
    assert types_of(reader.read(jsonl(domains=domains, acts=acts), "jsonl")) == {"domains": "categories", "acts": "categories"}


def test_labels_with_a_score_each_are_no_tokens(reader):
    scores = [[number / 7, number / 3][: 1 + number % 2] for number in range(12)]
    labels = [["a", "b"][: 1 + number % 2] for number in range(12)]
    assert types_of(reader.read(jsonl(labels=labels, scores=scores), "jsonl")) == {"labels": "categories", "scores": "text"}


def test_lists_of_parquet_are_the_same_as_those_of_json_lines(reader):
    table = pa.table({"words": WORDS, "tags": TAGS, "topics": [["a"], ["a", "b"], ["b"]] * 4})
    first = reader.read(written(table), "parquet")
    cells = reader.columns()
    second = reader.read(jsonl(words=WORDS, tags=TAGS, topics=[["a"], ["a", "b"], ["b"]] * 4), "jsonl")
    assert types_of(first) == {"words": "tokens", "tags": "tags", "topics": "categories"}
    assert (cells, first) == (reader.columns(), second)


def test_single_labels_are_counted_once_a_cell(reader):
    profile = reader.read("text,labels\na,joy|love\nb, cafe\u0301 | joy|joy \nc,\nd,caf\u00e9\n", types={"labels": "categories"})
    labels = profile.column("labels")
    assert (labels.values, labels.distinct, labels.missing) == ({"joy": 2, "love": 1, "caf\u00e9": 2}, 3, 1)
    assert reader.columns()["labels"][0] == "joy|love"


def test_labels_that_differ_in_case_alone_stay_apart(reader):
    assert reader.read("l\nA|b\na\n", types={"l": "categories"}).columns[0].values == {"A": 1, "b": 1, "a": 1}


def test_too_many_labels_are_counted_and_not_kept(reader):
    text = "l\n" + "".join(f"a{number}|b\n" for number in range(30))
    column = reader.read(text, types={"l": "categories"}, max_kept_values=20).columns[0]
    assert (column.values, column.distinct) == (None, 31)


SPANS = [[{"start": 0, "end": 2, "label": "PER"}], [], [{"start": 3, "end": 8, "label": "LOC"}, {"start": 0, "end": 2, "label": "PER"}]]


def test_spans_are_tags_when_the_schema_says_so(reader):
    text = jsonl(text=["Bo lives here", "nothing", "Bo Paris."], spans=SPANS)
    column = reader.read(text, "jsonl", {"spans": "tags"}).column("spans")
    assert (column.type, column.values, column.lengths.max) == ("tags", {"PER": 2, "LOC": 1}, 2)
    assert reader.read(text, "jsonl").column("spans").type == "text"


@pytest.mark.parametrize(
    ("start", "end", "why"),
    [
        (3, 12, "and the text has 9 characters"),
        (9, 10, "and the text has 9 characters"),
        (5, 5, "which is no part of a text"),
        (5, 3, "which is no part of a text"),
        (-1, 3, "which is no part of a text"),
    ],
)
def test_a_span_outside_its_text_is_named_with_its_row(reader, start, end, why):
    spans = [*SPANS[:2], [{"start": start, "end": end, "label": "LOC"}]]
    text = jsonl(text=["Bo lives here", "nothing", "Bo Paris."], spans=spans)
    error = reader.refused(text, "jsonl", {"spans": "tags"})
    message = f"Row 3 has the span 'LOC' from {start} to {end} in the column 'spans', {why}."
    assert (error.failure.code, error.failure.message, error.failure.hint) == ("span_outside", message, HINTS["span_outside"])
    assert [(each.row, each.column) for each in error.problems] == [(3, "spans")]


def test_a_span_of_enormous_numbers_is_told_of_in_a_short_message(reader):
    spans = [*SPANS[:2], [{"start": 0, "end": int("9" * 4_000), "label": "LOC"}]]
    error = reader.refused(jsonl(text=["Bo lives here", "nothing", "Bo Paris."], spans=spans), "jsonl", {"spans": "tags"})
    assert [(each.row, each.column) for each in error.problems] == [(3, "spans")]
    assert len(error.failure.message) < 300


def test_a_span_counts_characters_and_lies_in_a_column_that_the_schema_calls_text(reader):
    text = jsonl(short=["👩🏽‍🚀"], long=["a longer text"], spans=[[{"start": 0, "end": 4, "label": "X"}]])
    assert reader.read(text, "jsonl", {"spans": "tags", "short": "text"}).rows == 1
    text = jsonl(short=["ab"], long=["a longer text"], spans=[[{"start": 0, "end": 4, "label": "X"}]])
    assert reader.read(text, "jsonl", {"spans": "tags"}).rows == 1
    assert reader.refused(text, "jsonl", {"spans": "tags", "short": "text"}).failure.code == "span_outside"


BAD_CELLS = [("tokens", "Bo lives"), ("tokens", '{"a": 1}'), ("tags", "O O"), ("tags", '[["O"]]'), ("categories", '[{"a": 1}]')]


@pytest.mark.parametrize(("kind", "cell"), BAD_CELLS)
def test_a_cell_that_is_no_list_is_named_where_the_schema_asks_for_one(reader, kind, cell):
    error = reader.refused(json.dumps({"c": '["a"]'}) + "\n" + json.dumps({"c": cell}), "jsonl", {"c": kind})
    assert [(each.row, each.column, each.code) for each in error.problems] == [(2, "c", "not_a_list")]


def test_tags_without_their_tokens_are_named_with_both_numbers(reader):
    text = jsonl(tokens=[["Bo", "lives"], ["here"]], tags=[["O", "O"], ["O", "O", "O"]])
    error = reader.refused(text, "jsonl", {"tokens": "tokens", "tags": "tags"})
    assert error.failure.message == "Row 2 has 3 tags in the column 'tags' for 1 tokens."
    assert error.failure.code == "lengths_differ"


def test_tags_that_break_their_scheme_are_told_and_taken(reader):
    broken = [["B-PER", "I-LOC"], *TAGS[1:-1], ["O", "I-PER", "O", "O"]]
    profile = reader.read(jsonl(words=WORDS, tags=broken), "jsonl")
    assert [(each.row, each.code, each.message) for each in profile.problems] == [
        (1, "broken_scheme", "Row 1, the column 'tags': tag 2 goes on with a chunk that has not begun."),
        (12, "broken_scheme", "Row 12, the column 'tags': tag 2 goes on with a chunk that has not begun."),
    ]
    assert (profile.rows, profile.problem_count, profile.dropped_rows) == (12, 2, 0)
    assert reader.read(jsonl(words=WORDS, tags=broken), "jsonl", {"tags": "text"}).problem_count == 0


def test_hostile_lists_are_texts(reader):
    cells = ["[" * 31 + "]" * 31, '["\\ud800"]', "[1e999]", "[" + "1" * 5_000 + "]", '["a\\u0000"]', "[NaN]"]
    profile = reader.read("c\n" + "".join('"' + cell.replace('"', '""') + '"\n' for cell in cells))
    assert profile.columns[0].type == "text"


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("goemotions/dev.jsonl", {"text": "text", "labels": "categories"}),
        ("crosswoz_zh/test.jsonl", {"text": "text", "domains": "categories", "acts": "categories", "dialog_id": "number"}),
        ("uner_zh_gsd/dev.jsonl", {"tokens": "tokens", "tags": "tags"}),
    ],
)
def test_real_data_are_taken_for_what_they_are(tmp_path, file, expected):
    if not (SHARED / file).exists():
        pytest.skip("the shared data sets are not on this machine")
    profile = read_dataset(SHARED / file, tmp_path / "table.arrow", format="jsonl", types={}, limits=ReadLimits())
    assert types_of(profile) == expected
