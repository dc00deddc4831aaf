"""Entities in tags: which stretches of tokens a sequence of tags names.

A tag is `O`, or a prefix and a type: `B-PER` begins, `I-PER` (or `M-`) goes on, `E-` (or `L-`) ends, `S-` (or `U-`) is one token alone;
so IOB1, IOB2, IOE, BIOES and BILOU are read by one rule. As in conlleval and seqeval, a type that changes begins a new entity, and
an `I-` after `O` does too: what a model wrote needs not be well-formed.

Source: conlleval.pl of the CoNLL-2000 shared task, whose rules seqeval has too (its default mode).
"""

from __future__ import annotations

from collections.abc import Sequence

Entity = tuple[str, int, int]
"""Type, first token, and the token after the last."""

OUTSIDE = "O"


def entities(tags: Sequence[str]) -> list[Entity]:
    """Of one sequence, in order; `B` without a type names entities of the type ''."""
    found: list[Entity] = []
    start, kind = None, ""
    open_ended = False  # whether the entity may go on
    for at, tag in enumerate([*tags, OUTSIDE]):
        prefix, _, of = tag.partition("-")
        goes_on = start is not None and open_ended and prefix in {"I", "M", "E", "L"} and of == kind
        if start is not None and not goes_on:
            found.append((kind, start, at))
            start = None
        if tag == OUTSIDE:
            continue
        if start is None:
            start, kind = at, of
        open_ended = prefix in {"B", "I", "M"}
    return found
