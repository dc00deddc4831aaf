"""Who trains, who validates, who tests: by the user's column, by groups, by time, or dealt out alike for each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headstart.engine.grouping import deal_groups, deal_times
from headstart.engine.strata import Strata, Targets, labelled
from headstart.errors import EngineFault, listing, quote
from headstart.planning.splits import Fold, carve_validation, counts_for_class, groups_of_fold
from headstart.planning.times import read_times
from headstart.specs.datasets import SPLITS
from headstart.specs.labels import normal_label

Rows = NDArray[np.int64]

MAX_NAMED = 10


@dataclass(frozen=True, slots=True)
class Split:
    """Row numbers of each part, ascending; no row is in two parts."""

    train: Rows
    validation: Rows
    test: Rows


@dataclass(frozen=True, slots=True)
class Told:
    """What a column of the user's says of each row; at most one is given, and rows that it says nothing of are in no part.

    Attributes:
        words: one of `SPLITS`, or another word or None for no part.
        groups: group numbers, [N]; −1: none.
        times: [N]; NaN: none.
    """

    words: Sequence[str | None] | None = None
    groups: NDArray[np.int64] | None = None
    times: NDArray[np.float64] | None = None

    def of(self, rows: Rows) -> Told:
        """The same of some rows."""
        return Told(
            None if self.words is None else [self.words[row] for row in rows.tolist()],
            None if self.groups is None else self.groups[rows],
            None if self.times is None else self.times[rows],
        )


def assign(
    targets: Mapping[str, Targets],
    told: Told,
    *,
    validation_size: float,
    test_size: float,
    generator: np.random.Generator,
    fold: Fold | None = None,
) -> Split:
    """Deal rows to train, validation and test.

    Where no column says more, each class gives exactly the rows to each part that `planning.splits.count_rows` counts. Where the user's own split
    has no validation rows, they are taken from the train rows, class by class.

    Args:
        targets: of each task by its name, in the order of the spec; rows are dealt alike by the first that they are labelled for. Token
            classification is told as 0 and 1 for the tags that a row has.
        generator: decides which rows; the same state gives the same split, and the same folds for each `fold`.
        fold: of cross-validation: what tests; `test_size` then says nothing.

    Raises:
        EngineFault: `too_few_classes` or `bad_data`, when what is left cannot be trained or tested on.
    """
    tasks = list(targets.values())
    everything = np.arange(len(tasks[0]))

    def shared(rows: int, _left: int) -> tuple[int, int, int]:
        return counts_for_class(rows, validation_size, test_size)

    def carved(_rows: int, left: int) -> int:
        return carve_validation(left, validation_size)[1]

    if told.words is not None:
        words = np.array([(word or "").strip() for word in told.words], dtype=object)
        train, validation, test = (np.flatnonzero(words == name) for name in SPLITS)
        if not len(validation):
            validation = Strata(tasks, train, generator).take(_mask(train, everything), carved)
            train = np.setdiff1d(train, validation)
        split = Split(train, validation, test)
    elif told.groups is not None:
        split = _by_group(tasks, told.groups, validation_size, test_size, generator, fold)
    elif told.times is not None:
        rows = np.flatnonzero(~np.isnan(told.times))
        split = Split(*(rows[part] for part in deal_times(told.times[rows], validation_size, test_size, fold)))
    else:
        strata = Strata(tasks, everything, generator)
        left = np.ones(len(everything), np.bool_)
        test = strata.take(left, lambda rows, there: shared(rows, there)[2]) if fold is None else strata.fold(fold)
        left[test] = False
        validation = strata.take(left, (lambda rows, there: shared(rows, there)[1]) if fold is None else carved)
        left[validation] = False
        split = Split(np.flatnonzero(left), validation, test)
    _check(split, targets)
    return split


def group_numbers(cells: Sequence[str | None]) -> NDArray[np.int64]:
    """The number of each row's group, [N], by its cell; −1 for an empty one. Two cells are the same group when their normal labels are."""
    known: dict[str, int] = {}
    labels = [None if cell is None else normal_label(cell) for cell in cells]
    return np.array([known.setdefault(label, len(known)) if label else -1 for label in labels], dtype=np.int64)


def times_of(cells: Sequence[str | None], column: str) -> NDArray[np.float64]:
    """The time of each row, [N], NaN where there is none.

    Raises:
        EngineFault: `bad_data`, with the rows, counted from 1, whose cells are neither times nor numbers.
    """
    times, unread = read_times(cells)
    if unread:
        found = f"Row {unread[0] + 1:,} has {quote(cells[unread[0]] or '')} in the column {quote(column)}"
        others = [f"{row + 1:,}" for row in unread[1:]]
        more = f"; nor is what stands in {'row' if len(others) == 1 else 'rows'} {listing(others, MAX_NAMED)}" if others else ""
        message = f"{found}, which is neither a time of ISO 8601 nor a number{more}."
        raise EngineFault("bad_data", message, "Times look like 2024-01-31, 2024-01-31T12:30:00Z or 1706704200, all in one way.")
    return np.array([np.nan if time is None else time for time in times])


def unseen_classes(targets: Targets, split: Split, classes: Sequence[str]) -> str | None:
    """A warning that names the classes of a task that stand in the test rows and in no training row; None when there are none.

    Args:
        targets: class numbers, or 0 and 1 for each class; numbers have no classes.
    """
    tested, trained = (_rows_of_classes(targets[part], len(classes)) for part in (split.test, split.train))
    missing = np.flatnonzero((tested > 0) & (trained == 0))
    if not len(missing):
        return None
    named = ", ".join(f"{quote(classes[number])} ({tested[number]:,})" for number in missing[:MAX_NAMED])
    more = f" and {len(missing) - MAX_NAMED:,} more" if len(missing) > MAX_NAMED else ""
    one = len(missing) == 1
    which, it = ("A class stands", "it") if one else (f"{len(missing):,} classes stand", "them")
    return f"{which} in the test rows and in no training row, so that nothing is learnt of {it}: {named}{more}."


def _rows_of_classes(targets: Targets, classes: int) -> NDArray[np.int64]:
    if targets.ndim == 2:
        counts: NDArray[np.int64] = np.count_nonzero(targets > 0, axis=0)
        return counts
    if np.issubdtype(targets.dtype, np.floating):
        return np.zeros(classes, np.int64)
    return np.bincount(targets[targets >= 0].astype(np.int64), minlength=classes)


def _by_group(
    tasks: Sequence[Targets],
    groups: NDArray[np.int64],
    validation_size: float,
    test_size: float,
    generator: np.random.Generator,
    fold: Fold | None,
) -> Split:
    rows = np.flatnonzero(groups >= 0)
    if fold is None:
        parts = _dealt(tasks, groups, rows, [1 - validation_size - test_size, validation_size, test_size], generator)
        return Split(*parts)
    folds = _dealt(tasks, groups, rows, [1 / fold.of] * fold.of, generator, groups_of_fold(fold.of))
    rest = np.setdiff1d(rows, folds[fold.number])
    train, validation = _dealt(tasks, groups, rest, [1 - validation_size, validation_size], generator)
    return Split(train, validation, folds[fold.number])


def _dealt(
    tasks: Sequence[Targets],
    groups: NDArray[np.int64],
    rows: Rows,
    shares: Sequence[float],
    generator: np.random.Generator,
    least: int = 1,
) -> list[Rows]:
    marked, marks = Strata(tasks, rows, generator).marks()
    part_of = deal_groups(groups[rows], (np.searchsorted(rows, marked), marks), shares, generator, least)
    return [rows[part_of == part] for part in range(len(shares))]


def _mask(rows: Rows, everything: Rows) -> NDArray[np.bool_]:
    mask = np.zeros(len(everything), np.bool_)
    mask[rows] = True
    return mask


def _check(split: Split, targets: Mapping[str, Targets]) -> None:
    for name, each in targets.items():
        of = "" if len(targets) == 1 else f" for the task {quote(name)}"
        train = each[split.train]
        classes = each.ndim == 1 and not np.issubdtype(each.dtype, np.floating)
        if classes and len(np.unique(train[labelled(train)])) < 2:
            raise EngineFault(
                "too_few_classes",
                f"Fewer than two classes are left to train on{of}, after rows without a text, a label or a split were left out.",
                "Add rows of the other classes, or look at the column that splits the rows.",
            )
        for part, what in ((split.train, "train"), (split.test, "test")):
            if not labelled(each[part]).any():
                hint = "Each part needs rows with an input and a label: look at the column that splits the rows, or leave it out."
                raise EngineFault("bad_data", f"No rows are left to {what} on{of}.", hint)
