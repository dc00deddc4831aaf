"""Every row runs once, within the budget."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from headstart.engine.batches import plan_batches

lengths = st.lists(st.integers(1, 600), max_size=200).map(lambda values: np.array(values, dtype=np.int64))


@given(lengths, st.integers(1, 2000))
def test_every_row_is_in_exactly_one_batch(values, budget):
    batches = plan_batches(values, budget)
    assert sorted(row for batch in batches for row in batch) == list(range(len(values)))


@given(lengths, st.integers(1, 2000))
def test_padded_batch_keeps_the_budget_unless_it_is_one_long_row(values, budget):
    for batch in plan_batches(values, budget):
        assert len(batch) * values[batch].max() <= budget or len(batch) == 1


@given(lengths, st.integers(1, 2000))
def test_batches_go_from_long_to_short(values, budget):
    flat = [int(values[row]) for batch in plan_batches(values, budget) for row in batch]
    assert flat == sorted(flat, reverse=True)


@given(lengths, st.integers(1, 2000))
def test_rows_that_must_be_alike_share_a_batch_with_their_own_length_only(values, budget):
    batches = plan_batches(values, budget, alike=True)
    assert sorted(row for batch in batches for row in batch) == list(range(len(values)))
    assert all(len(set(values[batch].tolist())) == 1 for batch in batches)
    assert all(len(batch) * values[batch].max() <= budget or len(batch) == 1 for batch in batches)
