"""Who trains, who validates, who tests: by the user's column, or dealt out class by class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headstart.errors import EngineFault
from headstart.planning.splits import carve_validation, counts_for_class
from headstart.specs.datasets import SPLITS

Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Split:
    """Row numbers of each part, ascending; no row is in two parts."""

    train: Rows
    validation: Rows
    test: Rows


def assign(
    targets: Rows, split_values: Sequence[str | None] | None, *, validation_size: float, test_size: float, generator: np.random.Generator
) -> Split:
    """Deal rows to train, validation and test.

    Without the user's split each class gives exactly `planning.splits.counts_for_class` rows to each part. With it, validation is taken
    from the user's train rows, class by class, when there is none.

    Args:
        targets: class number of each row, [N].
        split_values: the user's word for each row, or None for no such column; rows without one of the three words are left out.
        generator: decides which rows; the same state gives the same split.

    Raises:
        EngineFault: `too_few_classes` or `bad_data`, when what is left cannot be trained or tested on.
    """
    if split_values is None:
        rows = np.arange(len(targets))
        parts = _deal(rows, targets, lambda count: counts_for_class(count, validation_size, test_size), generator)
    else:
        parts = _by_column(targets, split_values, validation_size, generator)
    split = Split(*(np.sort(part) for part in parts))
    _check(split, targets)
    return split


def _by_column(targets: Rows, values: Sequence[str | None], validation_size: float, generator: np.random.Generator) -> list[Rows]:
    words = np.array([value.strip() if value is not None else "" for value in values])
    train, validation, test = (np.flatnonzero(words == name) for name in SPLITS)
    if not len(validation):
        train, validation, _ = _deal(train, targets, lambda count: (*carve_validation(count, validation_size), 0), generator)
    return [train, validation, test]


def _deal(rows: Rows, targets: Rows, counts: Callable[[int], tuple[int, int, int]], generator: np.random.Generator) -> list[Rows]:
    """Split `rows` three ways, class by class in the order of class numbers."""
    parts: list[list[Rows]] = [[], [], []]
    for number in np.unique(targets[rows]):
        dealt = generator.permutation(rows[targets[rows] == number])
        train, validation, _ = counts(len(dealt))
        for part, piece in zip(parts, np.split(dealt, [train, train + validation]), strict=True):
            part.append(piece)
    return [np.concatenate([np.empty(0, np.int64), *pieces]) for pieces in parts]


def _check(split: Split, targets: Rows) -> None:
    if len(np.unique(targets[split.train])) < 2:
        raise EngineFault(
            "too_few_classes",
            "Fewer than two classes are left to train on, after rows without a text, a label or a split were left out.",
            "Add rows of the other classes, or look at the split column.",
        )
    if not len(split.test):
        raise EngineFault(
            "bad_data", "No rows are left to test on.", "The split column needs rows with 'test', a text and a label; or leave it out."
        )
