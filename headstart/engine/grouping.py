"""Splits in which some rows stay together: those of a group, or those of one time.

Axes: N rows, P parts.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from headstart.errors import EngineFault
from headstart.planning.splits import Fold, carve_validation, counts_for_class

Rows = NDArray[np.int64]

ROWS_WEIGHT = 2
"""How much the size of a part counts beside its likeness to the others. Over random groups 1 left parts three groups too small, and 4 classes
half as alike again."""


def deal_groups(
    groups: NDArray[np.int64],
    marked: tuple[Rows, NDArray[np.int64]],
    shares: Sequence[float],
    generator: np.random.Generator,
    least: int = 1,
) -> NDArray[np.int64]:
    """The part of each row, [N]; no group is in two parts, and each part has `least` groups or more.

    Groups are dealt from the largest on, those of one size in random order, each to the part that still lacks most of what it brings: rows, and
    rows of each mark, where all marks count alike however rare they are. It is how scikit-learn's StratifiedGroupKFold goes about it, for parts
    of different size.

    Args:
        groups: number of each row's group, [N].
        marked: (row, from 0 to N − 1, mark), one for each mark of a row, such as its class: parts shall be alike in them.
        shares: of the parts, adding up to 1.

    Raises:
        EngineFault: `bad_data`, when there are too few groups for the parts.
    """
    _, numbers, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    if len(sizes) < len(shares) * least:
        needed = "" if least == 1 else f", and each part needs {least}"
        message = f"The rows that are left to divide into {len(shares)} parts are of {_counted(len(sizes), 'group')}{needed}."
        raise EngineFault("bad_data", message, "Name a group column with more groups, or use fewer folds.")
    marks, weights, starts = _brought(numbers, marked, len(sizes))
    lacking = np.array(shares)[:, None] * np.ones(
        (len(shares), int(marks.max(initial=-1)) + 1)
    )  # [P, marks], in shares of each mark's rows
    lacking_rows = np.array(shares)
    wanting = np.full(len(shares), least)
    part_of = np.empty(len(sizes), np.int64)
    shuffled = generator.permutation(len(sizes))
    order = shuffled[np.argsort(-sizes[shuffled], kind="stable")]
    for done, group in enumerate(order):
        brings = slice(starts[group], starts[group + 1])
        gain = lacking[:, marks[brings]] @ weights[brings] / max(lacking.shape[1], 1) + ROWS_WEIGHT * lacking_rows * sizes[group] / len(
            groups
        )
        if len(sizes) - done == wanting.sum():  # no group is left but for the parts that need one
            gain[wanting == 0] = -np.inf
        part = int(gain.argmax())
        part_of[group], wanting[part] = part, max(wanting[part] - 1, 0)
        lacking[part, marks[brings]] -= weights[brings]
        lacking_rows[part] -= sizes[group] / len(groups)
    return part_of[numbers]


def _brought(
    numbers: NDArray[np.int64], marked: tuple[Rows, NDArray[np.int64]], groups: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """What each group has of each mark: marks and shares of their rows, group by group, and where each group's begin."""
    rows, marks = marked
    width = int(marks.max(initial=-1)) + 1
    keys, counts = np.unique(numbers[rows] * width + marks, return_counts=True)
    totals = np.bincount(marks, minlength=width)
    found = keys % max(width, 1)
    starts = np.searchsorted(keys, np.arange(groups + 1) * width)
    return found, counts / totals[found], starts


def deal_times(times: NDArray[np.float64], validation_size: float, test_size: float, fold: Fold | None = None) -> list[Rows]:
    """Places of the rows that train, validate and test, [N] in all: each part is younger than the one before, and no time is in two.

    With folds the rows are cut by time into one block more than there are folds, and fold k tests on block k + 1, trained on all before it, of
    which the newest validate; what is younger is left out.

    Raises:
        EngineFault: `bad_data`, when there are fewer different times than parts.
    """
    _, numbers, counts = np.unique(times, return_inverse=True, return_counts=True)
    before = np.concatenate([[0], np.cumsum(counts)])  # rows older than each moment
    needed = 3 if fold is None else fold.of + 2
    if len(counts) < needed:
        message = f"The rows that can be used are of {_counted(len(counts), 'time')}, and {needed} are needed."
        raise EngineFault("bad_data", message, "Each part needs times of its own: name another time column, or use fewer folds.")
    if fold is None:
        train, validation, _ = counts_for_class(len(times), validation_size, test_size)
        test_from, end = _nearest(before, train + validation, 2, len(counts) - 1), len(counts)
    else:
        cuts = _cuts(before, fold.of)
        test_from, end = cuts[fold.number], cuts[fold.number + 1]
        train, _ = carve_validation(int(before[test_from]), validation_size)
    validation_from = _nearest(before, train, 1, test_from - 1)
    return [
        np.flatnonzero(numbers < validation_from),
        np.flatnonzero((numbers >= validation_from) & (numbers < test_from)),
        np.flatnonzero((numbers >= test_from) & (numbers < end)),
    ]


def _cuts(before: NDArray[np.int64], folds: int) -> list[int]:
    """The moment that each fold's test begins with, and the end; two moments or more come before the first."""
    moments, cuts = len(before) - 1, [1]
    for number in range(1, folds + 1):
        cuts.append(_nearest(before, int(before[-1]) * number // (folds + 1), cuts[-1] + 1, moments - folds + number - 1))
    return [*cuts[1:], moments]


def _nearest(before: NDArray[np.int64], wanted: int, least: int, most: int) -> int:
    """The moment, from `least` to `most`, that has the number of older rows which is nearest to what is wanted."""
    return least + int(np.abs(before[least : most + 1] - wanted).argmin())


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("" if count == 1 else "s")
