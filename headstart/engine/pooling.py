"""Pooling: from one vector for each token to one for each text.

Axes: B batch, T tokens, D width. `mask` [B, T], 1 = keep. Sums are taken in float32 whatever the prefix ran in.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from headstart.errors import BadInput

Pool = Callable[[Tensor, Tensor], Tensor]
"""(hidden [B, T, D], mask [B, T]) → float32 [B, D]."""


def mean(hidden: Tensor, mask: Tensor) -> Tensor:
    # elementwise and not a batched product: autocast would run a product in 16 bits
    keep = mask.to(torch.float32).unsqueeze(-1)  # [B, T, 1]
    return (hidden.float() * keep).sum(dim=1) / keep.sum(dim=1).clamp(min=1.0)


def first(hidden: Tensor, mask: Tensor) -> Tensor:  # noqa: ARG001 - padding is on the right, so the first token is never padding
    return hidden[:, 0].float()


def maximum(hidden: Tensor, mask: Tensor) -> Tensor:
    return hidden.float().masked_fill(mask.unsqueeze(-1) == 0, float("-inf")).amax(dim=1)


def _through_pooler(pooler: nn.Module, hidden: Tensor, mask: Tensor) -> Tensor:  # noqa: ARG001 - it reads the first token alone
    pooled: Tensor = pooler(hidden)
    return pooled.float()


def _pooler(module: nn.Module) -> Pool:
    found = getattr(module, "pooler", None)
    if not isinstance(found, nn.Module):
        raise BadInput("invalid_field", "This backbone has no pooler.", "Pool by 'mean', 'first' or 'max'.")
    return partial(_through_pooler, found)


POOLINGS: dict[str, Callable[[nn.Module], Pool]] = {
    "mean": lambda _module: mean,
    "first": lambda _module: first,
    "max": lambda _module: maximum,
    "pooler": _pooler,
}
"""Name in a spec → what makes the pooling for a backbone."""


def pool_with(name: str, module: nn.Module) -> Pool:
    """The pooling called `name`; hidden states that have one vector for each text already, [B, D], pass as they are.

    Raises:
        BadInput: `invalid_field`, when the backbone has no pooler to pool with.
    """
    pool = POOLINGS[name](module)

    def pool_or_pass(hidden: Tensor, mask: Tensor) -> Tensor:
        return hidden.float() if hidden.dim() == 2 else pool(hidden, mask)

    return pool_or_pass
