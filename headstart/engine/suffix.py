"""The trainable suffix g: the backbone above the boundary, fed with what was cached there.

Nothing here knows a model family. The layers up to the boundary are replaced by stand-ins that hand on the cached hidden state, so the
model's own forward pass runs what is above: masks, position biases and norms included. All tensors that do not learn are shared with
the backbone; those that learn are copies of their own.

Axes: B batch, T tokens, D width.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from headstart.engine.attention import use_short_attention
from headstart.engine.boundary import find_layer, first_tensor
from headstart.engine.dropout import use_byte_dropout
from headstart.engine.pooling import pool_with
from headstart.errors import EngineFault, quote
from headstart.specs.plans import INPUT


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a backbone is cut, and how its upper part ends.

    Attributes:
        layers: names of its layers in forward order.
        boundary: one of them, or `INPUT`.
        top: the layer whose output is pooled.
        pooling: as in a spec.
    """

    layers: Sequence[str]
    boundary: str
    top: str
    pooling: str

    @property
    def below(self) -> Sequence[str]:
        """The layers up to the boundary, which do not run."""
        return [] if self.boundary == INPUT else self.layers[: self.layers.index(self.boundary) + 1]


class Suffix:
    """g from the boundary to the pooled vector; made by `make_suffix`, and by `reduced` of another.

    Attributes:
        parameters: what learns, by name, float32.
        dtype: what it computes in. In 16 bits the gradients come to `parameters` by `collect`, and their values go back by `refresh`.
        tables: names of embedding tables among `parameters` whose gradients are sparse.
    """

    def __init__(
        self, module: nn.Module, cut: Cut, parameters: dict[str, nn.Parameter], dtype: torch.dtype, tuples: Mapping[str, bool]
    ) -> None:
        self.module, self.cut, self.parameters, self.dtype = module, cut, parameters, dtype
        self.tables: frozenset[str] = frozenset()
        self._computing = {name: module.get_parameter(name).requires_grad_() for name in parameters}
        self._pool = pool_with(cut.pooling, module)
        self._hidden: Tensor | None = None
        self._tuples = tuples
        for name in cut.below:
            find_layer(module, name).forward = self._stand_in(gives_tuple=tuples[name])

    def __call__(self, inputs: Tensor, mask: Tensor) -> Tensor:
        """Pooled vectors [B, D], float32, differentiable.

        Args:
            inputs: the boundary's output [B, T, D]; token ids int64 [B, T] when the boundary is the input.
            mask: int64 [B, T], 1 where a token is.
        """
        if self.cut.boundary == INPUT:
            return self._pool(self._run(inputs, mask), mask)
        self._hidden = inputs.to(self.dtype)
        try:
            return self._pool(self._run(torch.zeros_like(mask), mask), mask)
        finally:
            self._hidden = None

    def train(self, *, on: bool) -> None:
        """Dropout of the suffix on or off; the prefix never has any."""
        self.module.train(on)

    def use_sparse_tables(self) -> None:
        """Let the gradients of embedding tables hold the rows that were read, and no others."""
        tables = {f"{name}.weight": part for name, part in self.module.named_modules() if isinstance(part, nn.Embedding)}
        self.tables = frozenset(tables.keys() & self.parameters.keys())
        for name in self.tables:
            tables[name].sparse = True

    def forget(self) -> None:
        """Drop the gradients."""
        for parameter in self._computing.values():
            parameter.grad = None

    def collect(self) -> None:
        """Bring the gradients of a whole step to `parameters`."""
        if self.dtype is torch.float32:
            return
        for name, parameter in self._computing.items():
            self.parameters[name].grad = None if parameter.grad is None else parameter.grad.float()
            parameter.grad = None

    @torch.no_grad()
    def refresh(self) -> None:
        """Compute with what the last step made of `parameters`."""
        if self.dtype is torch.float32:
            return
        whole = [name for name in self.parameters if name not in self.tables or self.parameters[name].grad is None]
        if whole:
            torch._foreach_copy_([self._computing[name] for name in whole], [self.parameters[name] for name in whole])
        for name in self.parameters.keys() - set(whole):
            gradient = self.parameters[name].grad
            assert gradient is not None  # noqa: S101 - else it is whole
            rows = gradient.coalesce().indices()[0]
            self._computing[name][rows] = self.parameters[name][rows].to(self.dtype)

    def reduced(self, dtype: torch.dtype) -> Suffix:
        """The same suffix, with the same `parameters`, computing in 16 bits throughout.

        Products, norms and the stream between layers are all in `dtype`; what learns is kept and stepped in float32
        (Micikevicius et al. 2018). A third faster than autocast on a CPU, which casts each tensor back and forth.
        """
        module = copy.deepcopy(
            self.module, {id(tensor): tensor for name in self.cut.below for tensor in find_layer(self.module, name).parameters()}
        )
        below = {id(tensor) for name in self.cut.below for tensor in find_layer(module, name).parameters()}
        for parameter in module.parameters():
            if id(parameter) not in below:
                parameter.data = parameter.data.to(dtype)
                parameter.requires_grad_(False)  # noqa: FBT003 - torch takes it by position alone
        use_short_attention(module)
        use_byte_dropout(module)
        return Suffix(module, self.cut, self.parameters, dtype, self._tuples)

    def _run(self, ids: Tensor, mask: Tensor) -> Tensor:
        captured: list[Tensor | None] = []
        hook = find_layer(self.module, self.cut.top).register_forward_hook(lambda _m, _i, output: captured.append(first_tensor(output)))
        try:
            self.module(input_ids=ids, attention_mask=mask)
        finally:
            hook.remove()
        if not captured or captured[0] is None:
            raise EngineFault("internal", f"The layer {quote(self.cut.top)} gives no tensor to build on.", "Choose another pooling.")
        return captured[0]

    def _stand_in(self, *, gives_tuple: bool):  # type: ignore[no-untyped-def] # noqa: ANN202 - a module's forward
        def forward(*_args: object, **_kwargs: object) -> object:
            return (self._hidden, None) if gives_tuple else self._hidden

        return forward


def make_suffix(module: nn.Module, cut: Cut, trainable: Sequence[str]) -> Suffix:
    """A suffix in float32.

    Args:
        module: the bare backbone; it is not changed, and what does not learn is shared with it.
        trainable: names of the parameters that learn.
    """
    tuples = _gives_tuple(module, cut.below)
    made = adapted(module, {name: module.get_parameter(name).data for name in trainable})
    return Suffix(made, cut, {name: made.get_parameter(name) for name in trainable}, torch.float32, tuples)


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
