"""Names of columns, as every format that states them has to give them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from headstart.data.batches import filled
from headstart.data.problems import Problems
from headstart.errors import listing, quote

MAX_NAME_CHARS = 256


def check_names(names: Sequence[str], problems: Problems, place: str = "header", hint: str | None = None) -> None:
    """Raise InvalidDataset unless each column has a name of its own; `place` is where the file states them."""
    empty = [position for position, name in enumerate(names, 1) if filled(name) is None]
    if empty:
        raise problems.refusal("bad_header", f"Column {empty[0]} of the {place} has no name.", hint=hint)
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise problems.refusal("bad_header", f"The {place} names these columns more than once: {listing(twice)}.", hint=hint)
    long = [name for name in names if len(name) > MAX_NAME_CHARS]
    if long:
        raise problems.refusal("bad_header", f"The column name {quote(long[0])} has more than {MAX_NAME_CHARS} characters.", hint=hint)
