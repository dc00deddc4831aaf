"""What a column holds, found out while it streams by, in memory that does not grow with the file."""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from headstart.data.distinct import MAX_CODES, Distinct, few
from headstart.data.languages import LOOKED_AT_CHARS, shares
from headstart.data.limits import ReadLimits
from headstart.data.lists import ListCounter
from headstart.data.repeats import Repeats, hashes_of
from headstart.data.spreads import Spread
from headstart.errors import quote
from headstart.specs.datasets import ColumnProfile, ColumnType
from headstart.specs.labels import MAX_LABEL_CHARS, normal_label

MAX_VALUES_IN_ALL = 200_000
MAX_SPLIT_VALUES_IN_ALL = 20_000
MAX_HASHES_IN_ALL = 1_000_000
MAX_REPEATS_IN_ALL = 4_000_000
MAX_SAMPLE_IN_ALL = 8_000
"""Of all columns together: values counted one by one, those counted by split, hashes of values, rows compared with others, texts
whose language is looked at."""
MAX_KEPT_WORDS = 100

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_INTEGER = re.compile(r"[+-]?[0-9]+")
# A leading zero, a plus or sixteen digits make a code (postcode, telephone, account), which arithmetic would spoil.
_CODE = re.compile(r"-?0[0-9].*|\+.*|-?[0-9]{16,}")
_SOME_WORDS = re.compile(r"[^\W_][\W_]*[^\W_]|[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")


def is_number(text: str) -> bool:
    """Whether `text` is a finite decimal number."""
    return _NUMBER.fullmatch(text) is not None and math.isfinite(float(text))


@dataclass(frozen=True, slots=True)
class RowSplits:
    """Of some rows: the word for the split of each, empty where there is none, and its code, [N]."""

    words: Sequence[str]
    codes: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much one column may keep."""

    values: int
    split_values: int
    hashes: int
    repeats: int
    sample: int


def bounds_of_each(columns: int, limits: ReadLimits) -> Bounds:
    """The same for each of so many columns: together they keep no more for many columns than for few."""
    return Bounds(
        values=min(limits.max_kept_values, max(MAX_CODES, MAX_VALUES_IN_ALL // columns)),
        split_values=max(MAX_CODES, MAX_SPLIT_VALUES_IN_ALL // columns),
        hashes=max(limits.max_kept_values, MAX_HASHES_IN_ALL // columns),
        repeats=max(limits.max_kept_values, MAX_REPEATS_IN_ALL // columns),
        sample=max(4, MAX_SAMPLE_IN_ALL // columns),
    )


class Sample:
    """Every n-th of the texts that stream by, `most` of them at most; n doubles whenever they are too many."""

    def __init__(self, most: int) -> None:
        self.texts: list[str] = []
        self._most = most
        self._every = 1
        self._seen = 0

    def add(self, texts: Sequence[str]) -> None:
        self.texts += [text[:LOOKED_AT_CHARS] for text in texts[-self._seen % self._every :: self._every]]
        self._seen += len(texts)
        while len(self.texts) > self._most:
            self.texts = self.texts[::2]
            self._every *= 2


class ColumnCounter:
    """The running profile of one column. Two values are the same when their normal labels are.

    Args:
        stated: the type the user gave, which wins over the guess.
    """

    def __init__(self, name: str, stated: ColumnType | None, bounds: Bounds) -> None:
        self.name = name
        self.stated = stated
        self.longest = 0
        self.lists = ListCounter(stated, keep=bounds.values, hashes=bounds.hashes)
        self.words: list[tuple[int, str]] = []
        """Where most cells are numbers, the first that are none: row and cell."""
        self._bounds = bounds
        self._missing = self._present = self._chars = self._numbers = self._near_empty = 0
        self._quantity = True
        self._values: Counter[str] | None = Counter()
        self._by_split: dict[str, Counter[str]] | None = {}
        self._distinct = Distinct(bounds.hashes)
        self._lengths = Spread(whole=True)
        self._repeats = Repeats(bounds.repeats)
        self._sample = Sample(bounds.sample)

    def add(self, cells: Sequence[str | None], rows: Sequence[int], splits: RowSplits | None = None) -> None:
        """Take in some cells and the numbers of their rows."""
        places = [place for place, cell in enumerate(cells) if cell is not None]
        present = [cell for cell in cells if cell is not None]
        self._missing += len(cells) - len(present)
        counts = Counter(present)
        self.lists.add(cells, counts, rows)
        if not present:
            return
        self._present += len(present)
        self._measure(present)
        labels = {cell: normal_label(cell) for cell in counts}
        self._note_words(cells, labels, counts, rows)
        self._count(labels, counts)
        if splits is not None and self._by_split is not None:
            self._count_by_split(present, [splits.words[place] for place in places])
        if not self._quantity:
            self._look(present, counts, None if splits is None else splits.codes[places])

    @property
    def missing(self) -> int:
        return self._missing

    @property
    def present(self) -> int:
        return self._present

    @property
    def is_mixed(self) -> bool:
        """Whether most cells are numbers and some are not."""
        return self._present < 2 * self._numbers < 2 * self._present

    @property
    def word_count(self) -> int:
        """Cells that are no numbers."""
        return self._present - self._numbers

    def guess(self) -> ColumnType:
        """The type by this column's own cells; what lists are by their neighbours is told by `guessing`."""
        labels = self._values is not None and few(len(self._values), self._present)
        if self._quantity and self._present:
            codes = labels and len(self._values or ()) <= MAX_CODES and all(_INTEGER.fullmatch(value) for value in self._values or ())
            return "category" if codes else "number"
        if (self.lists.is_json or self.lists.is_piped) and self.lists.has_few_labels and self.lists.is_set:
            return "categories"
        return "category" if labels and not self.lists.is_json else "text"

    def profile(self, kind: ColumnType, *, divided: bool) -> ColumnProfile:
        """What was found of a column of this type; `divided`: a column says the splits."""
        listed = kind in {"categories", "tags"}
        values = self.lists.labels if listed else self._values if kind != "tokens" else None
        distinct = min(self._distinct.count(), self._present) if self._values is None else len(self._values)
        text = kind == "text"
        return ColumnProfile(
            name=self.name,
            type=kind,
            missing=self._missing,
            distinct=self.lists.distinct if listed else distinct,
            longest=self.longest,
            mean_length=self._chars / self._present if self._present else 0.0,
            values=None if values is None else dict(values),
            split_values=self._split_values(listed=listed) if divided and kind in {"category", "categories", "tags"} else None,
            lengths=self._lengths.quantiles() if text else self.lists.items if kind in {"tokens", "tags"} else None,
            languages=shares(self._sample.texts) if text else None,
            near_empty=self._near_empty if text else None,
            duplicates=self._repeats.result(divided=divided) if kind in {"text", "tokens"} else None,
        )

    def _measure(self, present: Sequence[str]) -> None:
        lengths = np.fromiter(map(len, present), np.float64, len(present))
        self._chars += int(lengths.sum())
        self.longest = max(self.longest, int(lengths.max()))
        self._lengths.add(lengths)

    def _note_words(self, cells: Sequence[str | None], labels: dict[str, str], counts: Counter[str], rows: Sequence[int]) -> None:
        numbers = {cell for cell, label in labels.items() if is_number(label)}
        self._numbers += sum(counts[cell] for cell in numbers)
        self._quantity = self._quantity and len(numbers) == len(labels) and not any(map(_CODE.fullmatch, labels.values()))
        if numbers and len(numbers) < len(labels) and len(self.words) < MAX_KEPT_WORDS:
            words = [(row, cell) for row, cell in zip(rows, cells, strict=True) if cell is not None and cell not in numbers]
            self.words += [(row, quote(cell)) for row, cell in words[: MAX_KEPT_WORDS - len(self.words)]]

    def _count(self, labels: dict[str, str], counts: Counter[str]) -> None:
        if self._values is None:
            self._distinct.add(set(labels.values()))
            return
        for cell, times in counts.items():
            self._values[labels[cell]] += times
        if len(self._values) > self._bounds.values or self.longest > MAX_LABEL_CHARS:
            self._distinct.add(self._values)
            self._values = None

    def _count_by_split(self, present: Sequence[str], words: Sequence[str]) -> None:
        assert self._by_split is not None  # noqa: S101 - the caller has looked
        if self._values is None and self.lists.labels is None:
            self._by_split = None
            return
        for split in set(words):
            here = (cell for cell, word in zip(present, words, strict=True) if word == split)
            self._by_split.setdefault(split, Counter()).update(here)
        if sum(map(len, self._by_split.values())) > 3 * self._bounds.split_values:
            self._by_split = None

    def _split_values(self, *, listed: bool) -> dict[str, dict[str, int]] | None:
        if self._by_split is None:
            return None
        found: dict[str, Counter[str]] = {}
        for split, cells in self._by_split.items():
            labels = found.setdefault(split, Counter())
            for cell, times in cells.items():
                for label in self.lists.labels_of(cell) if listed else [normal_label(cell)]:
                    labels[label] += times
        return {split: dict(labels) for split, labels in found.items() if split}

    def _look(self, present: Sequence[str], counts: Counter[str], codes: NDArray[np.uint8] | None) -> None:
        """What only texts are asked for."""
        self._sample.add(present)
        self._near_empty += sum(times for cell, times in counts.items() if not _SOME_WORDS.search(cell))
        digests = {cell: blake2b(_same(cell).encode(), digest_size=8).digest() for cell in counts}
        self._repeats.add(hashes_of(map(digests.__getitem__, present)), np.zeros(len(present), np.uint8) if codes is None else codes)


def _same(text: str) -> str:
    """Texts that differ in case, composition and whitespace alone are the same here."""
    return unicodedata.normalize("NFC", " ".join(text.casefold().split()))
