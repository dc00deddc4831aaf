"""Tags without a look at what stands around a word.

Axes: S sentences, T tokens, C tags.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from headstart.engine.evaluation.baselines import Baseline
from headstart.engine.evaluation.entities import OUTSIDE

Numbers = NDArray[np.int64]


def word_baselines(train: Sequence[tuple[Sequence[str], Numbers]], tested: Sequence[Sequence[str]], tags: Sequence[str]) -> list[Baseline]:
    """`majority`: the commonest tag for all tokens, `O` where there is one; `word`: the commonest tag that the word has in training.

    Args:
        train: tokens and tag numbers [T] of each sentence, −1 without a tag.
        tested: tokens of each sentence.
        tags: in the order of their numbers.
    """
    of_word: dict[str, Counter[int]] = defaultdict(Counter)
    of_all: Counter[int] = Counter()
    for tokens, numbers in train:
        for token, number in zip(tokens, numbers.tolist(), strict=True):
            if number >= 0:
                of_word[token][number] += 1
                of_all[number] += 1
    usual = tags.index(OUTSIDE) if OUTSIDE in tags else _commonest(of_all)
    known = {word: _commonest(counts) for word, counts in of_word.items()}
    flat = [np.full(len(tokens), usual, np.int64) for tokens in tested]
    looked_up = [np.array([known.get(token, usual) for token in tokens], np.int64) for tokens in tested]
    return [
        Baseline("majority", f"Always the tag {tags[usual]}.", flat),
        Baseline(
            "word", f"The commonest tag of each word in {len(train):,} training sentences; {tags[usual]} for one not seen.", looked_up
        ),
    ]


def _commonest(counts: Counter[int]) -> int:
    """Of several alike the lowest."""
    return min(counts, key=lambda number: (-counts[number], number), default=0)
