"""Each part gets what the plan said and stays apart from the others, by class, label, number, group or time; the seed decides which rows."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from headstart.engine.splits import Split, Told, assign, group_numbers, times_of, unseen_classes
from headstart.errors import EngineFault
from headstart.planning.splits import Fold, count_rows, counts_for_class
from headstart.specs.evaluation import Evaluation

targets_of = st.lists(st.integers(3, 40), min_size=2, max_size=6).map(lambda counts: np.repeat(np.arange(len(counts)), counts))
sizes = st.tuples(st.floats(0.01, 0.45), st.floats(0.01, 0.45))
seeds = st.integers(0, 2**32 - 1)


def split(
    targets: Any,
    words: Any = None,
    validation_size: float = 0.1,
    test_size: float = 0.2,
    seed: int = 0,
    fold: Fold | None = None,
    groups: Any = None,
    times: Any = None,
) -> Split:
    told = Told(words, None if groups is None else np.asarray(groups), None if times is None else np.asarray(times, np.float64))
    return assign(
        targets if isinstance(targets, Mapping) else {"label": targets},
        told,
        validation_size=validation_size,
        test_size=test_size,
        generator=np.random.default_rng(seed),
        fold=fold,
    )


def parts_of(made: Split) -> tuple[Any, Any, Any]:
    return made.train, made.validation, made.test


def lengths(made: Split) -> tuple[int, int, int]:
    return len(made.train), len(made.validation), len(made.test)


def whole(made: Split) -> list[int]:
    return sorted(int(row) for part in parts_of(made) for row in part)


# by class


@given(targets_of, sizes, seeds)
def test_each_class_gives_exactly_what_the_plan_counts(targets, shares, seed):
    parts = split(targets, None, shares[0], shares[1], seed)
    assert whole(parts) == list(range(len(targets)))
    for number in np.unique(targets):
        counted = tuple(int((targets[part] == number).sum()) for part in parts_of(parts))
        assert counted == counts_for_class(int((targets == number).sum()), *shares)


def test_seed_decides_which_rows():
    targets = np.repeat([0, 1], 50)
    assert np.array_equal(split(targets, seed=1).test, split(targets, seed=1).test)
    assert not np.array_equal(split(targets, seed=1).test, split(targets, seed=2).test)


def test_a_seed_gives_the_rows_that_it_gave_in_every_version():
    """By the first version's rule: class by class, a permutation is cut into train, validation and test."""
    targets = np.random.default_rng(7).integers(0, 3, 60)
    generator = np.random.default_rng(5)
    expected = []
    for number in (0, 1, 2):
        dealt = generator.permutation(np.flatnonzero(targets == number))
        expected += dealt[len(dealt) - counts_for_class(len(dealt), 0.1, 0.2)[2] :].tolist()
    assert split(targets, seed=5).test.tolist() == sorted(expected)


def test_column_of_the_user_is_followed():
    targets = np.array([0, 1, 0, 1, 0, 1, 0])
    parts = split(targets, ["train", "train", " test", "test", "validation", "train", None])
    assert [list(part) for part in parts_of(parts)] == [[0, 1, 5], [4], [2, 3]]


def test_validation_is_carved_from_train_when_the_column_has_none():
    targets = np.repeat([0, 1], 25)
    parts = split(targets, (["train"] * 20 + ["test"] * 5) * 2)
    assert [int((targets[parts.validation] == number).sum()) for number in (0, 1)] == [2, 2]
    assert len(parts.train) == 36
    assert list(parts.test) == [*range(20, 25), *range(45, 50)]


# by number, by label, by several tasks


@given(st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=120), sizes, seeds)
def test_a_regression_has_as_many_rows_in_each_part_as_the_plan_counts(numbers, shares, seed):
    parts = split(np.array(numbers), None, shares[0], shares[1], seed)
    assert whole(parts) == list(range(len(numbers)))
    assert lengths(parts) == counts_for_class(len(numbers), *shares)


def test_parts_of_a_regression_are_spread_over_its_numbers():
    numbers = np.random.default_rng(0).lognormal(0, 2, 1000)
    ranks = np.argsort(np.argsort(numbers)) // 100
    for seed in range(5):
        parts = split(numbers, seed=seed)
        assert np.bincount(ranks[parts.test], minlength=10).tolist() == [20] * 10
        assert np.abs(np.bincount(ranks[parts.validation], minlength=10) - 10).max() <= 2


def labels_of(rows: int, rates: Any, seed: int) -> Any:
    return (np.random.default_rng(seed).random((rows, len(rates))) < np.array(rates)).astype(np.float32)


@given(st.integers(30, 150), st.lists(st.floats(0.02, 0.9), min_size=1, max_size=6), seeds)
def test_rows_with_several_labels_are_each_in_one_part(rows, rates, seed):
    labels = labels_of(rows, rates, seed)
    assert whole(split(labels, seed=seed)) == list(range(rows))


def test_each_label_has_its_share_in_each_part():
    labels = labels_of(2000, [0.5, 0.3, 0.1, 0.02, 0.01], 3)
    parts = split(labels)
    for part, share in zip(parts_of(parts), (0.7, 0.1, 0.2), strict=True):
        assert len(part) == pytest.approx(share * 2000, abs=40)
        assert labels[part].sum(axis=0) == pytest.approx(share * labels.sum(axis=0), rel=0.1, abs=3)


def test_a_rare_label_is_in_every_part_where_chance_would_leave_it_out():
    labels = np.zeros((300, 2), np.float32)
    labels[:, 0] = 1
    labels[:4, 1] = 1
    for seed in range(20):
        assert [int(labels[part, 1].sum()) for part in parts_of(split(labels, seed=seed))] == [2, 1, 1]


def test_rows_count_by_the_first_task_that_they_are_labelled_for():
    first = np.array([0] * 50 + [1] * 30 + [-1] * 40)
    second = np.concatenate([np.full(60, np.nan), np.linspace(0, 1, 60)])
    parts = split({"kind": first, "price": second})
    assert whole(parts) == list(range(120))
    expected = [counts_for_class(rows, 0.1, 0.2) for rows in (50, 30, 40)]
    for number, want in zip((0, 1, -1), expected, strict=True):
        assert tuple(int((first[part] == number).sum()) for part in parts_of(parts)) == want
    assert np.abs(np.nanmean(second[parts.test][first[parts.test] < 0]) - second[80:].mean()) < 0.1


# by group

group_sizes = st.lists(st.integers(1, 12), min_size=3, max_size=40)


def grouped(counts: list[int], seed: int) -> tuple[Any, Any]:
    chance = np.random.default_rng(seed)
    groups = chance.permutation(np.repeat(np.arange(len(counts)), counts))
    return groups, chance.integers(0, 2, len(groups))


@given(group_sizes, sizes, seeds)
def test_no_group_is_in_two_parts_and_every_row_is_in_one(counts, shares, seed):
    groups, targets = grouped(counts, seed)
    parts = split(targets.astype(np.float64), None, shares[0], shares[1], seed, groups=groups)
    assert whole(parts) == list(range(len(groups)))
    found = [set(groups[part].tolist()) for part in parts_of(parts)]
    assert all(found)
    assert sum(map(len, found)) == len(counts)


@given(group_sizes, sizes, seeds)
def test_shares_of_groups_are_off_by_no_more_than_three_groups(counts, shares, seed):
    groups, _ = grouped(counts, seed)
    parts = split(np.zeros(len(groups)), None, shares[0], shares[1], seed, groups=groups)
    for part, share in zip(parts_of(parts), (1 - sum(shares), *shares), strict=True):
        assert abs(len(part) - share * len(groups)) <= 3 * max(counts)


def test_groups_are_dealt_so_that_parts_are_alike_in_classes():
    """Each group is of one class, and the rare class is that of a tenth of the groups."""
    counts = np.random.default_rng(1).integers(5, 15, 200)
    groups = np.repeat(np.arange(200), counts)
    targets = (groups % 10 == 0).astype(np.int64)
    for seed in range(5):
        parts = split(targets, groups=groups, seed=seed)
        for part, share in zip(parts_of(parts), (0.7, 0.1, 0.2), strict=True):
            assert len(part) == pytest.approx(share * len(groups), rel=0.03)
            assert targets[part].sum() == pytest.approx(share * targets.sum(), rel=0.15)


def test_the_seed_decides_which_of_many_groups_test():
    groups = np.repeat(np.arange(50), 3)
    targets = np.tile([0, 1, 0], 50)
    assert not np.array_equal(split(targets, groups=groups, seed=1).test, split(targets, groups=groups, seed=2).test)


def test_rows_without_a_group_or_a_time_are_in_no_part():
    targets = np.tile([0, 1], 20)
    groups = np.repeat(np.arange(10), 4)
    groups[:4] = -1
    times = np.arange(40.0)
    times[:4] = np.nan
    assert whole(split(targets, groups=groups)) == whole(split(targets, times=times)) == list(range(4, 40))


# by time


@given(st.lists(st.integers(0, 30), min_size=3, max_size=80), sizes, seeds)
def test_parts_follow_each_other_in_time_and_no_time_is_in_two(times, shares, seed):
    assume(len(set(times)) >= 3)
    moments = np.array(times, np.float64)
    parts = split(np.zeros(len(times)), None, shares[0], shares[1], seed, times=moments)
    assert whole(parts) == list(range(len(times)))
    train, validation, test = (moments[part] for part in parts_of(parts))
    assert train.max() < validation.min()
    assert validation.max() < test.min()


@given(st.integers(3, 200), sizes, seeds)
def test_without_ties_in_time_the_parts_are_as_large_as_the_plan_says(rows, shares, seed):
    moments = np.random.default_rng(seed).permutation(rows).astype(np.float64)
    assert lengths(split(np.zeros(rows), None, shares[0], shares[1], seed, times=moments)) == counts_for_class(rows, *shares)


# folds


@given(targets_of, st.integers(2, 7), st.floats(0.05, 0.4), seeds)
def test_every_row_tests_in_one_fold_and_the_plan_counts_each(targets, folds, validation_size, seed):
    assume(len(targets) >= folds)
    evaluation = Evaluation(folds=folds, validation_size=validation_size)
    tested = []
    for number in range(folds):
        parts = split(targets, None, validation_size, 0.2, seed, Fold(number, folds))
        assert whole(parts) == list(range(len(targets)))
        counted = count_rows(evaluation, np.bincount(targets).tolist(), fold=number)
        assert lengths(parts) == (counted.train, counted.validation, counted.test)
        tested.append(parts.test)
    assert sorted(np.concatenate(tested).tolist()) == list(range(len(targets)))
    of_each = [np.bincount(targets[test], minlength=int(targets.max()) + 1) for test in tested]
    assert np.ptp(np.stack(of_each), axis=0).max() <= 1
    assert np.ptp([len(test) for test in tested]) <= 1


@pytest.mark.parametrize("kind", ["number", "labels", "several tasks"])
def test_folds_of_every_problem_have_each_row_once(kind):
    targets: Any = {
        "number": {"price": np.linspace(0, 1, 53)},
        "labels": {"topics": labels_of(53, [0.5, 0.2, 0.1], 1)},
        "several tasks": {"kind": np.array([0, 1] * 15 + [-1] * 23), "price": np.linspace(0, 1, 53)},
    }[kind]
    folds = [split(targets, fold=Fold(number, 5)) for number in range(5)]
    assert all(whole(parts) == list(range(53)) for parts in folds)
    assert sorted(int(row) for parts in folds for row in parts.test) == list(range(53))
    assert {len(parts.test) for parts in folds} == {10, 11}


@given(st.lists(st.integers(1, 8), min_size=7, max_size=30), st.integers(3, 6), seeds)
def test_folds_keep_groups_together(counts, folds, seed):
    groups, targets = grouped(counts, seed)
    made = [split(targets.astype(np.float64), None, seed=seed, groups=groups, fold=Fold(number, folds)) for number in range(folds)]
    assert sorted(int(row) for parts in made for row in parts.test) == list(range(len(groups)))
    for parts in made:
        assert whole(parts) == list(range(len(groups)))
        found = [set(groups[part].tolist()) for part in parts_of(parts)]
        assert all(found)
        assert sum(map(len, found)) == len(counts)


@given(st.lists(st.integers(1, 8), min_size=3, max_size=10), st.integers(20, 200), seeds)
@example([10] * 5, 100, 0)
def test_each_of_two_folds_leaves_groups_to_train_and_to_validate_however_large_one_is(counts, largest, seed):
    groups, _ = grouped([largest, *counts], seed)
    made = [split(np.zeros(len(groups)), None, seed=seed, groups=groups, fold=Fold(number, 2)) for number in range(2)]
    for parts in made:
        found = [set(groups[part].tolist()) for part in parts_of(parts)]
        assert all(found)
        assert sum(map(len, found)) == len(counts) + 1


@given(st.lists(st.integers(0, 40), min_size=20, max_size=80), st.integers(2, 5), seeds)
def test_folds_by_time_test_what_comes_after_all_that_was_trained_on(times, folds, seed):
    assume(len(set(times)) >= folds + 2)
    moments = np.array(times, np.float64)
    made = [split(np.zeros(len(times)), None, seed=seed, times=moments, fold=Fold(number, folds)) for number in range(folds)]
    for parts in made:
        train, validation, test = (moments[part] for part in parts_of(parts))
        assert train.max() < validation.min()
        assert validation.max() < test.min()
        assert whole(parts) == np.flatnonzero(moments <= test.max()).tolist()
    for one, other in itertools.pairwise(made):
        assert sorted([*one.train, *one.validation, *one.test]) == sorted([*other.train, *other.validation])
    assert moments[made[-1].test].max() == moments.max()


# what cannot be split

TWO = np.array([0, 1, 0, 1])


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            {"targets": TWO, "words": ["train", "test", "train", "test"]},
            "too_few_classes",
            "Fewer than two classes are left to train on, after rows without a text, a label or a split were left out.",
        ),
        ({"targets": TWO, "words": ["train"] * 4}, "bad_data", "No rows are left to test on."),
        ({"targets": TWO, "groups": [0, 0, 0, 0]}, "bad_data", "The rows that are left to divide into 3 parts are of 1 group."),
        ({"targets": TWO, "groups": [0, 0, 1, 1]}, "bad_data", "The rows that are left to divide into 3 parts are of 2 groups."),
        (
            {"targets": np.array([0, 1, 0]), "groups": [0, 1, 2], "fold": Fold(0, 2)},
            "bad_data",
            "The rows that are left to divide into 2 parts are of 3 groups, and each part needs 2.",
        ),
        ({"targets": TWO, "times": [1, 1, 2, 2]}, "bad_data", "The rows that can be used are of 2 times, and 3 are needed."),
        (
            {"targets": TWO, "times": [1, 2, 3, 4], "fold": Fold(0, 3)},
            "bad_data",
            "The rows that can be used are of 4 times, and 5 are needed.",
        ),
        (
            {"targets": {"a": TWO, "b": np.array([np.nan, 1.0, 2.0, np.nan])}, "words": ["train", "train", "train", "test"]},
            "bad_data",
            "No rows are left to test on for the task 'b'.",
        ),
    ],
)
def test_split_that_cannot_work_is_refused_with_words(arguments, code, message):
    with pytest.raises(EngineFault) as fault:
        split(**arguments)
    assert fault.value.code == code
    assert fault.value.message == message
    assert fault.value.hint


def test_cells_are_of_one_group_when_they_are_the_same_label():
    assert group_numbers(["ann", " ann ", None, "bob", "", "Ann"]).tolist() == [0, 0, -1, 1, -1, 2]


def test_times_that_cannot_be_read_are_named_by_row():
    assert times_of(["2024-01-31", None, "2024-01-31T01:00Z"], "at")[[0, 2]].tolist() == [1706659200.0, 1706662800.0]
    with pytest.raises(EngineFault) as fault:
        times_of(["2024-01-31", "soon", None, "later"], "at")
    assert fault.value.message == (
        "Row 2 has 'soon' in the column 'at', which is neither a time of ISO 8601 nor a number; nor is what stands in row 4."
    )


def test_a_class_that_stands_in_the_test_rows_alone_is_named():
    made = Split(train=np.array([0, 1]), validation=np.array([2]), test=np.array([3, 4, 5]))
    names = ["bird", "cat", "dog"]
    assert unseen_classes(np.array([0, 1, 0, 2, 1, 2]), made, names) == (
        "A class stands in the test rows and in no training row, so that nothing is learnt of it: 'dog' (2)."
    )
    assert unseen_classes(np.array([0, 1, 0, 0, 1, -1]), made, names) is None
    assert unseen_classes(np.arange(6.0), made, []) is None
    tags = np.array([[1, 0, 0]] * 3 + [[0, 1, 1]] * 3, np.float32)
    assert unseen_classes(tags, made, names) == (
        "2 classes stand in the test rows and in no training row, so that nothing is learnt of them: 'cat' (3), 'dog' (3)."
    )
