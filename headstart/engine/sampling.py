"""Which rows an epoch sees, where groups of rows differ in size: datasets, or tasks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from headstart.specs.balancing import Sampling

Rows = NDArray[np.int64]


class Sampler:
    """Row numbers of each epoch; as many as there are rows.

    `proportional`: every row once. `balanced`: from each group the same number, to within one, and over epochs each group is as often the one
    that has one more. A group is gone through pass by pass, each in an order of its own, and no row comes again before all others of the group
    have come; where an epoch ends in a pass, the next goes on. So large groups are seen whole over several epochs, small ones several times in one.

    What an epoch sees hangs on its number alone, and not on which were asked for before: an attempt that begins in the middle sees the same.

    Args:
        groups: group number of each row, [N], any integers.
        generator: drawn from once, here.
    """

    def __init__(self, groups: NDArray[np.int64], sampling: Sampling, generator: np.random.Generator) -> None:
        self._count, self._balanced = len(groups), sampling == "balanced"
        self._seed = int(generator.integers(2**63))
        self._members = [np.flatnonzero(groups == number) for number in np.unique(groups)]

    def of_epoch(self, epoch: int) -> Rows:
        """The rows of an epoch, counted from 0, [N], group by group; whoever makes batches of them shuffles."""
        if not self._balanced:
            return np.arange(self._count)
        return np.concatenate([np.empty(0, np.int64), *(self._drawn(group, epoch) for group in range(len(self._members)))])

    def _drawn(self, group: int, epoch: int) -> Rows:
        begin, end = self._before(group, epoch), self._before(group, epoch + 1)
        members = self._members[group]
        first, last = begin // len(members), -(-end // len(members))
        passes = [np.random.default_rng([self._seed, group, number]).permutation(members) for number in range(first, last)]
        start = begin - first * len(members)
        return np.concatenate([np.empty(0, np.int64), *passes])[start : start + end - begin]

    def _before(self, group: int, epoch: int) -> int:
        """How many rows of a group come before an epoch: those of all epochs are dealt out to the groups in turn."""
        return (epoch * self._count - group + len(self._members) - 1) // len(self._members)


def rarest_task(labelled: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The group of each row where tasks are to be seen equally often: of the tasks it is labelled for, that with the fewest labelled rows.

    Args:
        labelled: whether a row has a label of a task, [N, K].

    Returns:
        [N]; −1 for a row without any label, which makes a group of its own.
    """
    order = np.argsort(labelled.sum(axis=0), kind="stable")  # rarest first
    ordered = labelled[:, order]
    return np.where(labelled.any(axis=1), order[ordered.argmax(axis=1)], -1).astype(np.int64)
