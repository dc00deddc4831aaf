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
    strata: Rows, split_values: Sequence[str | None] | None, *, validation_size: float, test_size: float, generator: np.random.Generator
) -> Split:
    """Deal rows to train, validation and test.

    Without the user's split each stratum gives exactly `planning.splits.counts_for_class` rows to each part. With it, validation is taken
    from the user's train rows, stratum by stratum, when there is none.

    Args:
        strata: number of the kind of each row, such as its class, [N].
        split_values: the user's word for each row, or None for no such column; rows without one of the three words are left out.
        generator: decides which rows; the same state gives the same split.

    Raises:
        EngineFault: `bad_data`, when nothing is left to test on.
    """
    if split_values is None:
        rows = np.arange(len(strata))
        parts = _deal(rows, strata, lambda count: counts_for_class(count, validation_size, test_size), generator)
    else:
        parts = _by_column(strata, split_values, validation_size, generator)
    split = Split(*(np.sort(part) for part in parts))
    _check(split)
    return split


def _by_column(strata: Rows, values: Sequence[str | None], validation_size: float, generator: np.random.Generator) -> list[Rows]:
    words = np.array([value.strip() if value is not None else "" for value in values])
    train, validation, test = (np.flatnonzero(words == name) for name in SPLITS)
    if not len(validation):
        train, validation, _ = _deal(train, strata, lambda count: (*carve_validation(count, validation_size), 0), generator)
    return [train, validation, test]


def _deal(rows: Rows, strata: Rows, counts: Callable[[int], tuple[int, int, int]], generator: np.random.Generator) -> list[Rows]:
    """Split `rows` three ways, stratum by stratum in the order of their numbers."""
    parts: list[list[Rows]] = [[], [], []]
    for number in np.unique(strata[rows]):
        dealt = generator.permutation(rows[strata[rows] == number])
        train, validation, _ = counts(len(dealt))
        for part, piece in zip(parts, np.split(dealt, [train, train + validation]), strict=True):
            part.append(piece)
    return [np.concatenate([np.empty(0, np.int64), *pieces]) for pieces in parts]


def _check(split: Split) -> None:
    if not len(split.test):
        raise EngineFault(
            "bad_data", "No rows are left to test on.", "The split column needs rows with 'test', a text and a label; or leave it out."
        )
