"""When two cells are the same label: one rule for the profile, the plan and the engine."""

from __future__ import annotations

import unicodedata

MAX_LABEL_CHARS = 100
"""Values longer than this are texts, not labels."""


def normal_label(text: str) -> str:
    """`text` without the whitespace around it, in NFC; nothing else is merged: `Cat` and `cat` stay two labels."""
    return unicodedata.normalize("NFC", text.strip())
