"""JSON Lines files, good and bad."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.specs.datasets import DatasetProfile
from headstart.specs.problems import Failure

words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
names = words.filter(lambda word: word.strip())
rows = st.lists(st.dictionaries(names, st.one_of(st.none(), words), max_size=4), min_size=1, max_size=8)


def written(objects: list[dict[str, Any]], **options: Any) -> str:
    return "".join(json.dumps(each, **options) + "\n" for each in objects)


def kept(cell: str | None) -> str | None:
    return cell if cell and cell.strip() else None


@settings(deadline=None)
@given(objects=rows.filter(any), ascii_only=st.booleans())
def test_what_a_json_writer_wrote_reads_back_equal(shared_reader, objects, ascii_only):
    profile = shared_reader.read(written(objects, ensure_ascii=ascii_only), "jsonl")
    keys = list(dict.fromkeys(key for each in objects for key in each))
    assert shared_reader.columns() == {key: [kept(each.get(key)) for each in objects] for key in keys}
    assert [column.name for column in profile.columns] == keys


@settings(deadline=None)
@given(st.one_of(st.binary(max_size=200), st.text('{}[]":,\\u0d8 1\ne-', max_size=60).map(str.encode)))
def test_any_bytes_give_a_profile_or_a_refusal_with_words(shared_reader, content):
    verdict = shared_reader.verdict(content, "jsonl")
    if isinstance(verdict, DatasetProfile):
        assert verdict.rows > 0
    else:
        assert verdict.failure.message
        assert verdict.failure.hint
        assert verdict.problem_count == len(verdict.problems) >= 1
        assert not shared_reader.target.exists()


def test_numbers_keep_the_letters_they_were_written_with(reader):
    reader.read('{"n": 1}\n{"n": 1.0}\n{"n": 1e3}\n{"n": 12345678901234567890123}\n{"n": "007"}\n', "jsonl")
    assert reader.columns()["n"] == ["1", "1.0", "1e3", "12345678901234567890123", "007"]


def test_other_values_become_text_and_null_is_missing(reader):
    reader.read('{"v": true}\n{"v": null}\n{"v": [1.0, "a\\"b", {"k": null}]}\n{"v": {"é": [false]}}\n', "jsonl")
    assert reader.columns()["v"] == ["true", None, '[1.0,"a\\"b",{"k":null}]', '{"é":[false]}']


def test_columns_are_the_keys_of_all_rows_in_the_order_they_are_seen(reader):
    profile = reader.read('{"b": "1"}\n\n{"a": "2", "b": "3"}\n  \n{"c": "4"}\n', "jsonl")
    assert profile.rows == 3
    assert reader.columns() == {"b": ["1", "3", None], "a": [None, "2", None], "c": [None, None, "4"]}


def test_a_key_that_appears_late_in_a_large_file_is_a_column(reader):
    objects = [{"a": str(number)} for number in range(9_000)]
    objects[8_500]["late"] = "x"
    profile = reader.read(written(objects), "jsonl")
    assert (profile.rows, profile.column("late").missing) == (9_000, 8_999)
    assert reader.columns()["late"].index("x") == 8_500
    assert reader.columns()["a"] == [each["a"] for each in objects]


def test_a_byte_order_mark_is_passed_over(reader):
    assert reader.read(b'\xef\xbb\xbf{"a": "x"}\r\n', "jsonl").rows == 1


SHAPE = 'Each line is one JSON object, such as {"text": "great film", "label": "pos"}.'
CASES = {
    "cut short": ('{"a": 1', "bad_json", "Row 2 is not valid JSON: look near character 8.", SHAPE),
    "a list": ("[1]", "bad_json", "Row 2 is JSON, and not an object.", SHAPE),
    "nan": ('{"a": NaN}', "bad_json", "Row 2 holds NaN, which is not JSON.", SHAPE),
    "infinity": ('{"a": -Infinity}', "bad_json", "Row 2 holds -Infinity, which is not JSON.", SHAPE),
    "duplicate key": ('{"a": 1, "b": 2, "a": 3}', "bad_json", "Row 2 has the key 'a' twice.", SHAPE),
    "inner duplicate": ('{"a": {"k": 1, "k": 2}}', "bad_json", "Row 2 has the key 'k' twice.", SHAPE),
    "surrogate": (r'{"a": "\ud800"}', "bad_json", "Row 2 holds half of a surrogate pair.", SHAPE),
    "surrogate in a list": (r'{"a": ["\ud800"]}', "bad_json", "Row 2 holds half of a surrogate pair.", SHAPE),
    "surrogate key": (r'{"\ud800": 1}', "bad_json", "Row 2 holds half of a surrogate pair.", SHAPE),
    "nul": (r'{"a": "\u0000"}', "bad_json", "Row 2 holds a NUL character.", SHAPE),
    "empty key": ('{"": 1}', "bad_json", "Row 2 has an empty key.", SHAPE),
    "long key": (json.dumps({"k" * 300: 1}), "bad_json", f"Row 2 has the key '{'k' * 63}…' of more than 256 characters.", SHAPE),
    "deep": ('{"a": ' + "[" * 32 + "]" * 32 + "}", "too_deep", "Row 2 is nested more than 32 deep.", "Flatten the nested values."),
}


@pytest.mark.parametrize("case", CASES)
def test_a_bad_line_is_refused_with_its_row_and_what_to_do(reader, case):
    line, code, message, hint = CASES[case]
    error = reader.refused(f'{{"a": "x"}}\n{line}\n', "jsonl")
    assert error.failure == Failure(code=code, message=message, hint=hint)
    assert [(problem.code, problem.row, problem.message) for problem in error.problems] == [(code, 2, message)]


def test_every_bad_line_is_counted(reader):
    error = reader.refused("text,label\n" + "great,pos\n" * 20, "jsonl", max_kept_problems=5)
    assert (error.problem_count, len(error.problems)) == (21, 5)


@pytest.mark.parametrize("depth", [1_000, 100_000])
def test_a_deeply_nested_line_is_refused_before_any_parser_sees_it(reader, depth):
    assert reader.refused('{"a":' + "[" * depth + "]" * depth + "}\n", "jsonl").failure.code == "too_deep"


def test_brackets_inside_strings_are_not_depth(reader):
    text = "[{" * 100 + '\\"[['
    assert reader.read(f'{{"a": "{text}"}}\n', "jsonl").rows == 1


@pytest.mark.parametrize("line", ['"' + '\\"' * 200_000 + "[" * 40, '"' + '\\"' * 200_000 + "[" * 40 + "\\", "[]" * 200_000])
def test_judging_depth_takes_time_in_proportion_to_the_line(reader, line):
    assert reader.refused(line, "jsonl").failure.code == "bad_json"


def test_a_line_without_end_is_refused_without_being_read(reader):
    error = reader.refused(b'{"a": 1}\n' + b"x" * 100_000, "jsonl", max_line_bytes=1000)
    assert (error.failure.code, error.failure.message) == ("line_too_long", "Row 2 has a line of more than 1,000 bytes.")


@pytest.mark.parametrize(
    ("content", "limits", "code", "message"),
    [
        (b"", {}, "no_rows", "The file is empty."),
        (b"\n  \n", {}, "no_rows", "The file is empty."),
        (b"{}\n{}\n", {}, "no_rows", "No row of the file has a key."),
        (b'{"a": "caf\xe9"}\n', {}, "not_utf8", "Row 1 holds bytes that are not UTF-8."),
        ('{"a": 1}\n'.encode("utf-16"), {}, "not_utf8", "The file is UTF-16 or UTF-32, not UTF-8."),
        (b'{"a": 1, "b": 2, "c": 3}\n', {"max_columns": 2}, "too_many_columns", "The file has more than 2 different keys."),
        (b'{"a": 1}\n' * 3, {"max_rows": 2}, "too_many_rows", "The file has more than 2 rows."),
        (b'{"a": "xxxx"}\n', {"max_field_chars": 3}, "field_too_long", "Row 1 has more than 3 characters under 'a'."),
    ],
)
def test_a_file_beyond_the_limits_is_refused(reader, content, limits, code, message):
    failure = reader.refused(content, "jsonl", **limits).failure
    assert (failure.code, failure.message) == (code, message)
