"""The types of columns, where nobody has stated them: by their cells, and of lists by the lists beside them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from headstart.data.profile import ColumnCounter
from headstart.specs.datasets import ColumnType


def guessed_types(counters: Sequence[ColumnCounter]) -> dict[str, ColumnType]:
    """The type of each column: the stated one; else what its cells and its neighbours make likely.

    Tokens and tags are columns of JSON lists that are equally long row by row, more than one item somewhere: of these the one with the most
    different items is the tokens, and those with few are the tags. Where each list is a set of few labels, all of them are categories.
    """
    types = {counter.name: counter.guess() for counter in counters}
    for group in _equally_long(counters):
        types |= _tokens_and_tags(group)
    return types | {counter.name: counter.stated for counter in counters if counter.stated is not None}


def _tokens_and_tags(group: Sequence[ColumnCounter]) -> dict[str, ColumnType]:
    words = max((each for each in group if each.lists.has_words), key=_different, default=None)
    tags = [each for each in group if each is not words and each.lists.has_few_labels]
    if words is None or not tags:
        return {}
    if all(each.lists.is_set and each.lists.has_few_labels for each in [words, *tags]):
        return {}
    return {words.name: "tokens", **{each.name: "tags" for each in tags}}


def _equally_long(counters: Sequence[ColumnCounter]) -> list[list[ColumnCounter]]:
    groups: dict[bytes, list[ColumnCounter]] = defaultdict(list)
    for counter in counters:
        if counter.stated in {None, "tokens", "tags"} and counter.lists.is_json and counter.lists.is_longer_than_one:
            groups[counter.lists.lengths_digest].append(counter)
    return [group for group in groups.values() if len(group) > 1]


def _different(counter: ColumnCounter) -> float:
    """Different items in the lists of a column, endless where they were too many to count."""
    labels = counter.lists.labels
    return float("inf") if labels is None else len(labels)
