"""What is usual for a family of backbones, as the library `peft` knows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from peft.utils import constants

_TABLES: Mapping[str, Mapping[str, Any]] = {
    "lora": constants.TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING,
    "ia3": constants.TRANSFORMERS_MODELS_TO_IA3_TARGET_MODULES_MAPPING,
    "ia3-feedforward": constants.TRANSFORMERS_MODELS_TO_IA3_FEEDFORWARD_MODULES_MAPPING,
}


def adapter_targets(model_type: str, linear: Sequence[str]) -> dict[str, list[str]]:
    """The modules among `linear` that adapters usually stand beside, by kind of adapter; a kind without any is left out.

    Low-rank kinds have one entry, `lora`. `ia3-feedforward` holds the modules whose inputs are scaled, all in `ia3` too.
    """
    found = {kind: _matched(table.get(model_type), linear) for kind, table in _TABLES.items()}
    return {kind: names for kind, names in found.items() if names}


def _matched(ends: object, linear: Sequence[str]) -> list[str]:
    """The names that are, or end with, one of `ends`; a few families of decoders have an expression there, which says nothing here."""
    if not isinstance(ends, list):
        return []
    return [name for name in linear if any(name == end or name.endswith(f".{end}") for end in ends)]
