"""Entities in tags: which stretches of words a sequence of tags names.

`B-PER` begins an entity, `I-PER` goes on, `E-` (or `L-`) ends, `S-` (or `U-`) is one word alone. What a model says needs not be well-formed: as
in conlleval and in seqeval's default mode, a label that changes begins a new entity, and so does an `I-` or `E-` that follows none.

Source: conlleval.pl of the CoNLL-2000 shared task (Tjong Kim Sang & Buchholz 2000).
"""

from __future__ import annotations

from collections.abc import Sequence

from headstart.planning.tagging import OUTSIDE

Entity = tuple[str, int, int]
"""Label, first word, and the word after the last."""


def entities(tags: Sequence[str]) -> list[Entity]:
    """Of one text, in order."""
    found: list[Entity] = []
    start, label, going = 0, None, False  # `going`: the entity may take in the next word
    for place, tag in enumerate([*tags, OUTSIDE]):
        prefix, _, named = tag.partition("-")
        if label is not None and not (going and prefix in {"I", "E", "L"} and named == label):
            found.append((label, start, place))
            label = None
        if tag == OUTSIDE:
            continue
        if label is None:
            start, label = place, named
        going = prefix in {"B", "I"}
    return found
