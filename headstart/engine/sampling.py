"""Which rows an epoch sees, where groups of rows differ in size: datasets, or tasks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from headstart.specs.balancing import Sampling

Rows = NDArray[np.int64]


class Sampler:
    """Row numbers of each epoch; as many as there are rows.

    `proportional`: every row once. `balanced`: from each group the same number, to within one, and over epochs each group is as often the one
    that has one more. A group is gone through pass by pass, each in an order of its own, and no row comes again before all others of the group
    have come; where an epoch ends in a pass, the next goes on. So large groups are seen whole over several epochs, small ones several times in one.

    Groups may lie in groups, as tasks do in datasets: then all outermost groups give the same number, and in each of them all that lie in it.

    What an epoch sees hangs on its number alone, and not on which were asked for before: an attempt that begins in the middle sees the same.

    Args:
        groups: group number of each row, [N], any integers; or its numbers level by level, the outermost first, [N, L].
        generator: drawn from once, here.
    """

    def __init__(self, groups: NDArray[np.int64], sampling: Sampling, generator: np.random.Generator) -> None:
        self._count, self._balanced = len(groups), sampling == "balanced"
        self._seed = int(generator.integers(2**63))
        self._members, self._places = _nested(groups[:, None] if groups.ndim == 1 else groups)

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
        """How many rows of a group come before an epoch: those of all epochs are dealt out in turn, level by level."""
        rows = epoch * self._count
        for place, of in self._places[group]:
            rows = (rows - place + of - 1) // of
        return rows


def _nested(groups: NDArray[np.int64]) -> tuple[list[Rows], list[list[tuple[int, int]]]]:
    """Of each innermost group its rows, and on each level its place among how many that lie in the same group."""
    members, places = [], []
    kinds = np.unique(groups, axis=0)  # [G, L]
    for kind in kinds:
        members.append(np.flatnonzero((groups == kind).all(axis=1)))
        beside = [np.unique(kinds[(kinds[:, :level] == kind[:level]).all(axis=1), level]) for level in range(len(kind))]
        places.append([(int(np.searchsorted(each, kind[level])), len(each)) for level, each in enumerate(beside)])
    return members, places


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


def by_dataset_and_task(labelled: NDArray[np.bool_], datasets: Sequence[int]) -> NDArray[np.int64]:
    """The groups of each row where datasets are to be seen equally often, and in each of them its tasks, [N, 2].

    Args:
        labelled: whether a row has a label of a task, [N, K]; a row has one or more, all of one dataset.
        datasets: number of each task's dataset, [K].
    """
    rarest = rarest_task(labelled)
    return np.stack([np.array(datasets, np.int64)[rarest], rarest], axis=1)
