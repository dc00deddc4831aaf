"""When two cells are the same label: one rule for the profile, the plan and the engine."""

from __future__ import annotations

import json
import unicodedata

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
    if not cell.lstrip().startswith("["):
        return None
    try:
        told = json.loads(cell)
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, list) or not all(isinstance(each, str | int | float) for each in told):
        return None
    return [each if isinstance(each, str) else json.dumps(each) for each in told]
