"""Pooling: from what a layer gives for an example to one vector.

Axes: B batch; T tokens or frames, H and W of a map, D width, in any order that a layer has. `mask` [B, T], 1 = keep; None: all are kept.
Sums are taken in float32 whatever the prefix ran in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from headstart.specs.backbones import Axis, Layer

PLACES = ("T", "H", "W")
"""Axes that pooling takes away."""

Pool = Callable[[Tensor, Tensor | None], Tensor]
"""(hidden [B, …], mask [B, T] or None) → float32 [B, D]."""


def _rows_last(hidden: Tensor, axes: Sequence[Axis]) -> Tensor:
    """[B, places, D] of a hidden state whose axes have these meanings."""
    places = [number for number, axis in enumerate(axes, start=1) if axis in PLACES]
    (width,) = [number for number, axis in enumerate(axes, start=1) if axis == "D"]
    return hidden.permute(0, *places, width).flatten(1, -2) if len(places) > 1 else hidden.permute(0, *places, width)


def mean(hidden: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return hidden.float().mean(dim=1)
    # elementwise and not a batched product: autocast would run a product in 16 bits
    keep = mask.to(torch.float32).unsqueeze(-1)  # [B, T, 1]
    return (hidden.float() * keep).sum(dim=1) / keep.sum(dim=1).clamp(min=1.0)


def first(hidden: Tensor, mask: Tensor | None) -> Tensor:  # noqa: ARG001 - padding is on the right, so the first token is never padding
    return hidden[:, 0].float()


def maximum(hidden: Tensor, mask: Tensor | None) -> Tensor:
    values = hidden.float()
    return (values if mask is None else values.masked_fill(mask.unsqueeze(-1) == 0, float("-inf"))).amax(dim=1)


POOLINGS: dict[str, Pool] = {"mean": mean, "first": first, "max": maximum}
"""Name in a spec → pooling over places; `flatten` keeps every number, `pooler` is the backbone's own, and `none` keeps the places."""


def pool_with(name: str, layer: Layer) -> Pool:
    """The pooling called `name` of what `layer` gives; what is one vector for each example already passes as it is, and so does all with `none`."""
    if name == "none":
        return lambda hidden, _mask: hidden.float()
    if layer.axes == ["D"] or name in {"pooler", "flatten"}:
        return lambda hidden, _mask: hidden.float().flatten(1)
    pool = POOLINGS[name]

    def pooled(hidden: Tensor, mask: Tensor | None) -> Tensor:
        return pool(_rows_last(hidden, layer.axes), mask)

    return pooled
