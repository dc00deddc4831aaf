"""Which looks of the training rows an epoch sees. Without augmentation a row has one look, its own; all else is the same path.

A place is a number for one look of one row: places below the number of rows are the rows themselves, those of training rows their view 0;
further views of all training rows follow, view by view.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from headstart.engine.examples import Picked
from headstart.engine.inputs.augmenting import Augmenter

Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Views:
    """Looks of the training rows.

    Attributes:
        rows: of the dataset, those that are not trained on included.
        train: row numbers.
        count: views of each training row; the epoch e sees view e modulo this.
    """

    rows: int
    train: Places
    count: int = 1

    def of_epoch(self, epoch: int) -> Places:
        """The training rows as the epoch sees them, in the order of `train`."""
        return self._places(epoch % self.count)

    def every(self) -> Places:
        """All views of the training rows, view by view."""
        return np.concatenate([self._places(view) for view in range(self.count)])

    def row(self, places: Places) -> Places:
        """The row that each place shows."""
        if self.count == 1:
            return places
        return np.where(places < self.rows, places, self.train[(places - self.rows) % len(self.train)])

    def view(self, place: int) -> int:
        """The number of the view that a place shows."""
        return 0 if place < self.rows else 1 + (place - self.rows) // len(self.train)

    def __len__(self) -> int:
        """Places in all."""
        return self.rows + (self.count - 1) * len(self.train)

    def _places(self, view: int) -> Places:
        return self.train if view == 0 else self.rows + (view - 1) * len(self.train) + np.arange(len(self.train))


class Viewed(Sequence[Any]):
    """Images by place: views of those that are trained on, the others as they are."""

    def __init__(self, images: Sequence[bytes], views: Views, augmenter: Augmenter) -> None:
        self._images, self._views, self._augmenter = images, views, augmenter
        self._trained = np.zeros(views.rows, np.bool_)
        self._trained[views.train] = True

    @overload
    def __getitem__(self, index: int) -> Any: ...  # noqa: ANN401 - an example
    @overload
    def __getitem__(self, index: slice) -> Sequence[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return Picked(self, range(*index.indices(len(self))))
        if not 0 <= index < len(self):
            raise IndexError(index)
        row = int(self._views.row(np.array([index]))[0])
        image = self._images[row]
        return self._augmenter.view(image, self._views.view(int(index))) if self._trained[row] else image

    def __len__(self) -> int:
        return len(self._views)
