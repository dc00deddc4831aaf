"""Rows that are to be dealt out alike: by class, by label, or by the range of a number.

A row counts as one of the first task that it is labelled for; the rows of each task are dealt out by themselves.

Axes: N rows, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from headstart.planning.splits import Fold

Rows = NDArray[np.int64]
Targets = NDArray[np.int64] | NDArray[np.float32] | NDArray[np.float64]
"""Of a task: class numbers [N], −1 missing; or 0 and 1 [N, C], of a missing row NaN; or numbers [N], missing NaN."""

Wanted = Callable[[int, int], int]
"""(rows of a class in all, those that are left) → how many to take."""

BINS = 10
"""Ranges of a number that groups are balanced by: of about as many rows each."""


def labelled(targets: Targets) -> NDArray[np.bool_]:
    """Whether a row has a target, [N]."""
    missing: NDArray[np.bool_] = np.isnan(targets) if np.issubdtype(targets.dtype, np.floating) else targets < 0
    return ~missing if missing.ndim == 1 else ~np.logical_or.reduce(missing, axis=1)


class Strata:
    """Some rows in an order that chance has decided, from which parts are taken.

    Args:
        targets: of each task, in the order of the spec.
        rows: those to deal out, ascending.
        generator: decides which rows; the same state gives the same parts.
    """

    def __init__(self, targets: Sequence[Targets], rows: Rows, generator: np.random.Generator) -> None:
        owners = np.full(len(rows), -1)
        for number in reversed(range(len(targets))):
            owners[labelled(targets[number])[rows]] = number
        owned = [(each, rows[owners == number]) for number, each in enumerate(targets)]
        nobodys = rows[owners < 0]
        self._parts: list[_Part] = [_part(each, members, generator) for each, members in owned if len(members)]
        if len(nobodys):
            self._parts.append(_Classes(np.zeros(len(nobodys), np.int64), nobodys, generator))

    def take(self, left: NDArray[np.bool_], wanted: Wanted) -> Rows:
        """Rows from each class, of those that are `left` ([N], of all rows of the dataset)."""
        return np.sort(np.concatenate([np.empty(0, np.int64), *(part.take(left, wanted) for part in self._parts)]))

    def fold(self, fold: Fold) -> Rows:
        """The rows of a fold: each class gives each fold as many, to within one."""
        return np.sort(np.concatenate([part.order(fold.of) for part in self._parts])[fold.number :: fold.of])

    def marks(self) -> tuple[Rows, Rows]:
        """What groups of rows are balanced by: (row, mark) for each mark of a row, which is its class, a label, or the range of its number."""
        found, first = [(np.empty(0, np.int64), np.empty(0, np.int64))], 0
        for part in self._parts:
            rows, marks = part.marks()
            found.append((rows, marks + first))
            first += int(marks.max(initial=-1)) + 1
        rows, marks = (np.concatenate(each) for each in zip(*found, strict=True))
        return rows, marks


class _Part(Protocol):
    """The rows of a task."""

    def take(self, left: NDArray[np.bool_], wanted: Wanted) -> Rows: ...

    def order(self, block: int) -> Rows:
        """All rows, like beside like; among so many neighbours chance decides."""
        ...

    def marks(self) -> tuple[Rows, Rows]: ...


def _part(targets: Targets, rows: Rows, generator: np.random.Generator) -> _Part:
    own = targets[rows]
    if own.ndim == 2:
        return _Labels(own > 0, rows, generator)
    if np.issubdtype(own.dtype, np.floating):
        return _Numbers(own.astype(np.float64), rows, generator)
    return _Classes(own.astype(np.int64), rows, generator)


class _Classes:
    """Each row has one class; from each class just so many rows are taken as are wanted."""

    def __init__(self, classes: NDArray[np.int64], rows: Rows, generator: np.random.Generator) -> None:
        _, numbers, counts = np.unique(classes, return_inverse=True, return_counts=True)
        self._rows, self._numbers = rows, numbers
        ordered = rows[np.argsort(numbers, kind="stable")]
        self._members = [generator.permutation(members) for members in np.split(ordered, np.cumsum(counts)[:-1])]

    def take(self, left: NDArray[np.bool_], wanted: Wanted) -> Rows:
        taken = []
        for members in self._members:
            there = members[left[members]]
            taken.append(there[len(there) - min(wanted(len(members), len(there)), len(there)) :])
        return np.concatenate(taken)

    def order(self, block: int) -> Rows:  # noqa: ARG002 - `_Part`
        return np.concatenate(self._members)

    def marks(self) -> tuple[Rows, Rows]:
        return self._rows, self._numbers


class _Numbers:
    """Each row has a number; the rows that are taken, so many as are wanted of all, are spread evenly over the order of the numbers."""

    def __init__(self, numbers: NDArray[np.float64], rows: Rows, generator: np.random.Generator) -> None:
        shuffled = generator.permutation(len(rows))  # equal numbers in random order
        self._rows = rows[shuffled[np.argsort(numbers[shuffled], kind="stable")]]
        self._generator = generator

    def take(self, left: NDArray[np.bool_], wanted: Wanted) -> Rows:
        there = self._rows[left[self._rows]]
        count = min(wanted(len(self._rows), len(there)), len(there))
        if not count:
            return there[:0]
        starts = np.arange(count + 1) * len(there) // count
        return there[self._generator.integers(starts[:-1], starts[1:])]  # one of each of so many runs

    def order(self, block: int) -> Rows:
        places = np.arange(len(self._rows))
        return self._rows[np.lexsort((self._generator.random(len(places)), places // block))]

    def marks(self) -> tuple[Rows, Rows]:
        return self._rows, np.arange(len(self._rows)) * BINS // len(self._rows)


class _Labels:
    """A row has any number of labels. Of each label as many rows are taken as are wanted, as far as rows with several labels allow.

    Labels are gone through from the rarest among the rows not yet decided on, and all its rows are decided on, the rest of a label's share being
    what rarer labels have brought of it already; rows without labels come last.

    Source: Sechidis, Tsoumakas & Vlahavas 2011, "On the Stratification of Multi-label Data", figure 1, a label at a time and not a row at a time.
    """

    def __init__(self, labels: NDArray[np.bool_], rows: Rows, generator: np.random.Generator) -> None:
        shuffled = generator.permutation(len(rows))
        self._rows, self._labels = rows[shuffled], labels[shuffled]  # [N], [N, C]
        self._counts = self._labels.sum(axis=0)

    def take(self, left: NDArray[np.bool_], wanted: Wanted) -> Rows:
        there = left[self._rows]
        lefts = self._labels[there].sum(axis=0)
        undecided, taken = there.copy(), np.zeros(len(there), np.bool_)
        remaining, brought = lefts.copy(), np.zeros_like(lefts)
        while remaining.any():
            label = int(np.where(remaining > 0, remaining, np.iinfo(remaining.dtype).max).argmin())
            members = np.flatnonzero(undecided & self._labels[:, label])
            count = wanted(int(self._counts[label]), int(lefts[label])) - int(brought[label])
            chosen = members[: max(count, 0)]
            taken[chosen] = True
            undecided[members] = False
            brought += self._labels[chosen].sum(axis=0)
            remaining -= self._labels[members].sum(axis=0)
        bare = np.flatnonzero(undecided)
        taken[bare[: wanted(int((~self._labels.any(axis=1)).sum()), len(bare))]] = True
        return self._rows[taken]

    def order(self, block: int) -> Rows:  # noqa: ARG002 - `_Part`
        """By the rarest label of each row."""
        rarity = np.argsort(self._counts, kind="stable")
        rarest = np.where(self._labels.any(axis=1), self._labels[:, rarity].argmax(axis=1), self._labels.shape[1])
        return self._rows[np.argsort(rarest, kind="stable")]

    def marks(self) -> tuple[Rows, Rows]:
        rows, labels = np.nonzero(self._labels)
        return self._rows[rows], labels
