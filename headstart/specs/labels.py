"""When two cells are the same label: one rule for the profile, the plan and the engine."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from typing import Any

MAX_LABEL_CHARS = 100
"""Values longer than this are texts, not labels."""


def normal_label(text: str) -> str:
    """`text` without the whitespace around it, in NFC; nothing else is merged: `Cat` and `cat` stay two labels."""
    return unicodedata.normalize("NFC", text.strip())


def listed_labels(cell: str) -> list[str]:
    """The labels of a cell that holds several: a JSON list, or text split at `|`; normal, each once, in their order."""
    told = json_texts(cell)
    labels = (normal_label(label) for label in (cell.split("|") if told is None else told))
    return list(dict.fromkeys(label for label in labels if label))


def json_texts(cell: str) -> list[str] | None:
    """The texts of a cell that is a JSON list of them (numbers and booleans are taken as written); None when it is none."""
    told = _json_list(cell)
    if told is None or not all(isinstance(each, str | int | float) for each in told):
        return None
    if "\\u" in cell and not all(_is_storable(each) for each in told if isinstance(each, str)):
        return None
    return [each if isinstance(each, str) else json.dumps(each) for each in told]


_MOST = 2**53
"""Integers of JSON beyond it are not the same to all who read them (RFC 8259 §6), and are no place in a text."""

Span = tuple[int, int, str]
"""Where a label begins and ends, as code points of the text, the end exclusive; and the label."""


def json_spans(cell: str) -> list[Span] | None:
    """The spans of a cell that is a JSON list of objects with `start`, `end` and `label`, whatever else they hold; None when it is none.

    That they lie within their text is for the caller to see: `0 <= start < end <= len(text)`.
    """
    told = _json_list(cell)
    if told is None:
        return None
    spans = []
    for each in told:
        match each:
            case {"start": int(start), "end": int(end), "label": str(label)} if _is_place(start) and _is_place(end):
                spans.append((start, end, normal_label(label)))
            case _:
                return None
    return spans if all(label and _is_storable(label) for _, _, label in spans) else None


def _is_place(told: int) -> bool:
    return not isinstance(told, bool) and abs(told) <= _MOST


def tag_labels(cell: str) -> list[str] | None:
    """The labels of a cell of tags, as often as they stand there: a JSON list of texts, or of spans. None when it is neither."""
    spans = json_spans(cell)
    if spans:
        return [label for _, _, label in spans]
    told = json_texts(cell)
    return None if told is None else [normal_label(label) for label in told]


_OUTSIDE = "O"
_CHUNK = re.compile(r"([BIMELSU])-(.+)", re.DOTALL)
_CLOSING = frozenset("MELSU")


def scheme_faults(tags: Sequence[str]) -> list[str]:
    """Where the tags of one row break their scheme, in words; none when they follow no scheme of chunks at all, as parts of speech do.

    The scheme is IOB2, or IOBES when a tag begins with `E-` or `S-` (with `L-` or `U-`: BILOU, with `M-`: BMES,
    the same under other letters).

    Source: Ramshaw and Marcus, "Text chunking using transformation-based learning" (1995); Ratinov and Roth, "Design challenges
    and misconceptions in named entity recognition" (2009).
    """
    chunks = [_CHUNK.fullmatch(tag) for tag in tags]
    if not any(chunks):
        return []
    closing = any(chunk is not None and chunk[1] in _CLOSING for chunk in chunks)
    faults, open_label = [], None
    for number, (tag, chunk) in enumerate(zip(tags, chunks, strict=True), 1):
        prefix, label = (chunk[1], chunk[2]) if chunk else ("", None)
        goes_on = prefix in {"I", "M", "E", "L"}
        if chunk is None and tag != _OUTSIDE:
            faults.append(f"tag {number} is neither O nor a label behind B-, I- and the like")
        elif goes_on and label != open_label:
            faults.append(f"tag {number} goes on with a chunk that has not begun")
        if closing and open_label is not None and not (goes_on and label == open_label):
            faults.append(f"tag {number - 1} is the last of a chunk that is not ended")
        open_label = label if prefix in {"B", "I", "M"} else None
    if closing and open_label is not None:
        faults.append(f"tag {len(tags)} is the last of a chunk that is not ended")
    return faults


def _is_storable(text: str) -> bool:
    """An escape in JSON can make half of a surrogate pair, or a NUL, which no database keeps."""
    return not any(character == "\0" or "\ud800" <= character <= "\udfff" for character in text)


def _json_list(cell: str) -> list[Any] | None:
    if not cell.lstrip().startswith("["):
        return None
    try:
        told = json.loads(cell)
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, list) else None
