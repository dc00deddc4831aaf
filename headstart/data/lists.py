"""What the cells of a column hold when they are lists: labels, words, tags; found out while they stream by."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Mapping, Sequence
from hashlib import blake2b

import numpy as np

from headstart.data.distinct import Distinct, few
from headstart.data.spreads import Spread
from headstart.specs.datasets import ColumnType, Quantiles
from headstart.specs.labels import MAX_LABEL_CHARS, json_texts, listed_labels, scheme_faults, tag_labels

MOST = 0.9
"""The share of the cells that have to be lists before a column is taken for one of lists."""
FEWEST_PIPED = 2
PIPED = 0.01
"""The share of the cells that have to hold a `|`, with labels on both sides of it: one `|` in prose is none."""
MAX_KEPT_FAULTS = 100


class ListCounter:
    """The running profile of the lists in one column.

    Args:
        stated: the type the user gave; without one, a column is followed for as long as it may turn out to be one of lists.
        keep: different labels to count one by one.
        hashes: different labels to tell apart exactly, in a column that is stated to have some.

    Attributes:
        labels: how often each label is there, once a cell for categories, as often as it stands there for others; None: too many, or too long.
        faults: the first rows whose tags break their scheme, each with the words for it.
        fault_count: all of them.
    """

    def __init__(self, stated: ColumnType | None, *, keep: int, hashes: int) -> None:
        self.labels: Counter[str] | None = Counter()
        self.faults: list[tuple[int, str]] = []
        self.fault_count = 0
        self._stated = stated
        self._keep = keep
        self._present = self._json = self._quoted = self._piped = self._longest = 0
        self._repeating = False
        self._followed = stated in {None, "tokens", "tags"}
        self._lengths = blake2b(digest_size=16)
        self._items = Spread(whole=True)
        self._distinct = Distinct(hashes)

    def add(self, cells: Sequence[str | None], counts: Mapping[str, int], rows: Sequence[int]) -> None:
        """Take in some cells; `counts` has each once, with how often it is there."""
        self._present += sum(counts.values())
        if self._followed:
            self._follow(cells, counts, rows)
        if self.labels is not None:
            self._count(counts)
        elif self._stated in {"categories", "tags"}:
            self._distinct.add({label for cell in counts for label in self.labels_of(cell)})

    @property
    def distinct(self) -> int:
        """Different labels."""
        return self._distinct.count() if self.labels is None else len(self.labels)

    @property
    def is_json(self) -> bool:
        """Whether nearly all cells are JSON lists of texts."""
        return self._followed and self._json >= MOST * self._present > 0

    @property
    def is_piped(self) -> bool:
        return self._piped >= max(FEWEST_PIPED, PIPED * self._present)

    @property
    def is_set(self) -> bool:
        """Whether no label ever stands twice in one cell."""
        return not self._repeating

    @property
    def has_few_labels(self) -> bool:
        return self.labels is not None and few(len(self.labels), self.labels.total())

    @property
    def has_words(self) -> bool:
        """Whether most lists hold texts in quotes, and not numbers."""
        return 2 * self._quoted > self._json

    @property
    def is_longer_than_one(self) -> bool:
        return self._longest > 1

    @property
    def lengths_digest(self) -> bytes:
        """The same for columns whose lists have the same lengths row by row."""
        return self._lengths.digest()

    @property
    def items(self) -> Quantiles | None:
        return self._items.quantiles()

    def labels_of(self, cell: str) -> list[str]:
        """The labels of one cell, as `labels` counts them."""
        if self._stated != "categories":
            told = tag_labels(cell)
            if told is not None:
                return told
        return listed_labels(cell)

    def _follow(self, cells: Sequence[str | None], counts: Mapping[str, int], rows: Sequence[int]) -> None:
        told = {cell: labels for cell in counts if (labels := self._list(cell)) is not None}
        self._json += sum(counts[cell] for cell in told)
        self._quoted += sum(counts[cell] for cell in told if '"' in cell)
        if self._stated is None and 2 * self._json < self._present:
            self._followed = False
            return
        sizes = array("q", [-1 if cell is None or cell not in told else len(told[cell]) for cell in cells])
        self._lengths.update(sizes.tobytes())
        sizes_there = np.frombuffer(sizes, np.int64)
        sizes_there = sizes_there[sizes_there >= 0]
        self._items.add(sizes_there.astype(np.float64))
        self._longest = max(self._longest, int(sizes_there.max(initial=0)))
        if self._stated != "tokens":
            self._note_faults(cells, told, rows)

    def _list(self, cell: str) -> list[str] | None:
        return tag_labels(cell) if self._stated == "tags" else json_texts(cell)

    def _note_faults(self, cells: Sequence[str | None], told: Mapping[str, Sequence[str]], rows: Sequence[int]) -> None:
        broken = {cell: faults[0] for cell, tags in told.items() if (faults := scheme_faults(tags))}
        if not broken:
            return
        for row, cell in zip(rows, cells, strict=True):
            if cell is not None and cell in broken:
                self.fault_count += 1
                if len(self.faults) < MAX_KEPT_FAULTS:
                    self.faults.append((row, broken[cell]))

    def _count(self, counts: Mapping[str, int]) -> None:
        assert self.labels is not None  # noqa: S101 - the caller has looked
        for cell, times in counts.items():
            labels = self.labels_of(cell)
            if "|" in cell and len(labels) > 1 and not cell.lstrip().startswith("["):
                self._piped += times
            here = Counter(labels)
            if len(here) < len(labels):
                self._repeating = True
            for label, count in here.items():
                self.labels[label] += times * count
        if len(self.labels) > self._keep or any(len(label) > MAX_LABEL_CHARS for label in self.labels):
            self._distinct.add(self.labels)
            self.labels = None
