"""Tiny backbones with random weights and a small WordPiece tokenizer, for tests that need a family rather than a good model."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_MAPPING
from transformers.utils import logging as transformers_logging

MODEL_TYPES = ["bert", "roberta", "distilbert", "electra", "mpnet", "modernbert"]
"""The families that tests go through."""

WIDTH, LAYERS, TOKENS = 32, 3, 64
WORDS = ["good", "bad", "film", "book", "very", "not", "the", "is", "was", "great", "dull", "loved", "hated", "it", "plot", "and", "but"]
SPECIALS = {"cls_token": "[CLS]", "pad_token": "[PAD]", "sep_token": "[SEP]", "unk_token": "[UNK]", "mask_token": "[MASK]"}
PADDING_ID = 1  # RoBERTa's positions begin after it


def make_tiny_backbone(folder: Path, model_type: str = "bert", *, seed: int = 0, **overrides: Any) -> None:
    """Write a backbone of `LAYERS` layers, `WIDTH` wide, for at most `TOKENS` tokens, into `folder`; `overrides` change its configuration."""
    tokenizer = tiny_tokenizer()
    config = CONFIG_MAPPING[model_type](**{**_sizes(model_type), "vocab_size": len(tokenizer), "pad_token_id": PADDING_ID, **overrides})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model_class: Any = MODEL_MAPPING[type(config)]
        model = model_class(config)
    transformers_logging.disable_progress_bar()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Every lower-case word is spelt out when it is not among `WORDS`."""
    letters = string.ascii_lowercase + string.digits + string.punctuation
    entries = [*SPECIALS.values(), *letters, *(f"##{letter}" for letter in letters), *WORDS]
    tokenizer = Tokenizer(models.WordPiece({entry: index for index, entry in enumerate(entries)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = [("[CLS]", entries.index("[CLS]")), ("[SEP]", entries.index("[SEP]"))]
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", "[CLS] $A [SEP] $B [SEP]", ends)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=TOKENS, **SPECIALS)


def _sizes(model_type: str) -> dict[str, Any]:
    if model_type == "distilbert":
        return {"dim": WIDTH, "n_layers": LAYERS, "n_heads": 2, "hidden_dim": 2 * WIDTH, "max_position_embeddings": TOKENS}
    sizes = {"hidden_size": WIDTH, "num_hidden_layers": LAYERS, "num_attention_heads": 2, "intermediate_size": 2 * WIDTH}
    sizes["max_position_embeddings"] = TOKENS + 2 if model_type in {"roberta", "mpnet"} else TOKENS
    if model_type in {"electra", "albert"}:
        sizes["embedding_size"] = WIDTH // 2
    return sizes
