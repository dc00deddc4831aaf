"""Each class gives the parts what the plan said, the seed decides which rows, and no row is in two parts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstart.engine.splits import Split, assign
from headstart.errors import EngineFault
from headstart.planning.splits import counts_for_class

targets_of = st.lists(st.integers(3, 40), min_size=2, max_size=6).map(lambda counts: np.repeat(np.arange(len(counts)), counts))
sizes = st.tuples(st.floats(0.01, 0.45), st.floats(0.01, 0.45))


def split(targets: Any, values: Any = None, validation_size: float = 0.1, test_size: float = 0.2, seed: int = 0) -> Split:
    return assign(targets, values, validation_size=validation_size, test_size=test_size, generator=np.random.default_rng(seed))


@given(targets_of, sizes, st.integers(0, 2**32 - 1))
def test_each_class_gives_exactly_what_the_plan_counts(targets, shares, seed):
    parts = split(targets, None, shares[0], shares[1], seed)
    assert sorted([*parts.train, *parts.validation, *parts.test]) == list(range(len(targets)))
    for number in np.unique(targets):
        counted = tuple(int((targets[part] == number).sum()) for part in (parts.train, parts.validation, parts.test))
        assert counted == counts_for_class(int((targets == number).sum()), *shares)


def test_seed_decides_which_rows():
    targets = np.repeat([0, 1], 50)
    assert np.array_equal(split(targets, seed=1).test, split(targets, seed=1).test)
    assert not np.array_equal(split(targets, seed=1).test, split(targets, seed=2).test)


def test_column_of_the_user_is_followed():
    targets = np.array([0, 1, 0, 1, 0, 1, 0])
    parts = split(targets, ["train", "train", " test", "test", "validation", "train", None])
    assert [list(part) for part in (parts.train, parts.validation, parts.test)] == [[0, 1, 5], [4], [2, 3]]


def test_validation_is_carved_from_train_when_the_column_has_none():
    targets = np.repeat([0, 1], 25)
    parts = split(targets, (["train"] * 20 + ["test"] * 5) * 2)
    assert [int((targets[parts.validation] == number).sum()) for number in (0, 1)] == [2, 2]
    assert len(parts.train) == 36
    assert list(parts.test) == [*range(20, 25), *range(45, 50)]


def test_split_without_rows_to_test_on_is_refused_with_words():
    with pytest.raises(EngineFault) as fault:
        split(np.array([0, 1, 0, 1]), ["train"] * 4)
    assert fault.value.code == "bad_data"
    assert fault.value.hint
