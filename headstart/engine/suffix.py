"""The trainable suffix g: the backbone above the boundary, fed with what was cached there.

Nothing here knows a model family. The layers up to the boundary are replaced by stand-ins that hand on the cached hidden state, so the
model's own forward pass runs what is above: masks, position biases and norms included. All tensors that do not learn are shared with
the backbone; those that learn are copies of their own.

Axes: B batch, T tokens or frames, D width.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from headstart.engine.attention import use_short_attention
from headstart.engine.backbones.families import call, family_of
from headstart.engine.boundary import find_layer, first_tensor, with_first
from headstart.engine.convolutions import keep_narrow_exact
from headstart.engine.dropout import use_byte_dropout
from headstart.engine.inputs import Batch
from headstart.engine.pooling import pool_with
from headstart.engine.prefix import own_vector
from headstart.errors import EngineFault, quote
from headstart.specs.backbones import Anatomy, Layer
from headstart.specs.plans import INPUT

_BATCH_NORM = nn.modules.batchnorm._BatchNorm  # noqa: SLF001 - the base of all of them


@dataclass(frozen=True, slots=True)
class Cut:
    """Where a backbone is cut, and how its upper part ends.

    Attributes:
        layers: of the backbone, in forward order.
        boundary: the name of one of them, or `INPUT`.
        top: the layer whose output is pooled.
        pooling: as in a spec.
    """

    layers: Sequence[Layer]
    boundary: str
    top: Layer
    pooling: str

    @property
    def below(self) -> list[Layer]:
        """The layers up to the boundary, which do not run."""
        if self.boundary == INPUT:
            return []
        index = next(layer.index for layer in self.layers if layer.name == self.boundary)
        return [layer for layer in self.layers if layer.index <= index]


def cut_of(anatomy: Anatomy, boundary: str, top: str, pooling: str) -> Cut:
    """A cut by the names of its boundary and of its top layer."""
    return Cut(anatomy.layers, boundary, anatomy.layer(top), pooling)


class Suffix:
    """g from the boundary to the pooled vector; made by `make_suffix`, and by `reduced` of another.

    Attributes:
        parameters: what learns, by name, float32.
        dtype: what it computes in. In 16 bits the gradients come to `parameters` by `collect`, and their values go back by `refresh`.
        tables: names of embedding tables among `parameters` whose gradients are sparse.
    """

    def __init__(
        self, module: nn.Module, cut: Cut, parameters: dict[str, nn.Parameter], dtype: torch.dtype, seen: Mapping[str, object]
    ) -> None:
        self.module, self.cut, self.parameters, self.dtype = module, cut, parameters, dtype
        self.tables: frozenset[str] = frozenset()
        self._computing = {name: module.get_parameter(name).requires_grad_() for name in parameters}
        self._pool = pool_with(cut.pooling, cut.top)
        self._hidden: Tensor | None = None
        self._made: object = None
        self._seen = seen
        self._maker = _maker(module, cut, seen)
        for layer in cut.below:
            find_layer(module, layer.name).forward = self._stand_in(layer)

    def __call__(self, hidden: Tensor | None, batch: Batch) -> Tensor:
        """Pooled vectors [B, D], float32, differentiable, on the suffix's own device.

        Args:
            hidden: the boundary's output, [B, T, D] or of the layer's own shape; None when the boundary is the input.
            batch: the inputs; above a boundary their shapes and mask alone matter.
        """
        batch = batch.to(self.device)
        self._hidden = None if hidden is None else hidden.to(self.device, self.dtype)
        try:
            if self.cut.pooling == "pooler":
                return own_vector(self.module, self._cast(batch)).float()
            return self._pool(self._run(self._cast(batch)), batch.mask if "T" in self.cut.top.output else None)
        finally:
            self._hidden = self._made = None

    def train(self, *, on: bool) -> None:
        """Dropout of the suffix on or off; the prefix never has any, and norms over batches keep what they know."""
        self.module.train(on)
        for part in self.module.modules():
            if isinstance(part, _BATCH_NORM):
                part.eval()

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

    @property
    def computing(self) -> list[Tensor]:
        """What learns, as it computes: in `dtype`, and without the tables."""
        return [parameter for name, parameter in self._computing.items() if name not in self.tables]

    @property
    def device(self) -> torch.device:
        return next(self.module.parameters()).device

    @property
    def reducible(self) -> bool:
        """Whether all of it can run in 16 bits: norms over batches need what they know in float32."""
        return not any(isinstance(part, _BATCH_NORM) for part in self.module.modules())

    def reduced(self, dtype: torch.dtype) -> Suffix:
        """The same suffix, with the same `parameters`, computing in 16 bits throughout.

        Products, norms and the stream between layers are all in `dtype`; what learns is kept and stepped in float32
        (Micikevicius et al. 2018). A third faster than autocast on a CPU, which casts each tensor back and forth.
        """
        below = [layer.name for layer in self.cut.below if layer.name != self._maker]
        shared = {id(tensor): tensor for name in below for tensor in find_layer(self.module, name).parameters()}
        module = copy.deepcopy(self.module, shared)
        for parameter in module.parameters():
            if id(parameter) not in shared:
                parameter.data = parameter.data.to(dtype)
                parameter.requires_grad_(False)  # noqa: FBT003 - torch takes it by position alone
        if self.device.type == "cpu":  # both are quicker there, and there alone
            use_short_attention(module)
            use_byte_dropout(module)
        return Suffix(module, self.cut, self.parameters, dtype, self._seen)

    def _cast(self, batch: Batch) -> Batch:
        """Inputs that are numbers, in the suffix's own dtype."""
        if self.dtype is torch.float32:
            return batch
        return Batch({name: t.to(self.dtype) if t.is_floating_point() else t for name, t in batch.tensors.items()}, batch.mask, batch.words)

    def _run(self, batch: Batch) -> Tensor:
        captured: list[Tensor | None] = []
        top = find_layer(self.module, self.cut.top.name)
        hook = top.register_forward_hook(lambda _m, _i, output: captured.append(first_tensor(output)))
        try:
            call(self.module, batch.tensors)
        finally:
            hook.remove()
        if not captured or captured[0] is None:
            raise EngineFault("internal", f"The layer {quote(self.cut.top.name)} gives no tensor to build on.", "Choose another pooling.")
        return captured[0]

    def _stand_in(self, layer: Layer) -> Callable[..., object]:
        """What a layer below the boundary does: hand on the cached hidden state where its own output has that shape, else zeros."""
        seen, own = self._seen[layer.name], layer.output == self.cut.below[-1].output
        part = find_layer(self.module, layer.name)
        makes = type(part).forward.__get__(part) if layer.name == self._maker else None
        follows = self._maker is not None and layer.name.rpartition(".")[0] == self._maker.rpartition(".")[0]

        def forward(*args: object, **kwargs: object) -> object:
            assert self._hidden is not None  # noqa: S101 - a suffix above a boundary is fed
            if makes is not None:
                with torch.no_grad():
                    self._made = makes(self._hidden, *args[1:], **kwargs)
            return with_first(self._made if follows else seen, self._hidden if own else self._unread(layer, self._hidden))

        return forward

    def _unread(self, layer: Layer, hidden: Tensor) -> Tensor:
        """Zeros of a layer's own shape for this batch: they are handed on, and end at the next stand-in."""
        boundary = self.cut.below[-1]
        own, probe = first_tensor(self._seen[layer.name]), first_tensor(self._seen[boundary.name])
        assert own is not None  # noqa: S101 - a layer gives a tensor
        assert probe is not None  # noqa: S101
        shape = [len(hidden), *own.shape[1:]]
        if "T" in layer.output and "T" in boundary.output:
            at, in_boundary = layer.output.index("T") + 1, boundary.output.index("T") + 1
            shape[at] = max(1, round(own.shape[at] * hidden.shape[in_boundary] / probe.shape[in_boundary]))
        return hidden.new_zeros(shape)


def make_suffix(module: nn.Module, cut: Cut, trainable: Sequence[str], probe: Batch) -> Suffix:
    """A suffix in float32.

    Args:
        module: the bare backbone; it is not changed, and what does not learn is shared with it.
        trainable: names of the parameters that learn.
        probe: any inputs of one example, to see what each layer hands on.
    """
    seen = _outputs(module, [layer.name for layer in cut.below], probe)
    made = adapted(module, {name: module.get_parameter(name).data for name in trainable})
    keep_narrow_exact(made)  # it may run under autocast
    return Suffix(made, cut, {name: made.get_parameter(name) for name in trainable}, torch.float32, seen)


def adapted(module: nn.Module, changed: Mapping[str, Tensor]) -> nn.Module:
    """`module` with other values for some parameters: a copy that shares every tensor that is not changed.

    Args:
        changed: values by parameter name, on any device; they are copied to that of the parameter.
    """
    learns = {id(module.get_parameter(name)) for name in changed}
    shared = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers()) if id(tensor) not in learns}
    made = copy.deepcopy(module, shared)  # what deepcopy finds in its memo it shares
    # a tensor that has several names, as tied tables have, keeps them all
    names: dict[int, list[str]] = {}
    for name, tensor in made.named_parameters(remove_duplicate=False):
        names.setdefault(id(tensor), []).append(name)
    for name, value in changed.items():
        before = made.get_parameter(name)
        parameter = nn.Parameter(value.detach().to(before.device, torch.float32, copy=True), requires_grad=False)
        for each in names[id(before)]:
            owner, _, leaf = each.rpartition(".")
            setattr(made.get_submodule(owner), leaf, parameter)
    return made


def _outputs(module: nn.Module, layers: Sequence[str], probe: Batch) -> dict[str, object]:
    """What each layer gives, seen in one pass over one example."""
    seen: dict[str, object] = {}

    def look(name: str) -> Any:  # noqa: ANN401 - a hook
        return lambda _module, _inputs, output: seen.__setitem__(name, output)

    hooks = [find_layer(module, name).register_forward_hook(look(name)) for name in layers]
    try:
        with torch.inference_mode():
            call(module, probe.to(next(module.parameters()).device).tensors)
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def _maker(module: nn.Module, cut: Cut, seen: Mapping[str, object]) -> str | None:
    """The block below the boundary that makes something for all later ones, if the family has such a one."""
    if not family_of(module).hands_on:
        return None
    blocks = [layer.name for layer in cut.below if layer.name.endswith(".0") and isinstance(seen[layer.name], tuple)]
    return blocks[0] if blocks else None
