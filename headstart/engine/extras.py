"""Numbers and categories that a head reads beside what the backbone gives.

A number is standardised by the training rows, 0 where it is missing, and brought nearer where it lies absurdly far from theirs; a category is a
1 at its own place, and 0 throughout where it is missing or was never seen.

Axes: N rows, F numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from headstart.specs.labels import normal_label
from headstart.specs.plans import Extra

Cell = str | float | None

FARTHEST = 1e6
"""Standard deviations from the training rows' mean: products of what lies farther could not be held in float32."""


class FittedExtra(Extra):
    """A column, and how its numbers are standardised."""

    mean: float
    scale: float


def fit_extras(planned: Sequence[Extra], cells: Mapping[str, Sequence[Cell]], train: NDArray[np.int64]) -> list[FittedExtra]:
    """How each column is read.

    Args:
        cells: of all rows, by column.
        train: rows that standardise.
    """
    return [_fitted(extra, cells[extra.column], train) for extra in planned]


def _fitted(extra: Extra, cells: Sequence[Cell], train: NDArray[np.int64]) -> FittedExtra:
    mean, scale = 0.0, 1.0
    if extra.type == "number":
        values = np.array([finite_number(cells[row]) for row in train.tolist()])
        values = values[np.isfinite(values)]
        if len(values):
            mean, scale = float(values.mean()), float(values.std()) or 1.0
    return FittedExtra(column=extra.column, type=extra.type, values=extra.values, mean=mean, scale=scale)


def encode_extras(fitted: Sequence[FittedExtra], cells: Mapping[str, Sequence[Cell]], rows: int) -> NDArray[np.float32]:
    """[N, F]; a column that is not there is missing in every row."""
    parts = [_encoded(extra, cells.get(extra.column) or [None] * rows) for extra in fitted]
    return np.concatenate([np.zeros((rows, 0), np.float32), *parts], axis=1)


def _encoded(extra: FittedExtra, cells: Sequence[Cell]) -> NDArray[np.float32]:
    made = np.zeros((len(cells), extra.width), np.float32)
    if extra.type == "number":
        values = (np.array([finite_number(cell) for cell in cells]) - extra.mean) / extra.scale
        made[:, 0] = np.clip(np.where(np.isfinite(values), values, 0.0), -FARTHEST, FARTHEST)
        return made
    places = {value: place for place, value in enumerate(extra.values)}
    for row, cell in enumerate(cells):
        place = None if cell is None else places.get(_label(cell))
        if place is not None:
            made[row, place] = 1.0
    return made


def finite_number(cell: Cell) -> float:
    """The number in a cell; NaN where there is none, or none that is finite."""
    try:
        value = math.nan if cell is None else float(cell)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def _label(cell: str | float) -> str:
    """A number from JSON is the label that a file would write for it: 3, not 3.0."""
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    return normal_label(str(cell))
