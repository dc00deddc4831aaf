"""Which examples run together: batches of like length within a budget."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]

BUCKET_BATCHES = 50
"""Rows are shuffled, then sorted by length within so many batches: little padding, and still another order in each epoch."""


def plan_batches(lengths: NDArray[np.int64], budget: int, *, alike: bool = False) -> list[NDArray[np.int64]]:
    """Which rows run together: rows of like length, so that little is padding; the longest first, so that memory runs out early or never.

    Args:
        lengths: units of each row, [N].
        budget: rows × longest row stays within it; a single row that is longer runs alone.
        alike: whether all rows of a batch must have one length.

    Returns:
        Row numbers of each batch; every row once. The same lengths give the same batches.
    """
    order = np.lexsort((np.arange(len(lengths)), -lengths))
    batches = []
    start = 0
    while start < len(order):
        longest = max(1, int(lengths[order[start]]))
        rows = max(1, budget // longest)
        if alike:
            same = np.searchsorted(-lengths[order[start:]], -longest, side="right")
            rows = min(rows, max(1, int(same)))
        batches.append(order[start : start + rows])
        start += rows
    return batches


def shuffled_batches(rows: Rows, lengths: NDArray[np.int64], size: int, chance: np.random.Generator) -> Iterator[Rows]:
    """Every row once, in batches of like length, in random order."""
    shuffled = chance.permutation(rows)
    batches = []
    for start in range(0, len(shuffled), size * BUCKET_BATCHES):
        bucket = shuffled[start : start + size * BUCKET_BATCHES]
        ordered = bucket[np.argsort(lengths[bucket], kind="stable")]
        batches += [ordered[at : at + size] for at in range(0, len(ordered), size)]
    for number in chance.permutation(len(batches)):
        yield batches[number]


def parts_of(batch: Rows, lengths: NDArray[np.int64], batch_tokens: int, most_rows: int, *, alike: bool) -> Iterator[Rows]:
    """A batch, whose rows lie by length, in pieces of at most `batch_tokens` padded units and `most_rows` rows; `alike`: of one length each."""
    start = 0
    while start < len(batch):
        end, longest = start, 0
        while end < len(batch) and end - start < most_rows:
            length = int(lengths[batch[end]])
            longest = max(longest, length)
            if end > start and (longest * (end - start + 1) > batch_tokens or (alike and length != int(lengths[batch[start]]))):
                break
            end += 1
        yield batch[start:end]
        start = end
