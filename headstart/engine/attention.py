"""Attention over short sequences in 16 bits: two batched products and a softmax in float32.

On a CPU the fused kernel is made for long sequences; up to some 256 tokens this takes a third of its time, and with dropout, where the
fused one falls back to something slow, less. Scores are rounded to 16 bits on their way: 4e-3 from float32 where the fused one is 2e-3, which
does not show in a whole model. transformers calls it by name.

Axes: B batch, H heads, T tokens, D width of a head.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from headstart.engine.dropout import drop

NAME = "headstart-short"
MOST_TOKENS = 256


def use_short_attention(module: nn.Module) -> None:
    """Have `module`, a model of transformers, attend by `attend` where it would by torch's fused kernel."""
    if getattr(getattr(module, "config", None), "_attn_implementation", None) == "sdpa":
        module.set_attn_implementation(NAME)  # type: ignore[operator] # a method of transformers' models


def attend(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    is_causal: bool | None = None,  # noqa: FBT001 - transformers' signature
    **others: Any,  # noqa: ANN401
) -> tuple[Tensor, None]:
    """[B, T, H, D] of query, key and value [B, H, T, D]; what is long, causal or of another build goes to the fused kernel."""
    batch, heads, tokens, width = query.shape
    causal = is_causal if is_causal is not None else getattr(module, "is_causal", False)
    biased = others.get("position_bias") is not None  # T5 and its like add one to the scores
    if tokens > MOST_TOKENS or query.device.type != "cpu" or key.shape != query.shape or causal or biased or query.dtype is torch.float32:
        attended: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, is_causal=is_causal, **others
        )
        return attended
    flat = (batch * heads, tokens, width)
    scores = torch.bmm(query.reshape(flat), key.reshape(flat).transpose(1, 2)).view(batch, heads, tokens, tokens)
    scores = scores.float() * (width**-0.5 if scaling is None else scaling)  # a softmax in 16 bits is less exact, and four times as slow
    if attention_mask is not None:
        scores = scores.masked_fill(~attention_mask, float("-inf")) if attention_mask.dtype is torch.bool else scores + attention_mask
    weights = torch.softmax(scores, dim=-1).to(value.dtype)
    weights = drop(weights, dropout) if dropout else weights
    mixed = torch.bmm(weights.view(batch * heads, tokens, tokens), value.reshape(flat))
    return mixed.view(batch, heads, tokens, width).transpose(1, 2).contiguous(), None


AttentionInterface.register(NAME, attend)
AttentionMaskInterface.register(NAME, sdpa_mask)
