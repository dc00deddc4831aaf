"""How the rows of a class are divided."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstart.planning.splits import carve_validation, counts_for_class

share = st.floats(0.001, 0.998)


@given(rows=st.integers(0, 10_000_000), validation_size=share, test_size=share)
def test_every_row_of_a_class_goes_to_one_split(rows, validation_size, test_size):
    parts = counts_for_class(rows, validation_size, test_size)
    assert sum(parts) == rows
    assert min(parts) >= 0


@given(rows=st.integers(3, 10_000_000), validation_size=share, test_size=share)
def test_a_class_of_three_rows_or_more_is_in_every_split(rows, validation_size, test_size):
    assert min(counts_for_class(rows, validation_size, test_size)) >= 1


@given(rows=st.integers(10, 10_000_000), validation_size=st.floats(0.1, 0.4), test_size=st.floats(0.1, 0.4))
def test_shares_are_kept_to_within_a_row(rows, validation_size, test_size):
    train, validation, test = counts_for_class(rows, validation_size, test_size)
    assert abs(validation - rows * validation_size) <= 1
    assert abs(test - rows * test_size) <= 1
    assert abs(train - rows * (1 - validation_size - test_size)) <= 2


@given(rows=st.integers(3, 100_000), validation_size=st.floats(0.01, 0.45), test_size=st.floats(0.01, 0.45))
def test_one_more_row_takes_none_away_from_validation_or_test(rows, validation_size, test_size):
    fewer, more = (counts_for_class(count, validation_size, test_size) for count in (rows, rows + 1))
    assert more[1] >= fewer[1]
    assert more[2] >= fewer[2]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [(0, (0, 0, 0)), (1, (1, 0, 0)), (2, (1, 0, 1)), (3, (1, 1, 1)), (10, (7, 1, 2)), (25, (17, 3, 5)), (1000, (700, 100, 200))],
)
def test_examples_with_the_usual_shares(rows, expected):
    assert counts_for_class(rows, 0.1, 0.2) == expected


@given(rows=st.integers(0, 10_000_000), validation_size=share)
def test_carving_leaves_rows_in_both_parts_from_two_on(rows, validation_size):
    train, validation = carve_validation(rows, validation_size)
    assert train + validation == rows
    assert min(train, validation) >= (1 if rows >= 2 else 0)
