"""Answers for words: what is to be learnt of them, and which vectors and rows go with them. For other answers a row is one vector.

Axes: N rows, W words of all rows in order, F numbers of extra columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from headstart.engine.inputs.words import Sentence, spread
from headstart.specs.tasks import Reads

Numbers = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """The words of some texts.

    Attributes:
        counts: how many each text has, [N].
        seen: whether the backbone reads each, [W]; the others are cut off, or give no token.
    """

    sentences: Sequence[Sentence]
    counts: Numbers
    seen: Bools

    @classmethod
    def of(cls, sentences: Sequence[Sentence]) -> Words:
        """All of them seen."""
        counts = np.fromiter((len(each.places) for each in sentences), np.int64, len(sentences))
        return cls(sentences, counts, np.ones(int(counts.sum()), np.bool_))

    def __len__(self) -> int:
        """Texts."""
        return len(self.sentences)

    def __getitem__(self, rows: Numbers) -> Words:
        return Words([self.sentences[row] for row in rows], self.counts[rows], self.seen[spread(self.counts, rows)])

    def with_seen(self, seen: Bools) -> Words:
        """The same when the backbone reads these alone."""
        return replace(self, seen=seen)


def by_text(values: NDArray[Any], words: Words) -> list[NDArray[Any]]:
    """What is known of each word, [W, …], in a piece for each text."""
    return np.split(values, np.cumsum(words.counts)[:-1]) if len(words) else []


@dataclass(frozen=True, slots=True, eq=False)
class OfWords:
    """What a head gives for words, [W, C]."""

    logits: NDArray[np.float64]
    words: Words


@dataclass(frozen=True, slots=True, eq=False)
class Tagged:
    """A tag for each word.

    Attributes:
        numbers: of the tags, [W]; −1 where a word has none.
        tags: by their numbers.
        amiss: what was wrong with tags, in words, and how many rows have it.
    """

    numbers: Numbers
    words: Words
    tags: Sequence[str]
    amiss: Mapping[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        """Rows."""
        return len(self.words)

    def __getitem__(self, rows: Numbers | slice) -> Tagged:
        places = np.arange(len(self))[rows] if isinstance(rows, slice) else rows
        return replace(self, numbers=self.numbers[spread(self.words.counts, places)], words=self.words[places])

    @property
    def teaches(self) -> Bools:
        """Which words there is something to learn of, [W]."""
        there: Bools = (self.numbers >= 0) & self.words.seen
        return there

    def with_seen(self, seen: Bools) -> Tagged:
        """The same when the backbone reads these words alone."""
        return replace(self, words=self.words.with_seen(seen))


Answers = NDArray[Any] | Tagged
"""What is to be learnt of each row, [N] or [N, C], or of each word, as its kind encodes it."""


def reads(targets: Answers) -> Reads:
    """Whose vectors a head with these targets reads."""
    return "words" if isinstance(targets, Tagged) else "example"


def asked(targets: Answers, labelled: Bools, rows: Numbers) -> tuple[NDArray[Any], Bools]:
    """What each vector of these rows stands for, and whether it is to be learnt from.

    Args:
        labelled: whether a row has an answer, [N].
    """
    if isinstance(targets, Tagged):
        places = spread(targets.words.counts, rows)
        numbers = targets.numbers[places]
        return numbers, (numbers >= 0) & targets.words.seen[places]
    return targets[rows], labelled[rows]


def for_each(values: NDArray[Any], targets: Answers, rows: Numbers) -> NDArray[Any]:
    """What stands beside each row, [N, …], for each vector of these rows."""
    return values[np.repeat(rows, targets.words.counts[rows])] if isinstance(targets, Tagged) else values[rows]
