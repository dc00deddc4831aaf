"""How many rows of a class go where. The plan counts by these functions and the engine deals rows by them, so the two agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from headstart.specs.evaluation import Evaluation

MIN_CLASS_ROWS = 3
"""One row each to train, validate and test on."""


def counts_for_class(rows: int, validation_size: float, test_size: float) -> tuple[int, int, int]:
    """(train, validation, test) for a class of `rows`: shares rounded half up, then mended so that no part is empty.

    From three rows on each part has at least one, and where shares are too large for that, test takes before validation and
    validation before train. Two rows train and test; one row trains.
    """
    if rows < MIN_CLASS_ROWS:
        return (1, 0, 1) if rows == 2 else (rows, 0, 0)
    test = min(max(_round(rows * test_size), 1), rows - 2)
    validation = min(max(_round(rows * validation_size), 1), rows - test - 1)
    return rows - validation - test, validation, test


def carve_validation(rows: int, validation_size: float) -> tuple[int, int]:
    """(train, validation) for a class with `rows` in the user's own train split, when the file brings no validation rows."""
    if rows < 2:
        return rows, 0
    validation = min(max(_round(rows * validation_size), 1), rows - 1)
    return rows - validation, validation


@dataclass(frozen=True, slots=True)
class Fold:
    """The part of cross-validation that tests: `number` from 0, of so many."""

    number: int
    of: int


def fold_count(before: int, rows: int, fold: Fold) -> int:
    """How many of `rows` test in a fold, where `before` rows of other classes were dealt first: rows go to the folds in turn."""
    return _dealt(before + rows, fold) - _dealt(before, fold)


def groups_of_fold(folds: int) -> int:
    """The least groups of one: those of the other folds train and validate, each on a group of its own."""
    return 2 if folds == 2 else 1


@dataclass(frozen=True, slots=True)
class Counted:
    """Rows of each part; `exact`: the engine deals just so many, else only about so many."""

    train: int
    validation: int
    test: int
    exact: bool = True


def count_rows(evaluation: Evaluation, classes: Sequence[int], *, exact: bool = True, fold: int = 0) -> Counted:
    """How many rows train, validate and test where the user's column does not say it.

    Args:
        classes: rows of each class of the first task, in the order of the classes; of a regression, one number.
        exact: whether a row is of just one of them: False where rows have several labels, or lack that of the first task.
        fold: of cross-validation, the one that tests.
    """
    if evaluation.group_column is not None or evaluation.time_column is not None:
        classes, exact = [sum(classes)], False
    validation_size, test_size = evaluation.validation_size, evaluation.test_size
    if evaluation.folds is None:
        parts = [counts_for_class(rows, validation_size, test_size) for rows in classes]
    elif evaluation.time_column is not None:
        block = sum(classes) // (evaluation.folds + 1)
        parts = [(*carve_validation(block * (fold + 1), validation_size), block)]
    else:
        parts, before = [], 0
        for rows in classes:
            test = fold_count(before, rows, Fold(fold, evaluation.folds))
            parts.append((*carve_validation(rows - test, validation_size), test))
            before += rows
    train, validation, test = (sum(part) for part in zip(*parts, strict=True))
    return Counted(train, validation, test, exact)


def _dealt(rows: int, fold: Fold) -> int:
    """How many of the first `rows` go to a fold."""
    return (rows - fold.number + fold.of - 1) // fold.of


def _round(share: float) -> int:
    # A share such as a tenth of 25 rows is not exact in binary; the nudge makes the half go up on every machine.
    return int(share + 0.5 + 1e-9)
