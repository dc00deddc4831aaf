"""The frozen prefix f with its pooling, in one dtype: from a padded batch to one vector for each text.

Axes: B batch, T tokens, D width.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from headstart.engine.attention import use_short_attention
from headstart.engine.boundary import find_layer, run_prefix
from headstart.engine.pooling import pool_with

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

_COPIES: WeakKeyDictionary[nn.Module, dict[torch.dtype, nn.Module]] = WeakKeyDictionary()

_PRODUCTS = (nn.Linear, nn.Conv1d, nn.Conv2d)
"""Modules whose weights autocast would cast again in each forward pass."""


class Prefix:
    """f up to and with `layer`, then the pooling.

    16 bits mean autocast: products run in 16 bits; norms, softmax and sums, and with them the stream between layers, stay in float32.
    Measured on MiniLM and an AVX512-bf16 CPU, that is as fast as a module cast throughout and half as far from float32.

    Raises:
        BadInput: `layer_not_found`, or `invalid_field` for a pooling that the backbone cannot do.
    """

    def __init__(self, module: nn.Module, layer: str, pooling: str | None, dtype: str) -> None:
        find_layer(module, layer)
        self.module = in_dtype(module, DTYPES[dtype])
        self.layer = layer
        self.pool = None if pooling is None else pool_with(pooling, self.module)
        self.dtype = dtype
        self.device = next(module.parameters()).device

    def features(self, batch: Mapping[str, Tensor]) -> Tensor:
        """One vector for each text, float32 [B, D] on the CPU; without a pooling one for each token, [B, T, D]."""
        batch = {name: tensor.to(self.device) for name, tensor in batch.items()}
        reduced = DTYPES[self.dtype] is not torch.float32
        with (
            torch.inference_mode(),
            torch.autocast(self.device.type, dtype=DTYPES[self.dtype] if reduced else None, enabled=reduced, cache_enabled=False),
        ):
            hidden = run_prefix(self.module, self.layer, batch)
            return (hidden.float() if self.pool is None else self.pool(hidden, batch["attention_mask"])).cpu()


def in_dtype(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    """`module` for autocast to `dtype`: the weights of its products cast once, every other tensor shared with `module`.

    The answers are those of autocast on `module` itself, but for attention over short sequences (`engine.attention`).
    One copy is kept for each module and dtype.
    """
    if dtype is torch.float32:
        return module
    copies = _COPIES.setdefault(module, {})
    if dtype not in copies:
        copies[dtype] = _cast_products(module, dtype)
    return copies[dtype]


def _cast_products(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    products = {id(tensor) for part in module.modules() if isinstance(part, _PRODUCTS) for tensor in part.parameters(recurse=False)}
    # what deepcopy finds in its memo it shares, so that the embeddings, often half of a small model, exist once
    shared = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers()) if id(tensor) not in products}
    cast = copy.deepcopy(module, shared)
    for part in cast.modules():
        if isinstance(part, _PRODUCTS):
            part.to(dtype)
    use_short_attention(cast)
    return cast
