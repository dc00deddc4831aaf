"""How many rows of a class go where. The plan counts by these functions and the engine deals rows by them, so the two agree."""

from __future__ import annotations

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


def _round(share: float) -> int:
    # A share such as a tenth of 25 rows is not exact in binary; the nudge makes the half go up on every machine.
    return int(share + 0.5 + 1e-9)
