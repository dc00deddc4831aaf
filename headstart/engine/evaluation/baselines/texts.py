"""Texts as weights of their words, pairs of words and characters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.sparse import csr_matrix, hstack
from sklearn.feature_extraction.text import TfidfVectorizer

from headstart.engine.inputs.words import Sentence

Text = str | tuple[str, str] | Sentence

MOST_CHARS = 2_000
"""Of a text; what follows adds time and hardly ever an answer."""
MOST_TERMS = 30_000
"""Of words and of characters, the commonest."""


_KINDS: tuple[dict[str, Any], ...] = (
    {"analyzer": "word", "ngram_range": (1, 2), "token_pattern": r"(?u)\b\w+\b"},  # words of one letter too
    {"analyzer": "char_wb", "ngram_range": (2, 3)},
)


def vectors(train: Sequence[Text], tested: Sequence[Text]) -> tuple[Any, Any]:
    """Sparse matrices, float32; terms and their rarity are those of the training texts. A pair is read as one text."""
    given, asked = ([_plain(text) for text in part] for part in (train, tested))
    made = [_terms(given, asked, kind) for kind in _KINDS]
    x, x_tested = (csr_matrix(hstack([pair[part] for pair in made]), dtype=np.float32) for part in (0, 1))
    return x, x_tested


def _terms(train: Sequence[str], tested: Sequence[str], kind: dict[str, Any]) -> tuple[Any, Any]:
    for least in (2, 1):  # a term of one text teaches little, but few texts may have no other
        terms = TfidfVectorizer(min_df=least, max_features=MOST_TERMS, sublinear_tf=True, dtype=np.float32, **kind)
        try:
            return terms.fit_transform(train), terms.transform(tested)
        except ValueError:  # no term is left
            continue
    return csr_matrix(np.zeros((len(train), 1), np.float32)), csr_matrix(np.zeros((len(tested), 1), np.float32))


def _plain(text: Text) -> str:
    if isinstance(text, Sentence):
        return text.text[:MOST_CHARS]
    whole = text if isinstance(text, str) else "\n".join(text)
    return whole[:MOST_CHARS]
