"""The classes a head learns: their order, whether there is enough of each, and which look alike."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

from headstart.errors import BadInput, invalid_field, listing, quote
from headstart.planning.splits import MIN_CLASS_ROWS

_INTEGER = re.compile(r"[+-]?[0-9]+")
MAX_NAMED = 10


def ordered_classes(labels: Mapping[str, int]) -> list[str]:
    """Labels in the order of scores and of the confusion matrix: by number when all are integers, else by text."""
    if all(_INTEGER.fullmatch(label) for label in labels):
        return sorted(labels, key=lambda label: (int(label), label))
    return sorted(labels)


def check_classes(labels: Mapping[str, int], column: str, pointer: str, *, smallest: int) -> None:
    """See that there are two classes or more, each with `smallest` rows or more.

    Raises:
        BadInput: `too_few_classes`; `class_too_small`, which names the classes and their rows.
    """
    if len(labels) < 2:
        raise _too_few(labels, column, pointer)
    small = sorted((label for label, rows in labels.items() if rows < smallest), key=lambda label: (labels[label], label))
    if not small:
        return
    named = ", ".join(f"{quote(label)} ({labels[label]})" for label in small[:MAX_NAMED])
    more = f" and {len(small) - MAX_NAMED:,} more" if len(small) > MAX_NAMED else ""
    which = "A class has" if len(small) == 1 else f"{len(small):,} classes have"
    message = f"{which} fewer than {smallest} rows: {named}{more}."
    hint = f"Each class needs at least {smallest} rows: to train, to validate and to test. Add rows of it, or take these out."
    raise invalid_field(pointer, message, hint, code="class_too_small")


def lookalikes(labels: Mapping[str, int]) -> list[tuple[str, str]]:
    """Pairs of labels that differ only in case, width, or characters that cannot be seen."""
    seen: dict[str, str] = {}
    pairs: list[tuple[str, str]] = []
    for label in sorted(labels):
        folded = "".join(c for c in unicodedata.normalize("NFKC", label) if unicodedata.category(c) != "Cf").casefold().strip()
        if folded in seen:
            pairs.append((seen[folded], label))
        else:
            seen[folded] = label
    return pairs


def _too_few(labels: Mapping[str, int], column: str, pointer: str) -> BadInput:
    found = f"has one class, {listing([quote(label) for label in labels])}" if labels else "is empty in every row"
    return invalid_field(
        pointer, f"The column {quote(column)} {found}.", "Classification needs at least two classes.", code="too_few_classes"
    )


def smallest_class(split_column: str | None) -> int:
    """Rows that a class needs: the user's own split may leave a class out of a part, ours never does."""
    return MIN_CLASS_ROWS if split_column is None else 1
