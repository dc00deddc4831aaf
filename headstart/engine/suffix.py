"""The trainable suffix g: the backbone above the boundary, fed with what was cached there.

Nothing here knows a model family. The layers up to the boundary are replaced by stand-ins that hand on the cached hidden state, so the
model's own forward pass runs what is above: masks, position biases and norms included. All tensors that do not learn are shared with
the backbone; those that learn are copies of their own.

Axes: B batch, T tokens, D width.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from headstart.engine.boundary import find_layer, first_tensor
from headstart.engine.pooling import pool_with
from headstart.errors import EngineFault, quote
from headstart.specs.plans import INPUT


class Suffix:
    """g from `boundary` to the pooled vector.

    Args:
        module: the bare backbone; it is not changed.
        layers: names of its layers in forward order.
        boundary: one of them, or `INPUT`.
        top: the layer whose output is pooled.
        pooling: as in a spec.
        trainable: names of the parameters that learn.
    """

    def __init__(self, module: nn.Module, layers: Sequence[str], boundary: str, top: str, pooling: str, trainable: Sequence[str]) -> None:
        self.module = adapted(module, {name: module.get_parameter(name).data for name in trainable})
        self.parameters: dict[str, nn.Parameter] = {name: self.module.get_parameter(name) for name in trainable}
        for parameter in self.parameters.values():
            parameter.requires_grad_()
        self.boundary, self._top = boundary, top
        self._pool = pool_with(pooling, self.module)
        self._hidden: Tensor | None = None
        if boundary != INPUT:
            tuples = _gives_tuple(module, layers)
            for name in layers[: layers.index(boundary) + 1]:
                find_layer(self.module, name).forward = self._stand_in(tuples[name])

    def __call__(self, inputs: Tensor, mask: Tensor) -> Tensor:
        """Pooled vectors [B, D], differentiable.

        Args:
            inputs: the boundary's output [B, T, D]; token ids int64 [B, T] when the boundary is the input.
            mask: int64 [B, T], 1 where a token is.
        """
        if self.boundary == INPUT:
            return self._pool(self._run(inputs, mask), mask)
        self._hidden = inputs
        try:
            return self._pool(self._run(torch.zeros_like(mask), mask), mask)
        finally:
            self._hidden = None

    def train(self, *, on: bool) -> None:
        """Dropout of the suffix on or off; the prefix never has any."""
        self.module.train(on)

    def delta(self) -> dict[str, Tensor]:
        """The learnt values by parameter name, float32, detached copies."""
        return {name: parameter.detach().clone() for name, parameter in self.parameters.items()}

    def load(self, delta: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            for name, value in delta.items():
                self.parameters[name].copy_(value)

    def _run(self, ids: Tensor, mask: Tensor) -> Tensor:
        captured: list[Tensor | None] = []
        hook = find_layer(self.module, self._top).register_forward_hook(lambda _m, _i, output: captured.append(first_tensor(output)))
        try:
            self.module(input_ids=ids, attention_mask=mask)
        finally:
            hook.remove()
        if not captured or captured[0] is None:
            raise EngineFault("internal", f"The layer {quote(self._top)} gives no tensor to build on.", "Choose another pooling.")
        return captured[0]

    def _stand_in(self, gives_tuple: bool):  # type: ignore[no-untyped-def] # noqa: ANN202, FBT001 - a module's forward
        def forward(*_args: object, **_kwargs: object) -> object:
            return (self._hidden, None) if gives_tuple else self._hidden

        return forward


def adapted(module: nn.Module, changed: Mapping[str, Tensor]) -> nn.Module:
    """`module` with other values for some parameters: a copy that shares every tensor that is not changed.

    Args:
        changed: values by parameter name; they are copied.
    """
    shared = {id(tensor): tensor for name, tensor in (*module.named_parameters(), *module.named_buffers()) if name not in changed}
    made = copy.deepcopy(module, shared)  # what deepcopy finds in its memo it shares
    for name, value in changed.items():
        owner, _, leaf = name.rpartition(".")
        setattr(made.get_submodule(owner), leaf, nn.Parameter(value.detach().clone().float(), requires_grad=False))
    return made


def _gives_tuple(module: nn.Module, layers: Sequence[str]) -> dict[str, bool]:
    """Whether each layer hands on a tuple, seen in one pass over two tokens."""
    seen: dict[str, bool] = {}

    def look(name: str) -> nn.modules.module._forward_hook_type:  # type: ignore[name-defined]
        return lambda _module, _inputs, output: seen.__setitem__(name, not isinstance(output, Tensor))

    hooks = [find_layer(module, name).register_forward_hook(look(name)) for name in layers]
    try:
        with torch.inference_mode():
            ids = torch.ones((1, 2), dtype=torch.int64, device=next(module.parameters()).device)
            module(input_ids=ids, attention_mask=torch.ones_like(ids))
    finally:
        for hook in hooks:
            hook.remove()
    return {name: seen.get(name, False) for name in layers}
