"""What reading tells about columns."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from headstart.data.distinct import Distinct
from headstart.data.limits import ReadLimits
from headstart.data.profile import Bounds, ColumnCounter, is_number
from headstart.data.reading import read_dataset
from headstart.specs.problems import Failure

SHARED = Path(__file__).parents[3] / "shared" / "data"


def column(values: list[str], name: str = "c") -> str:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([[name], *[[value] for value in values]])
    return text.getvalue()


GUESSES = {
    "two labels": (["pos", "neg"] * 3, "category"),
    "sentences": ([f"This is sentence {number}." for number in range(6)], "text"),
    "class numbers": ([str(number % 3) for number in range(30)], "category"),
    "quantities": ([str(number * 7) for number in range(100)], "number"),
    "few quantities with a point": (["0.5", "1.5", "2.5"] * 10, "number"),
    "one row": (["pos"], "text"),
    "twenty-one labels seen twice": ([f"l{number}" for number in range(21)] * 2, "text"),
    "twenty-one labels seen ten times": ([f"l{number}" for number in range(21)] * 10, "category"),
    "intents": ([f"intent_{number}" for number in range(77)] * 26, "category"),
    "codes with leading zeros": (["007", "7", "070"] * 5, "category"),
    "account numbers": ([f"{number:016d}" for number in range(10**15, 10**15 + 50)], "text"),
    "not finite": ([f"1e{number}" for number in range(300, 340)], "text"),
    "truth values": (["True", "false"] * 4, "category"),
    "long repeated texts": (["x" * 101, "y" * 101] * 10, "text"),
    "nothing": (["", ""], "text"),
}


@pytest.mark.parametrize("case", GUESSES)
def test_the_type_of_a_column_is_guessed_from_its_values(reader, case):
    values, expected = GUESSES[case]
    assert reader.read(column(values)).columns[0].type == expected


def test_a_tiny_file_has_a_text_and_a_label(reader):
    rows = "".join(f"I thought number {number} was fine,{label}\n" for number, label in enumerate(["pos", "neg"] * 3))
    profile = reader.read("review,label\n" + rows)
    assert [each.type for each in profile.columns] == ["text", "category"]
    assert profile.column("label").values == {"pos": 3, "neg": 3}


def test_a_column_is_described(reader):
    profile = reader.read("a,b\nxx,1\n,2\nxxxx,2\n")
    a = profile.column("a")
    assert (a.missing, a.distinct, a.longest, a.mean_length, a.values) == (1, 2, 4, 3.0, {"xx": 1, "xxxx": 1})
    assert (profile.rows, profile.problem_count, profile.problems) == (3, 0, [])


def test_labels_that_differ_in_space_around_or_composition_are_counted_together(reader):
    profile = reader.read("text,label\na,caf\u00e9\nb, cafe\u0301 \nc,Café\n")
    assert profile.column("label").values == {"caf\u00e9": 2, "Caf\u00e9": 1}
    assert profile.column("label").distinct == 2
    assert reader.columns()["label"][1] == " cafe\u0301 "


def test_values_are_counted_up_to_a_bound(reader):
    few = reader.read(column([str(number) for number in range(5)]), max_kept_values=5).columns[0]
    many = reader.read(column([str(number) for number in range(6)]), max_kept_values=5).columns[0]
    assert (few.distinct, len(few.values)) == (5, 5)
    assert (many.distinct, many.values) == (6, None)


def test_the_stated_type_wins(reader):
    text = column(["1", "2"] * 5)
    assert reader.read(text, types={"c": "text"}).columns[0].type == "text"
    assert reader.read(text, types={"c": "number"}).columns[0].type == "number"


def test_words_in_a_column_stated_as_number_are_problems_with_their_rows(reader):
    error = reader.refused("price,x\n1,a\nmuch,b\n,c\n007,d\n1e999,e\n", types={"price": "number"})
    hint = "Mend these values, or leave the column's type out of the schema."
    message = "Row 2 has 'much' in the column 'price', which is not a finite number."
    assert error.failure == Failure(code="not_a_number", message=f"{message} There is 1 other problem.", hint=hint)
    assert [(problem.row, problem.column) for problem in error.problems] == [(2, "price"), (5, "price")]


def test_a_stated_column_that_is_not_there_is_refused_with_those_that_are(reader):
    error = reader.refused("review,label\na,b\n", types={"lable": "category"})
    message = "The dataset has no column 'lable', which the schema names."
    assert error.failure == Failure(code="column_not_found", message=message, hint="Columns are: review, label. Did you mean 'label'?")


@pytest.mark.parametrize("text", ["0", "-1.5", "+2", ".5", "5.", "1e10", "007"])
def test_decimal_numbers_are_numbers(text):
    assert is_number(text)


@pytest.mark.parametrize("text", ["", "1e999", "nan", "inf", "1,5", "0x10", "1_000", "१", "1 2", "--1"])
def test_other_spellings_are_not(text):
    assert not is_number(text)


def test_different_values_are_counted_exactly_up_to_the_bound_and_closely_beyond():
    counter = Distinct(10_000)
    counter.add(str(number % 10_000) for number in range(20_000))
    assert counter.count() == 10_000
    counter.add(str(number) for number in range(100_000))
    assert counter.count() == pytest.approx(100_000, rel=0.05)


@pytest.mark.parametrize("rows", range(200, 1200, 100))
def test_a_column_never_has_more_different_values_than_cells(rows):
    counter = ColumnCounter("id", None, Bounds(values=1, split_values=1, hashes=50, repeats=50, sample=5))
    counter.add([str(number) for number in range(rows)], range(1, rows + 1))
    assert counter.profile("text", divided=False).distinct <= rows


def test_banking77_is_a_text_and_a_label_of_77_classes(tmp_path):
    source = SHARED / "banking77" / "train.csv"
    if not source.exists():
        pytest.skip("the shared data sets are not on this machine")
    profile = read_dataset(source, tmp_path / "table.arrow", format="csv", types={}, limits=ReadLimits())
    assert profile.rows == 10_003
    assert [each.type for each in profile.columns] == ["text", "category"]
    assert profile.columns[1].distinct == 77
