"""What a backbone's files may say: allow-lists for the configuration and the tokenizer, judged before transformers sees either.

`trust_remote_code=False` is no wall of its own (CVE-2026-4372, CVE-2026-5241: a configuration field named the code to fetch), so a
configuration is rebuilt from keys that the installed configuration class itself declares, with plain and bounded values.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import PreTrainedConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from headstart.engine.backbones.families import FAMILIES
from headstart.engine.backbones.importing import read_json
from headstart.errors import BadInput, listing, quote

MAX_TOKENIZER_BYTES = 64 * 1024 * 1024
MAX_ADDED_TOKENS = 20_000
MAX_VOCABULARY = 4_000_000

_DANGEROUS = re.compile(
    r"trust_remote_code|auto_map|custom_|pipeline|quantization|kernel|backbone|timm|attn_implementation|adapter|peft|_config$"
)
_HARMLESS = frozenset({"_attn_implementation_autoset"})
_UNSUITED = ("is_decoder", "add_cross_attention", "is_encoder_decoder")
_OF_DECODERS = ("is_encoder_decoder",)
"""Said of a whole model; its encoder alone is built."""

_NESTED = frozenset({"rope_parameters", "rope_scaling"})
_WORD = re.compile(r"[A-Za-z0-9_.|+-]{0,64}")
_URL = re.compile(r"^[a-z][a-z0-9+.-]*://|^//", re.IGNORECASE)
_MAX_INTEGER = 4_194_304
_MAX_LAYERS = 512
_MAX_LIST = 1024
_TOKENIZER_TEXTS = frozenset({"bos_token", "cls_token", "eos_token", "mask_token", "pad_token", "sep_token", "unk_token"})
_MAX_SPECIAL = 64


def check_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a `config.json` that describes the network, and nothing else; `model_type` is kept.

    Unknown harmless keys are left out. Refused are keys that name code, kernels, quantisation or another model, and URLs anywhere.

    Raises:
        BadInput: `config_refused`.
    """
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or model_type not in FAMILIES:
        shown = quote(model_type) if isinstance(model_type, str) else "missing"
        raise refuse_config(f"The model type is {shown}.", f"Types that can be used: {listing(sorted(FAMILIES))}.")
    family = FAMILIES[model_type]
    config_class = CONFIG_MAPPING[model_type]
    shared = {field.name for field in dataclasses.fields(PreTrainedConfig)}
    own = {field.name for field in dataclasses.fields(config_class)} - shared
    known = (own | family.keys | set(config_class.attribute_map)) - set(_UNSUITED)
    for key, value in config.items():
        if not (family.decodes and key in _OF_DECODERS):
            _refuse_dangerous(key, value, declared=key in known)
    kept = {key: value for key, value in config.items() if key in known}
    for key, value in kept.items():
        _check_value(key, value)
    return {"model_type": model_type, **kept, **family.settings}


def refuse_config(message: str, hint: str | None = None) -> BadInput:
    """A refusal of what a backbone says about itself."""
    return BadInput("config_refused", message, hint)


def check_tokenizer(path: Path) -> None:
    """Bounds of a `tokenizer.json`: its size, its vocabulary, how many tokens were added.

    Raises:
        BadInput: `tokenizer_refused`.
    """
    if path.stat().st_size > MAX_TOKENIZER_BYTES:
        raise refuse_tokenizer(f"tokenizer.json is larger than {MAX_TOKENIZER_BYTES >> 20} MiB.")
    try:
        tokenizer = json.loads(path.read_bytes(), object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        raise refuse_tokenizer("tokenizer.json is not readable JSON, or names a key or token twice.") from error
    model = tokenizer.get("model") if isinstance(tokenizer, dict) else None
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    if not isinstance(vocabulary, (dict, list)) or not 0 < len(vocabulary) <= MAX_VOCABULARY:
        raise refuse_tokenizer(f"tokenizer.json has no vocabulary, or one of more than {MAX_VOCABULARY} tokens.")
    added = tokenizer.get("added_tokens") or []
    if not isinstance(added, list) or len(added) > MAX_ADDED_TOKENS:
        raise refuse_tokenizer(f"tokenizer.json adds more than {MAX_ADDED_TOKENS} tokens.")


def check_tokenizer_config(config: Mapping[str, Any], special: Mapping[str, Any]) -> dict[str, Any]:
    """What may reach the tokenizer beside its `tokenizer.json`: the special tokens' texts, the longest input, the padding side.

    Chat templates, class names and all other keys are left out.

    Args:
        config: `tokenizer_config.json`, or empty.
        special: `special_tokens_map.json`, or empty; the configuration wins.

    Raises:
        BadInput: `tokenizer_refused`.
    """
    kept: dict[str, Any] = {}
    for key, value in {**special, **config}.items():
        text = value.get("content") if isinstance(value, dict) else value
        if key in _TOKENIZER_TEXTS and text is not None:
            if not isinstance(text, str) or not 0 < len(text) <= _MAX_SPECIAL:
                raise refuse_tokenizer(f"The tokenizer's {key} is not a short text.")
            kept[key] = text
    longest = config.get("model_max_length")
    if isinstance(longest, (int, float)) and not isinstance(longest, bool) and 1 <= longest <= _MAX_INTEGER:
        kept["model_max_length"] = int(longest)
    if config.get("padding_side") in {"left", "right"}:
        kept["padding_side"] = config["padding_side"]
    return kept


def refuse_tokenizer(message: str, hint: str | None = None) -> BadInput:
    """A refusal of a backbone's tokenizer."""
    return BadInput("tokenizer_refused", message, hint or "Save the backbone again with a current transformers.")


def read_config(folder: Path) -> dict[str, Any]:
    """`check_config` of the `config.json` in `folder`."""
    return check_config(read_json(folder / "config.json"))


def _refuse_dangerous(key: str, value: Any, *, declared: bool) -> None:  # noqa: ANN401 (a JSON value)
    if key in _HARMLESS or value is None or value is False:
        return
    if not declared and _DANGEROUS.search(key):
        raise refuse_config(
            f"config.json has the key {quote(key)}.", "Keys that name code, kernels, quantisation or another model are refused."
        )
    if key in _UNSUITED:
        raise refuse_config(f"config.json sets {quote(key)}.", "Only encoders can be used.")
    if isinstance(value, dict) and ("model_type" in value or "auto_map" in value):
        raise refuse_config(f"config.json holds another configuration, in {quote(key)}.", "Nested configurations are refused.")
    if _holds_url(value):
        raise refuse_config(f"config.json holds an address, in {quote(key)}.", "Nothing is ever fetched for a backbone.")


def _holds_url(value: Any, depth: int = 4) -> bool:  # noqa: ANN401 (a JSON value)
    if isinstance(value, str):
        return _URL.search(value) is not None
    if depth > 0 and isinstance(value, (list, dict)):
        return any(_holds_url(item, depth - 1) for item in (value.values() if isinstance(value, dict) else value))
    return False


def _check_value(key: str, value: Any) -> None:  # noqa: ANN401 (a JSON value)
    if not _is_plain(value, nested=key in _NESTED):
        raise refuse_config(f"config.json has a value for {quote(key)} that is not plain or out of bounds.")
    if key in {"num_hidden_layers", "n_layers"} and isinstance(value, int) and value > _MAX_LAYERS:
        raise refuse_config(f"config.json asks for more than {_MAX_LAYERS} layers.")


def _is_plain(value: Any, *, nested: bool, depth: int = 2) -> bool:  # noqa: ANN401 (a JSON value)
    if value is None or isinstance(value, bool):
        return True
    if isinstance(value, (int, float)):
        return abs(value) <= _MAX_INTEGER  # false for NaN and the infinities too
    if isinstance(value, str):
        return _WORD.fullmatch(value) is not None
    if depth == 0 or len(value) > _MAX_LIST:
        return False
    if isinstance(value, list):
        return all(_is_plain(item, nested=False, depth=depth - 1) for item in value)
    return nested and all(_WORD.fullmatch(name) and _is_plain(item, nested=True, depth=depth - 1) for name, item in value.items())


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("duplicate key")
    return found
