"""What a column holds, found out while it streams by, in memory that does not grow with the file."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from hashlib import blake2b

from headstart.data.limits import ReadLimits
from headstart.data.problems import Problems
from headstart.errors import quote
from headstart.specs.datasets import ColumnProfile, ColumnType
from headstart.specs.labels import MAX_LABEL_CHARS, normal_label, tag_labels

MAX_VALUES_IN_ALL = 200_000
MAX_HASHES_IN_ALL = 1_000_000
MAX_CODES = 20
"""So many different integers, each seen often, are names of classes; more are quantities."""

_NUMBER = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_INTEGER = re.compile(r"[+-]?[0-9]+")
# A leading zero, a plus or sixteen digits make a code (postcode, telephone, account), which arithmetic would spoil.
_CODE = re.compile(r"-?0[0-9].*|\+.*|-?[0-9]{16,}")


def is_number(text: str) -> bool:
    """Whether `text` is a finite decimal number."""
    return _NUMBER.fullmatch(text) is not None and math.isfinite(float(text))


class Distinct:
    """Counts different values: exactly up to `bound`, then within a fraction of a percent, the same for the same values.

    Source: Flajolet, "On adaptive sampling" (1990): keep the hashes that end in `bits` zeros, one more whenever they are too many.
    """

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._bits = 0
        self._kept: set[int] = set()

    def add(self, values: Iterable[str]) -> None:
        mask = (1 << self._bits) - 1
        hashes = (int.from_bytes(blake2b(value.encode(), digest_size=8).digest()) for value in values)
        self._kept.update(each for each in hashes if not each & mask)
        while len(self._kept) > self._bound:
            self._bits += 1
            mask = (1 << self._bits) - 1
            self._kept = {each for each in self._kept if not each & mask}

    def count(self) -> int:
        return len(self._kept) << self._bits


class ColumnCounter:
    """The running profile of one column. Two values are the same when their normal labels are.

    Args:
        stated: the type the user gave, which wins over the guess.
        keep: different values to count one by one.
        hashes: different values to tell apart exactly.
    """

    def __init__(self, name: str, stated: ColumnType | None, *, keep: int, hashes: int) -> None:
        self.name = name
        self._stated = stated
        self._keep = keep
        self._missing = 0
        self._present = 0
        self._chars = 0
        self.longest = 0
        self._quantity = True
        self._values: Counter[str] | None = Counter()
        self._distinct = Distinct(hashes)

    def add(self, cells: Sequence[str | None], first_row: int, problems: Problems) -> None:
        """Take in consecutive cells, the first of them in data row `first_row`."""
        present = [cell for cell in cells if cell is not None]
        self._missing += len(cells) - len(present)
        if not present:
            return
        self._present += len(present)
        lengths = [len(cell) for cell in present]
        self._chars += sum(lengths)
        self.longest = max(self.longest, *lengths)
        if self._stated == "number":
            self._note_words(cells, first_row, problems)
        labels = [normal_label(cell) for cell in present]
        self._quantity = self._quantity and all(is_number(label) and not _CODE.fullmatch(label) for label in labels)
        self._count(labels if self._stated != "tags" else [label for cell in present for label in tag_labels(cell) or ()])

    def profile(self) -> ColumnProfile:
        return ColumnProfile(
            name=self.name,
            type=self._stated or self._guess(),
            missing=self._missing,
            distinct=min(self._distinct.count(), self._present) if self._values is None else len(self._values),
            longest=self.longest,
            mean_length=self._chars / self._present if self._present else 0.0,
            values=None if self._values is None else dict(self._values),
        )

    def _count(self, labels: list[str]) -> None:
        if self._values is None:
            self._distinct.add(set(labels))
            return
        self._values.update(labels)
        longest = max(map(len, self._values), default=0) if self._stated == "tags" else self.longest
        if len(self._values) > self._keep or longest > MAX_LABEL_CHARS:
            self._distinct.add(self._values)
            self._values = None

    def _note_words(self, cells: Sequence[str | None], first_row: int, problems: Problems) -> None:
        for row, cell in enumerate(cells, first_row):
            if cell is not None and not is_number(cell.strip()):
                message = f"Row {row} has {quote(cell)} in the column {quote(self.name)}, which is not a finite number."
                problems.add("not_a_number", message, row, self.name)

    def _guess(self) -> ColumnType:
        labels = self._values is not None and _few(len(self._values), self._present)
        if self._quantity and self._present:
            codes = labels and len(self._values or ()) <= MAX_CODES and all(_INTEGER.fullmatch(value) for value in self._values or ())
            return "category" if codes else "number"
        return "category" if labels else "text"


def _few(distinct: int, present: int) -> bool:
    """Whether values repeat as labels do: a handful twice each, more of them ten times each."""
    return distinct > 0 and distinct * (2 if distinct <= MAX_CODES else 10) <= present


def column_counters(names: Sequence[str], types: dict[str, ColumnType], limits: ReadLimits) -> list[ColumnCounter]:
    """A counter for each column; together they keep no more for many columns than for few."""
    keep = min(limits.max_kept_values, max(MAX_CODES, MAX_VALUES_IN_ALL // len(names)))
    hashes = hashes_of_each(len(names), limits)
    return [ColumnCounter(name, types.get(name), keep=keep, hashes=hashes) for name in names]


def hashes_of_each(columns: int, limits: ReadLimits) -> int:
    """Different values that are told apart exactly in each of so many columns."""
    return max(limits.max_kept_values, MAX_HASHES_IN_ALL // columns)
