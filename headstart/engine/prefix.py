"""The frozen prefix f with its pooling, in one dtype: from a batch to one vector for each example, or for each token.

Axes: B batch, T tokens or frames, D width.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from headstart.engine.attention import use_short_attention
from headstart.engine.backbones.families import call, pooled_output
from headstart.engine.boundary import find_layer, run_prefix
from headstart.engine.convolutions import keep_narrow_exact
from headstart.engine.inputs import Batch
from headstart.engine.pooling import pool_with
from headstart.errors import BadInput
from headstart.specs.backbones import Layer

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

_COPIES: WeakKeyDictionary[nn.Module, dict[torch.dtype, nn.Module]] = WeakKeyDictionary()

_PRODUCTS = (nn.Linear, nn.Conv1d, nn.Conv2d)
"""Modules whose weights autocast would cast again in each forward pass."""


class Prefix:
    """f up to and with `layers`, then the pooling of each, side by side.

    16 bits mean autocast: products run in 16 bits; norms, softmax and sums, and with them the stream between layers, stay in float32.
    Measured on MiniLM and an AVX512-bf16 CPU, that is as fast as a module cast throughout and half as far from float32.

    Args:
        layers: at least one; when they are not pooled, each gives as many vectors as the others.
        pooling: as in a spec; `none`: what the layer gives.

    Raises:
        BadInput: `layer_not_found`, or `invalid_field` for a pooling that the backbone cannot do.
    """

    def __init__(self, module: nn.Module, layers: Sequence[Layer], pooling: str, dtype: str) -> None:
        for layer in layers:
            find_layer(module, layer.name)
        self.module = in_dtype(module, DTYPES[dtype])
        self.layers = list(layers)
        self.pooling = pooling
        self.pools = [pool_with(pooling, layer) for layer in layers]
        self.dtype = dtype
        self.device = next(module.parameters()).device

    def features(self, batch: Batch) -> Tensor:
        """One vector for each example, float32 [B, D] on the CPU; without a pooling what the layer gives, [B, T, D] or of its own shape."""
        return self.on_device(batch).cpu()  # waits for the device

    def on_device(self, batch: Batch) -> Tensor:
        """As `features`, left where it was computed."""
        batch = batch.to(self.device)
        reduced = DTYPES[self.dtype] is not torch.float32
        with (
            torch.inference_mode(),
            torch.autocast(self.device.type, dtype=DTYPES[self.dtype] if reduced else None, enabled=reduced, cache_enabled=False),
        ):
            if self.pooling == "pooler":
                return own_vector(self.module, batch).float()
            hidden = run_prefix(self.module, [layer.name for layer in self.layers], batch.tensors)
            vectors = [
                pool(each, batch.mask if "T" in layer.output else None)
                for pool, each, layer in zip(self.pools, hidden, self.layers, strict=True)
            ]
            return vectors[0] if len(vectors) == 1 else torch.cat(vectors, dim=-1)


def own_vector(module: nn.Module, batch: Batch) -> Tensor:
    """The backbone's own vector for each example, [B, D].

    Raises:
        BadInput: `invalid_field`, when it makes none.
    """
    pooled = pooled_output(call(module, batch.tensors))
    if pooled is None:
        raise BadInput("invalid_field", "This backbone has no pooler.", "Pool by 'mean', 'first' or 'max'.")
    return pooled


def in_dtype(module: nn.Module, dtype: torch.dtype) -> nn.Module:
    """`module` for autocast to `dtype`: the weights of its products cast once, every other tensor shared with `module`.

    The answers are those of autocast on `module` itself, but for attention over short sequences and narrow convolutions.
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
            # its own alone: what stands below it, as the parts of a normed weight do, is shared
            for name, tensor in list(part.named_parameters(recurse=False)):
                setattr(part, name, nn.Parameter(tensor.to(dtype), requires_grad=False))
    keep_narrow_exact(cast)
    use_short_attention(cast)
    return cast
