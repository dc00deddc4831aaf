"""How many different values there are, counted in memory that does not grow with them."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import blake2b

MAX_CODES = 20
"""So many different values are labels when each is there twice; so many integers are names of classes, and more are quantities."""


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


def few(distinct: int, present: int) -> bool:
    """Whether values repeat as labels do: a handful twice each, more of them ten times each."""
    return distinct > 0 and distinct * (2 if distinct <= MAX_CODES else 10) <= present
