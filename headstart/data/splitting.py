"""Which column says the split of each row, if one does: found out while the rows stream by."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from headstart.data.batches import Batch
from headstart.data.profile import RowSplits
from headstart.data.repeats import SPLIT_CODES
from headstart.specs.labels import normal_label


class SplitFinder:
    """The first column that, in the first rows, holds nothing but the names of splits, for as long as that is so."""

    def __init__(self) -> None:
        self._name: str | None = None
        self._begun = self._failed = False
        self._seen: Counter[str] = Counter()

    @property
    def column(self) -> str | None:
        """Its name, once all rows were seen; a column of one split divides nothing."""
        return None if self._failed or len(self._seen) < 2 else self._name

    def splits(self, batch: Batch) -> RowSplits | None:
        """The split of each row of a batch; None when no column says it."""
        if not self._begun and batch.rows:
            self._begun = True
            self._name = next((name for name, cells in zip(batch.names, batch.columns, strict=True) if _says_splits(cells)), None)
        if self._name is None or self._failed:
            return None
        words = _words(batch.columns[batch.names.index(self._name)])
        self._failed = any(word and word not in SPLIT_CODES for word in words)
        if self._failed:
            return None
        self._seen.update(word for word in words if word)
        return RowSplits(words, np.array([SPLIT_CODES.get(word, 0) for word in words], np.uint8))


def _says_splits(cells: Sequence[str | bytes | None]) -> bool:
    words = [word for word in _words(cells) if word]
    return bool(words) and all(word in SPLIT_CODES for word in words)


def _words(cells: Sequence[str | bytes | None]) -> list[str]:
    return [normal_label(cell) if isinstance(cell, str) else "" if cell is None else "?" for cell in cells]
