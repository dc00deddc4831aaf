"""From labelled spans of a text to a tag for each of its words."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from headstart.engine.inputs.words import Sentence
from headstart.planning.tagging import OUTSIDE
from headstart.specs.labels import Span


def tags_of_spans(sentence: Sentence, spans: Sequence[Span], known: Collection[str], amiss: set[str]) -> list[str] | None:
    """Of each word its tag, in IOBES when `known` has tags of it, else in BIO; None when a span lies outside of the text.

    Args:
        amiss: gets the codes of what is wrong with the row (`headstart.planning.tagging.AMISS`).
    """
    if any(not 0 <= start < end <= len(sentence.text) for start, end, _ in spans):
        amiss.add("span_outside")
        return None
    closing = any(tag.startswith("S-") for tag in known)
    tags = [OUTSIDE] * len(sentence.places)
    behind = free = 0  # the character behind the span before, and the first word that is in no span
    for start, end, label in sorted(spans, key=lambda span: (span[0], -span[1])):
        if start < behind:
            amiss.add("spans_overlap")
            continue
        behind = end
        first = max(int(np.searchsorted(sentence.places[:, 1], start, side="right")), free)
        last = int(np.searchsorted(sentence.places[:, 0], end, side="left"))
        if first >= last:
            amiss.add("span_without_words")
            continue
        if sentence.places[first, 0] < start or sentence.places[last - 1, 1] > end:
            amiss.add("span_cuts_word")
        tags[first:last], free = _tagged(label, last - first, closing=closing), last
    return tags


def _tagged(label: str, words: int, *, closing: bool) -> list[str]:
    if closing and words == 1:
        return [f"S-{label}"]
    tags = [f"B-{label}", *[f"I-{label}"] * (words - 1)]
    return [*tags[:-1], f"E-{label}"] if closing else tags
