"""The words of a text: where they lie, which of a tokenizer's tokens begins each, and what becomes of words that are given as a list.

Axes: W words, T tokens, N texts. Places are code points of the text, ends exclusive.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Places = NDArray[np.int32]
"""Where each word begins and ends, [W, 2]."""

_ALONE = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""Scripts without spaces between words, where each character is a word: Thai, Lao, Burmese, Khmer, kana and ideographs."""
_MARKED = (range(0x20000), range(0xE0100, 0xE01F0))
"""Where the marks lie that belong to the character before them."""


@dataclass(frozen=True, slots=True, eq=False)
class Sentence:
    """A text and its words; `listed`: they were given one by one."""

    text: str
    places: Places
    listed: bool = False

    @property
    def words(self) -> list[str]:
        return [self.text[start:end] for start, end in self.places.tolist()]


def sentence_of_text(text: str) -> Sentence:
    """The words of a text: runs of letters, digits and their marks; characters of scripts without spaces, and all others but space, alone.

    The rule is the project's own and not a tokenizer's, so that spans mean the same over every backbone.
    """
    places = [match.span() for match in _pattern().finditer(text)]
    return Sentence(text, np.array(places, np.int32).reshape(-1, 2))


def sentence_of_words(words: Sequence[str]) -> Sentence:
    """Words as they are given, with one space between them."""
    lengths = np.fromiter(map(len, words), np.int64, len(words))
    starts = np.cumsum(lengths + 1) - (lengths + 1)
    return Sentence(" ".join(words), np.stack([starts, starts + lengths], axis=1).astype(np.int32), listed=True)


def first_tokens(words: Places, tokens: Places) -> NDArray[np.int32]:
    """The first token that shares a character with each word, [W]; −1 where none does: it is cut off, or gives no token.

    Args:
        tokens: where each token begins and ends, [T, 2], ascending; an empty place for those that are not of the text.
    """
    of_text = np.flatnonzero(tokens[:, 1] > tokens[:, 0])
    if not len(of_text) or not len(words):
        return np.full(len(words), -1, np.int32)
    starts, ends = tokens[of_text, 0], np.maximum.accumulate(tokens[of_text, 1])
    first = np.searchsorted(ends, words[:, 0], side="right")  # the first that ends behind the word's beginning
    there = first < len(of_text)
    first = np.minimum(first, len(of_text) - 1)
    there &= (starts[first] < words[:, 1]) & (words[:, 1] > words[:, 0])
    return np.where(there, of_text[first], -1).astype(np.int32)


def spread(words: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Numbers of the words of these rows, in their order, where the words of all rows are counted through.

    Args:
        words: how many each row has, [N].
    """
    counts = words[rows]
    ends = np.cumsum(counts)
    within = np.arange(int(ends[-1]) if len(ends) else 0) - np.repeat(ends - counts, counts)
    return np.repeat((np.cumsum(words) - words)[rows], counts) + within


@lru_cache(maxsize=1)
def _pattern() -> re.Pattern[str]:
    """Made at its first use: Python's own patterns do not know marks."""
    marks = "".join(rf"\U{code:08x}" for part in _MARKED for code in part if unicodedata.category(chr(code))[0] == "M")
    return re.compile(rf"[{_ALONE}][{marks}]*|(?:(?![{_ALONE}])[^\W_][{marks}]*)+|\S[{marks}\u200d]*")
