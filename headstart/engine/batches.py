"""Which examples run together: batches of like length within a budget."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


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
