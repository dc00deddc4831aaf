"""CSV files, good and bad, as people upload them."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.specs.datasets import DatasetProfile
from headstart.specs.problems import Failure

cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)
tables = st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(cells, min_size=width, max_size=width), min_size=1, max_size=12))


def written(rows: list[list[str]], **dialect: Any) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, **dialect).writerows(rows)
    return text.getvalue()


def kept(cell: str) -> str | None:
    return cell if cell.strip() else None


@settings(deadline=None)
@given(rows=tables, end=st.sampled_from(["\n", "\r\n", "\r"]))
def test_what_a_csv_writer_wrote_reads_back_equal(shared_reader, rows, end):
    header = [f"c{number}" for number in range(len(rows[0]))]
    quoting = csv.QUOTE_MINIMAL if end == "\r\n" else csv.QUOTE_ALL  # the writer leaves out needed quotes for other line ends
    profile = shared_reader.read(written([header, *rows], lineterminator=end, quoting=quoting))
    columns = [[kept(row[number]) for row in rows] for number in range(len(header))]
    assert list(shared_reader.columns().values()) == columns
    assert profile.rows == len(rows)
    assert [column.missing for column in profile.columns] == [column.count(None) for column in columns]


@settings(deadline=None)
@given(st.one_of(st.binary(max_size=200), st.text('a",\n\r \0é\ufeff', max_size=60).map(str.encode)))
def test_any_bytes_give_a_profile_or_a_refusal_with_words(shared_reader, content):
    verdict = shared_reader.verdict(content)
    if isinstance(verdict, DatasetProfile):
        assert verdict.rows > 0
    else:
        assert verdict.failure.message
        assert verdict.failure.hint
        assert verdict.problem_count == len(verdict.problems) >= 1
        assert not shared_reader.target.exists()


def test_many_batches_keep_the_order_of_rows(reader):
    rows = [[str(number), "x" * (number % 7)] for number in range(10_000)]
    profile = reader.read(written([["n", "x"], *rows]))
    assert profile.rows == 10_000
    assert reader.columns()["n"] == [row[0] for row in rows]


@pytest.mark.parametrize("value", ["NA", "None", "null", "nan", "007", "1.0", "True", " cat "])
def test_values_stay_as_they_are_written(reader, value):
    reader.read(f"text,label\nx,{value}\n")
    assert reader.columns()["label"] == [value]


@pytest.mark.parametrize("value", ["", '""', " ", "\t", "\u3000"])
def test_only_an_empty_cell_is_missing(reader, value):
    profile = reader.read(f"text,label\nx,{value}\ny,a\n")
    assert reader.columns()["label"] == [None, "a"]
    assert profile.column("label").missing == 1


def test_a_byte_order_mark_and_blank_lines_at_both_ends_are_passed_over(reader):
    profile = reader.read("\ufeff\n\na,b\r\n1,2\r\n\r\n\r\n")
    assert [column.name for column in profile.columns] == ["a", "b"]
    assert profile.rows == 1


def test_a_quote_in_the_middle_of_a_field_is_a_character(reader):
    reader.read('a,b\n5" disk,x\n')
    assert reader.columns()["a"] == ['5" disk']


EMPTY = "Upload a file with at least one row of data."
UTF8 = "Save the file as UTF-8."
HEADER = "The first line names the columns: each name once, none empty, at most 256 characters."
QUOTING = 'Quote the whole field, and write a quote inside it twice: "a ""good"" film".'
UNCLOSED = "Close the quote, or write a quote inside a field twice."
TOO_LONG = "A quote that is opened and never closed makes the rest of the file one field."

CASES = {
    "nothing": (b"", "no_rows", "The file is empty.", EMPTY, None),
    "blank lines": (b"\n\r\n\n", "no_rows", "The file is empty.", EMPTY, None),
    "header alone": (b"a,b\n", "no_rows", "The file has a header and no rows.", EMPTY, None),
    "utf-16": ("a,b\n1,2\n".encode("utf-16"), "not_utf8", "The file is UTF-16 or UTF-32, not UTF-8.", UTF8, None),
    "latin-1 in row 2": (b"a,b\n1,2\ncaf\xe9,x\n", "not_utf8", "Row 2 holds bytes that are not UTF-8.", UTF8, 2),
    "latin-1 in the header": (b"caf\xe9,b\n1,2\n", "not_utf8", "The header holds bytes that are not UTF-8.", UTF8, None),
    "encoded surrogate": (b"a\n\xed\xa0\x80\n", "not_utf8", "Row 1 holds bytes that are not UTF-8.", UTF8, 1),
    "nul": (b"a,b\n1,2\n3,\0\n", "bad_data", "Row 2 holds a NUL byte.", "Save the file again as plain UTF-8 text.", 2),
    "duplicate name": (b"a,b,a\n1,2,3\n", "bad_header", "The header names these columns more than once: a.", HEADER, None),
    "empty name": (b"a, \n1,2\n", "bad_header", "Column 2 of the header has no name.", HEADER, None),
    "long name": (
        b"a" * 257 + b"\n1\n",
        "bad_header",
        f"The column name '{'a' * 63}…' has more than 256 characters.",
        HEADER,
        None,
    ),
    "ragged": (b"a,b\n1,2\n1,2,3\n", "ragged_row", "Row 2 has 3 fields; the header has 2.", "Quote fields that contain commas.", 2),
    "blank line inside": (b"a,b\n1,2\n\n3,4\n", "ragged_row", "Row 2 is a blank line.", "Quote fields that contain commas.", 2),
    "unclosed quote": (b'a,b\n1,2\n"x,4\n5,6\n', "unclosed_quote", "Row 2 opens a quote that is never closed.", UNCLOSED, 2),
    "unclosed quote in the header": (b'a,"b\n1,2\n', "unclosed_quote", "The header opens a quote that is never closed.", UNCLOSED, None),
    "after a quote": (
        b'a,b\n1,2\n"x"y,4\n',
        "bad_quote",
        "Row 2 has characters between a closing quote and the next comma.",
        QUOTING,
        2,
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_bad_file_is_refused_with_the_row_and_what_to_do(reader, case):
    content, code, message, hint, row = CASES[case]
    error = reader.refused(content)
    assert error.failure == Failure(code=code, message=message, hint=hint)
    assert [(problem.code, problem.row, problem.message) for problem in error.problems] == [(code, row, message)]
    assert error.problem_count == 1


def test_rows_count_records_and_not_lines(reader):
    assert reader.refused('a,b\n"two\nlines",1\n1,2,3\n').problems[0].row == 2


def test_every_ragged_row_is_counted_and_the_first_are_kept(reader):
    error = reader.refused("a,b\n" + "1\n" * 50 + "1,2\n", max_kept_problems=3)
    assert error.problem_count == 50
    assert [problem.row for problem in error.problems] == [1, 2, 3]
    assert error.failure.message == "Row 1 has 1 field; the header has 2. There are 49 other problems."


def test_a_fatal_problem_is_kept_even_when_the_list_is_full(reader):
    error = reader.refused("a,b\n" + "1\n" * 50 + '"x\n', max_kept_problems=3)
    assert [problem.row for problem in error.problems] == [1, 2, 51]
    assert error.problem_count == 51
    assert error.failure.message == "Row 51 opens a quote that is never closed. There are 50 other problems."


def test_a_long_field_is_refused(reader):
    error = reader.refused(f"a,b\n1,2\n{'x' * 1001},2\n", max_field_chars=1000)
    assert error.failure == Failure(code="field_too_long", message="Row 2 has a field of more than 1,000 characters.", hint=TOO_LONG)


def test_an_unclosed_quote_is_named_however_large_the_rest_is(reader):
    error = reader.refused('a,b\n1,2\n"x,2\n' + "3,4\n" * 5000, max_field_chars=1000)
    assert (error.failure.code, error.problems[0].row) == ("unclosed_quote", 2)


def test_a_long_field_of_many_lines_that_is_closed_is_only_too_long(reader):
    error = reader.refused('a,b\n1,2\n"x' + "3,4\n" * 5000 + '",2\n', max_field_chars=1000)
    assert (error.failure.code, error.problems[0].row) == ("field_too_long", 2)


def test_a_long_line_of_short_fields_is_refused(reader):
    error = reader.refused("a,b\n1,2\n" + "x," * 5000 + "\n", max_line_bytes=2000)
    assert error.failure.message == "Row 2 has a line of more than 2,000 characters."
    assert error.failure.code == "line_too_long"


@pytest.mark.parametrize(
    ("content", "limits", "code", "message"),
    [
        ("a,b,c\n1,2,3\n", {"max_columns": 2}, "too_many_columns", "The file has 3 columns; at most 2 are taken."),
        ("a\n1\n2\n3\n", {"max_rows": 2}, "too_many_rows", "The file has more than 2 rows."),
        ("a\n" + "x\n" * 100, {"max_decoded_bytes": 50}, "too_large", "The table takes more than 50 bytes."),
    ],
)
def test_a_file_beyond_the_limits_is_refused(reader, content, limits, code, message):
    failure = reader.refused(content, **limits).failure
    assert (failure.code, failure.message) == (code, message)


def test_reading_leaves_the_field_limit_of_the_process_alone(reader):
    before = csv.field_size_limit()
    reader.read("a\n1\n", max_field_chars=10)
    assert csv.field_size_limit() == before


@settings(deadline=None)
@given(rows=tables)
def test_what_a_tsv_writer_wrote_reads_back_equal(shared_reader, rows):
    header = [f"c{number}" for number in range(len(rows[0]))]
    shared_reader.read(written([header, *rows], delimiter="\t", quoting=csv.QUOTE_ALL), "tsv")
    columns = [[kept(row[number]) for row in rows] for number in range(len(header))]
    assert list(shared_reader.columns().values()) == columns
