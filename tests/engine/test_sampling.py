"""Every epoch has as many rows as there are; balanced ones have as many of each group, and no row comes again before its turn."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstart.engine.sampling import Sampler, by_dataset_and_task, rarest_task

sizes = st.lists(st.integers(1, 40), min_size=1, max_size=5)
seeds = st.integers(0, 2**32 - 1)


def groups_of(counts: list[int], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).permutation(np.repeat(10 * np.arange(len(counts)) - 10, counts))


@given(sizes, seeds, st.integers(0, 5))
def test_proportional_epochs_have_every_row_once(counts, seed, epoch):
    groups = groups_of(counts, seed)
    assert sorted(Sampler(groups, "proportional", np.random.default_rng(seed)).of_epoch(epoch)) == list(range(len(groups)))


@given(sizes, seeds, st.integers(0, 30))
def test_balanced_epochs_have_as_many_rows_and_of_each_group_alike(counts, seed, epoch):
    groups = groups_of(counts, seed)
    rows = Sampler(groups, "balanced", np.random.default_rng(seed)).of_epoch(epoch)
    assert len(rows) == len(groups)
    seen = [int((groups[rows] == number).sum()) for number in np.unique(groups)]
    assert max(seen) - min(seen) <= 1


@given(sizes, seeds, st.integers(1, 8))
def test_no_row_of_a_group_comes_again_before_all_others_have_come(counts, seed, epochs):
    groups = groups_of(counts, seed)
    sampler = Sampler(groups, "balanced", np.random.default_rng(seed))
    drawn = [sampler.of_epoch(epoch) for epoch in range(epochs)]
    for number in np.unique(groups):
        members = int((groups == number).sum())
        order = [int(row) for rows in drawn for row in rows if groups[row] == number]
        for start in range(0, len(order), members):
            turn = order[start : start + members]
            assert len(set(turn)) == len(turn)


@given(sizes, seeds)
def test_all_rows_are_seen_over_epochs(counts, seed):
    groups = groups_of(counts, seed)
    sampler = Sampler(groups, "balanced", np.random.default_rng(seed))
    needed = max(counts) * len(counts) // len(groups) + 2
    assert {int(row) for epoch in range(needed) for row in sampler.of_epoch(epoch)} == set(range(len(groups)))


@given(sizes, seeds)
def test_over_epochs_no_group_has_more_than_one_row_more_than_another(counts, seed):
    groups = groups_of(counts, seed)
    sampler = Sampler(groups, "balanced", np.random.default_rng(seed))
    seen = Counter(int(groups[row]) for epoch in range(7) for row in sampler.of_epoch(epoch))
    assert max(seen.values()) - min(seen.get(int(number), 0) for number in np.unique(groups)) <= 1


def test_an_epoch_is_the_same_whichever_were_asked_for_before():
    groups = groups_of([3, 50], 0)
    one, other = (Sampler(groups, "balanced", np.random.default_rng(5)) for _ in range(2))
    for epoch in range(4):
        one.of_epoch(epoch)
    assert np.array_equal(one.of_epoch(4), other.of_epoch(4))


def test_seed_and_pass_decide_the_order():
    groups = np.zeros(30, np.int64)
    sampler = Sampler(groups, "balanced", np.random.default_rng(1))
    assert not np.array_equal(sampler.of_epoch(0), sampler.of_epoch(1))
    assert not np.array_equal(sampler.of_epoch(0), Sampler(groups, "balanced", np.random.default_rng(2)).of_epoch(0))


@pytest.mark.parametrize("sampling", ["balanced", "proportional"])
def test_no_rows_make_an_empty_epoch(sampling):
    assert Sampler(np.empty(0, np.int64), sampling, np.random.default_rng(0)).of_epoch(3).tolist() == []


def test_a_row_belongs_to_the_rarest_task_that_it_is_labelled_for():
    labelled = np.array([[1, 1, 0], [1, 1, 1], [1, 0, 0], [0, 0, 0], [1, 1, 0]], bool)
    assert rarest_task(labelled).tolist() == [1, 2, 0, -1, 1]


@given(st.lists(st.lists(st.integers(1, 20), min_size=1, max_size=3), min_size=1, max_size=3), seeds, st.integers(1, 6))
def test_outer_groups_are_seen_alike_and_in_each_its_inner_ones(counts, seed, epochs):
    inner = [(outer, number) for outer, each in enumerate(counts) for number, rows in enumerate(each) for _ in range(rows)]
    groups = np.random.default_rng(seed).permutation(np.array(inner))
    sampler = Sampler(groups, "balanced", np.random.default_rng(seed))
    drawn = [tuple(groups[row].tolist()) for epoch in range(epochs) for row in sampler.of_epoch(epoch)]
    assert len(drawn) == epochs * len(groups)
    outer = Counter(dict.fromkeys(range(len(counts)), 0)) + Counter(first for first, _ in drawn)
    assert max(outer.values()) - min(outer[number] for number in range(len(counts))) <= 1
    for number, each in enumerate(counts):
        seen = [drawn.count((number, place)) for place in range(len(each))]
        assert max(seen) - min(seen) <= 1


def test_a_small_dataset_is_seen_as_often_as_a_large_one_and_its_tasks_alike():
    labelled = np.zeros((120, 3), bool)
    labelled[:100, 0] = True  # a large dataset with one task
    labelled[100:118, 1] = labelled[116:, 2] = True  # a small one with two, of which the second has few labels
    groups = by_dataset_and_task(labelled, [0, 1, 1])
    assert sorted(Counter(map(tuple, groups.tolist())).items()) == [((0, 0), 100), ((1, 1), 16), ((1, 2), 4)]
    seen = Counter(tuple(groups[row].tolist()) for row in Sampler(groups, "balanced", np.random.default_rng(0)).of_epoch(0))
    assert seen == {(0, 0): 60, (1, 1): 30, (1, 2): 30}
