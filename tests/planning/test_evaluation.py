"""What a profile tells of a split: every reason to refuse it, what is estimated, and how times are read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from headstart.errors import BadInput
from headstart.planning.evaluation import check_evaluation, evaluation_warnings
from headstart.planning.splits import Counted, Fold, count_rows, counts_for_class, fold_count
from headstart.planning.times import read_times
from headstart.specs.evaluation import Evaluation
from headstart.specs.jobs import JobSpec
from tests.planning.factories import column, dataset, spec

PATIENTS = {f"p{number}": 200 for number in range(10)}
PROFILE = dataset(
    column("review"),
    column("label", {"neg": 970, "pos": 1030}),
    column("patient", PATIENTS),
    column("ward", {"a": 1900, "b": 50, "c": 50}),
    column("clinic", {"a": 2000}),
    column("sides", {"left": 1000, "right": 1000}),
    column("author", distinct=900),
    column("empty", distinct=0, missing=2000, values={}),
    column("scan", type="image"),
    column("day", {"2024-01-31": 1000, "2024-02-01": 500, "2024-03": 500}),
    column("when", {"2024-01-31": 1000, "yesterday": 500, "today": 500}),
    column("price", type="number", distinct=1500),
    column("round", type="number", distinct=2),
)

REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "two columns": (
        {"group_column": "patient", "time_column": "day"},
        "/evaluation/time_column",
        "group_column and time_column are given at once.",
    ),
    "folds beside a split column": (
        {"split_column": "label", "folds": 5},
        "/evaluation/folds",
        "A split column says which rows test, and folds would deal them anew.",
    ),
    "nothing left to train": (
        {"validation_size": 0.5, "test_size": 0.5},
        "/evaluation/test_size",
        "validation_size and test_size together leave no rows to train on.",
    ),
    "no such column": ({"group_column": "patients"}, "/evaluation/group_column", "The dataset has no column 'patients'."),
    "the target as group": (
        {"group_column": "label"},
        "/evaluation/group_column",
        "The column 'label' is what a task learns and cannot also say the group.",
    ),
    "files as times": ({"time_column": "scan"}, "/evaluation/time_column", "The column 'scan' holds files."),
    "one group": (
        {"group_column": "clinic"},
        "/evaluation/group_column",
        "The column 'clinic' has one group, which would have to train and to test.",
    ),
    "no group": ({"group_column": "empty"}, "/evaluation/group_column", "The column 'empty' has no value in any row."),
    "two groups": ({"group_column": "sides"}, "/evaluation/group_column", "The column 'sides' has 2 groups, and 3 are needed."),
    "fewer groups than folds": (
        {"group_column": "ward", "folds": 5},
        "/evaluation/group_column",
        "The column 'ward' has 3 groups, and 5 are needed.",
    ),
    "too few groups for two to be left by each fold": (
        {"group_column": "ward", "folds": 2},
        "/evaluation/group_column",
        "The column 'ward' has 3 groups, and 4 are needed.",
    ),
    "words as times": (
        {"time_column": "when"},
        "/evaluation/time_column",
        "The column 'when' holds 'yesterday' and 1 more that are neither a time of ISO 8601 nor a number.",
    ),
    "two times": ({"time_column": "round"}, "/evaluation/time_column", "The column 'round' has 2 different times, and 3 are needed."),
    "fewer times than folds": (
        {"time_column": "day", "folds": 2},
        "/evaluation/time_column",
        "The column 'day' has 3 different times, and 4 are needed.",
    ),
}


@pytest.mark.parametrize(("asked", "pointer", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_a_split_that_cannot_be_is_refused_with_words(asked, pointer, message):
    with pytest.raises(BadInput) as caught:
        check_evaluation(Evaluation(**asked), PROFILE, {"label"})
    assert caught.value.faults[0].pointer == pointer
    assert caught.value.message == message
    assert caught.value.hint


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"folds": 5},
        {"folds": 5, "validation_size": 0.5, "test_size": 0.5},
        {"group_column": "patient", "folds": 10},
        {"group_column": "author"},
        {"time_column": "day"},
        {"time_column": "price", "folds": 20},
        {"split_column": "label"},
    ],
)
def test_a_split_that_can_be_is_taken(asked):
    check_evaluation(Evaluation(**asked), PROFILE, {"label"})


def test_folds_need_as_many_rows():
    with pytest.raises(BadInput, match="There are 3 rows, fewer than 5 folds"):
        check_evaluation(Evaluation(folds=5), dataset(rows=3), set())


@pytest.mark.parametrize("folds", [1, 21])
def test_one_fold_or_very_many_are_refused(folds):
    with pytest.raises(ValidationError):
        Evaluation(folds=folds)


def test_the_evaluation_of_a_job_has_these_fields_and_defaults():
    assert JobSpec.model_fields["evaluation"].annotation is Evaluation
    assert spec().evaluation.model_dump() == {
        "split_column": None,
        "group_column": None,
        "time_column": None,
        "validation_size": 0.1,
        "test_size": 0.2,
        "folds": None,
        "baselines": True,
        "single_task": False,
    }


def warned(counted: Counted, **asked: Any) -> list[tuple[str, str | None, str]]:
    return [(each.code, each.pointer, each.message) for each in evaluation_warnings(Evaluation(**asked), counted, PROFILE)]


def test_what_is_counted_exactly_needs_no_warning():
    assert warned(Counted(1400, 200, 400)) == []
    assert warned(Counted(1400, 200, 400, exact=False), split_column="label") == []


def test_estimates_are_called_so():
    estimated = Counted(1400, 200, 400, exact=False)
    assert warned(estimated, group_column="patient") == [
        (
            "split_estimated",
            "/evaluation/group_column",
            "Groups stay together, so that the rows of each split are estimates until the data are read.",
        )
    ]
    assert [code for code, *_ in warned(estimated, time_column="day")] == ["split_estimated"]
    assert [(code, pointer) for code, pointer, _ in warned(estimated)] == [("split_estimated", "/evaluation")]


def test_a_group_larger_than_a_part_is_warned_of():
    assert warned(Counted(1400, 200, 400), group_column="ward") == [
        (
            "large_group",
            "/evaluation/group_column",
            "The group 'a' of 'ward' has 95% of the rows, and must be in one part whole; parts will not have the sizes that were asked for.",
        )
    ]


@given(st.lists(st.integers(3, 500), min_size=1, max_size=6))
def test_without_folds_classes_are_counted_one_by_one(classes):
    counted = count_rows(Evaluation(), classes)
    expected = np.sum([counts_for_class(rows, 0.1, 0.2) for rows in classes], axis=0).tolist()
    assert [counted.train, counted.validation, counted.test] == expected
    assert counted.exact


@given(st.lists(st.integers(0, 50), min_size=1, max_size=6), st.integers(2, 20))
def test_folds_have_all_rows_between_them_and_as_many_each(classes, folds):
    before = np.cumsum([0, *classes[:-1]]).tolist()
    counts = np.array(
        [[fold_count(start, rows, Fold(number, folds)) for number in range(folds)] for start, rows in zip(before, classes, strict=True)]
    )
    assert counts.sum(axis=1).tolist() == classes
    assert np.ptp(counts, axis=1).max() <= 1
    assert np.ptp(counts.sum(axis=0)) <= 1


def test_groups_and_times_are_counted_in_proportion_and_called_estimates():
    for name in ("group_column", "time_column"):
        asked: dict[str, Any] = {name: "x"}
        assert count_rows(Evaluation(**asked), [4, 96]) == Counted(70, 10, 20, exact=False)
    assert count_rows(Evaluation(time_column="x", folds=4), [100], fold=0) == Counted(18, 2, 20, exact=False)
    assert count_rows(Evaluation(time_column="x", folds=4), [100], fold=3) == Counted(72, 8, 20, exact=False)


@pytest.mark.parametrize(
    ("cells", "times", "unread"),
    [
        (["7", " -2.5", None, "1e3"], [7.0, -2.5, None, 1000.0], []),
        (["2024", "2023", "soon"], [2024.0, 2023.0, None], [2]),
        (["1e999", "nan", "1"], [None, None, 1.0], [0, 1]),
        (["1970-01-02", "1970-01", "1970-01-01T01:00:00+01:00"], [86400.0, 0.0, 0.0], []),
        (["1970-01-01T00:00:00.5Z", "1970-01-01T00:00:01", "5"], [0.5, 1.0, None], [2]),
        (["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"], [-62135647200.0, 253402351199.0], []),
        (["12:30:00", "1970-01-01"], [None, 0.0], [0]),
        ([None, None], [None, None], []),
        ([], [], []),
    ],
)
def test_times_are_numbers_or_iso_8601(cells, times, unread):
    assert read_times(cells) == (times, unread)
