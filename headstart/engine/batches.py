"""From texts to padded batches: token ids, then batches of like length within a token budget.

Axes: B batch, T tokens.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from headstart.errors import EngineFault

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt", "vocab.json", "merges.txt")
"""Files of a backbone that decide how text becomes token ids."""

CHUNK = 4096
"""Texts tokenised at once: what the tokenizer gives for a text takes some thirty times the room of its ids."""

_BACKENDS: WeakKeyDictionary[PreTrainedTokenizerFast, dict[int, Tokenizer]] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Tokens:
    """Token ids of each text, unpadded, and whether its end was cut off."""

    ids: list[NDArray[np.int32]]
    truncated: list[bool]

    @property
    def lengths(self) -> NDArray[np.int64]:
        return np.fromiter((len(row) for row in self.ids), dtype=np.int64, count=len(self.ids))


def tokenise(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], max_tokens: int) -> Tokens:
    """Token ids of each text, special tokens included, cut to `max_tokens`.

    A text without any token (only spaces, for tokenizers that add none of their own) becomes one padding token, so that it has an answer.

    Args:
        tokenizer: a transformers fast tokenizer; it is not changed, so that threads can share it.

    Raises:
        EngineFault: `bad_data`, when the tokenizer fails on these texts.
    """
    backend = _backend(tokenizer, max_tokens)
    fill = [pad_id(tokenizer)]
    tokens = Tokens([], [])
    try:
        for start in range(0, len(texts), CHUNK):
            for row in backend.encode_batch_fast(list(texts[start : start + CHUNK])):
                tokens.ids.append(np.array(row.ids or fill, np.int32))
                tokens.truncated.append(bool(row.overflowing))
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as fault:  # a panic below Python is no `Exception`; it must not end the thread or the process
        raise EngineFault("bad_data", "The backbone's tokenizer failed on one of the texts.", "Leave out unusual texts.") from fault
    return tokens


def pad_id(tokenizer: PreTrainedTokenizerFast) -> int:
    """The id that padding has; some models tell positions from it."""
    return int(tokenizer.pad_token_id) if tokenizer.pad_token_id is not None else 0


def _backend(tokenizer: PreTrainedTokenizerFast, max_tokens: int) -> Tokenizer:
    """A copy of the Rust tokenizer with this limit, made once: setting a limit on the shared one is a race between threads."""
    backends = _BACKENDS.setdefault(tokenizer, {})
    if max_tokens not in backends:
        copy = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
        copy.no_padding()
        copy.enable_truncation(max_tokens, direction=tokenizer.truncation_side)
        backends[max_tokens] = copy
    return backends[max_tokens]


def preprocessing_digest(files: Mapping[str, str], max_tokens: int) -> str:
    """sha256 over what turns a text into token ids.

    Args:
        files: sha256 of each file of the backbone.
    """
    content = {"tokenizer": {name: files[name] for name in TOKENIZER_FILES if name in files}, "max_tokens": max_tokens}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def plan_batches(lengths: NDArray[np.int64], batch_tokens: int) -> list[NDArray[np.int64]]:
    """Which rows run together: rows of like length, so that little is padding; the longest first, so that memory runs out early or never.

    Args:
        lengths: tokens of each row, [N].
        batch_tokens: rows × longest row stays within it; a single row that is longer runs alone.

    Returns:
        Row numbers of each batch; every row once. The same lengths give the same batches.
    """
    order = np.lexsort((np.arange(len(lengths)), -lengths))
    batches = []
    start = 0
    while start < len(order):
        rows = max(1, batch_tokens // max(1, int(lengths[order[start]])))
        batches.append(order[start : start + rows])
        start += rows
    return batches


def collate(ids: Sequence[NDArray[np.int32]], padding: int) -> dict[str, Tensor]:
    """One padded batch: `input_ids` and `attention_mask`, int64 [B, T], padding on the right."""
    longest = max(len(row) for row in ids)
    input_ids = torch.full((len(ids), longest), padding, dtype=torch.int64)
    mask = torch.zeros((len(ids), longest), dtype=torch.int64)
    for number, row in enumerate(ids):
        input_ids[number, : len(row)] = torch.from_numpy(row)
        mask[number, : len(row)] = 1
    return {"input_ids": input_ids, "attention_mask": mask}
