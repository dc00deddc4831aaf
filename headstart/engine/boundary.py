"""The boundary between f and g: run a backbone up to one named module and stop there.

Nothing here knows a model family. A hook takes the output of the named module as it is made and ends the forward pass, so that
what is above costs nothing and what is captured is bit for bit what the whole model would have passed on.

Axes: B batch; after it whatever the layer has: T tokens or frames, H and W of a map, D width.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from headstart.engine.backbones.families import call
from headstart.errors import BadInput, EngineFault, closest, listing, quote


class _Reached(BaseException):
    """Ends the forward pass. Not an `Exception`, so that no model's own `except Exception` can swallow it."""


def run_prefix(module: nn.Module, layers: Sequence[str], tensors: Mapping[str, Tensor]) -> list[Tensor]:
    """The outputs of `layers` when `module` is run on `tensors`, in eval mode, without gradients; nothing runs after the last of them.

    Several threads may do this on one module at once: each sees its own capture only.

    Args:
        module: the bare model.
        layers: names of `module.named_modules()`; the first tensor is taken of one that gives several.
        tensors: for text `input_ids` and `attention_mask`, int64 [B, T].

    Returns:
        For each layer [B, T, D] and the like, or [B, D] for a layer that has one vector for each example (such as a pooler).

    Raises:
        BadInput: `layer_not_found`.
        EngineFault: `internal`, when the forward pass never comes by a layer or it gives no tensor.
    """
    caller = threading.get_ident()
    captured: dict[str, Tensor | None] = {}

    def keep(name: str):  # type: ignore[no-untyped-def] # noqa: ANN202 - a hook
        def hook(_module: nn.Module, _inputs: object, output: object) -> None:
            if threading.get_ident() == caller:
                found = first_tensor(output)
                last = len(captured) + 1 == len(set(layers))
                # what runs on may change it in place
                captured[name] = found if last or found is None else found.clone()
                if last:
                    raise _Reached

        return hook

    handles = [find_layer(module, name).register_forward_hook(keep(name)) for name in dict.fromkeys(layers)]
    try:
        with torch.inference_mode():
            call(module, tensors)
    except _Reached:
        pass
    finally:
        for handle in handles:
            handle.remove()
    return [_captured(captured, name) for name in layers]


def _captured(captured: Mapping[str, Tensor | None], layer: str) -> Tensor:
    if layer not in captured:
        raise EngineFault("internal", f"The backbone's forward pass never comes by the layer {quote(layer)}.", "Choose another layer.")
    found = captured[layer]
    if found is None:
        raise EngineFault("internal", f"The layer {quote(layer)} gives no tensor to build on.", "Choose another layer.")
    return found


def find_layer(module: nn.Module, layer: str) -> nn.Module:
    """The module named `layer`.

    Raises:
        BadInput: `layer_not_found`, with the closest names.
    """
    modules: dict[str, nn.Module] = dict(module.named_modules())
    if layer and layer in modules:
        return modules[layer]
    near = closest(layer, modules, most=3)
    hint = f"Close to it: {listing(near)}." if near else "See the backbone's layers."
    raise BadInput("layer_not_found", f"The backbone has no layer {quote(layer)}.", hint)


def first_tensor(output: object) -> Tensor | None:
    """Layers give a tensor, a tuple whose first is the hidden state, or one of transformers' ordered outputs."""
    if isinstance(output, Mapping):
        output = next(iter(output.values()), None)
    elif isinstance(output, tuple | list):
        output = output[0] if output else None
    return output if isinstance(output, Tensor) else None


def with_first(output: Any, first: Tensor) -> Any:  # noqa: ANN401 - whatever a layer gives
    """`output` with `first` in the place of its first tensor."""
    if isinstance(output, Mapping):
        name = next(iter(output))
        return type(output)(**{**output, name: first})
    if isinstance(output, tuple | list):
        return type(output)((first, *output[1:]))
    return first
