"""The boundary between f and g: run a backbone up to one named module and stop there.

Nothing here knows a model family. A hook takes the output of the named module as it is made and ends the forward pass, so that
what is above costs nothing and what is captured is bit for bit what the whole model would have passed on.

Axes: B batch, T tokens, D width.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from headstart.errors import BadInput, EngineFault, closest, listing, quote


class _Reached(BaseException):
    """Ends the forward pass. Not an `Exception`, so that no model's own `except Exception` can swallow it."""


def run_prefix(module: nn.Module, layer: str, batch: Mapping[str, Tensor]) -> Tensor:
    """The output of `layer` when `module` is run on `batch`, in eval mode, without gradients.

    Several threads may do this on one module at once: each sees its own capture only.

    Args:
        module: the bare model, called with `batch` as keywords.
        layer: a name of `module.named_modules()`; its first tensor is taken when it gives several.
        batch: for text `input_ids` and `attention_mask`, int64 [B, T].

    Returns:
        [B, T, D], or [B, D] for a layer that has one vector for each text (such as a pooler).

    Raises:
        BadInput: `layer_not_found`.
        EngineFault: `internal`, when the forward pass never comes by the layer or it gives no tensor.
    """
    target = find_layer(module, layer)
    caller = threading.get_ident()
    captured: list[Tensor | None] = []

    def stop(_module: nn.Module, _inputs: object, output: object) -> None:
        if threading.get_ident() == caller:
            captured.append(first_tensor(output))
            raise _Reached

    handle = target.register_forward_hook(stop)
    try:
        with torch.inference_mode():
            module(**batch)
    except _Reached:
        if captured[0] is not None:
            return captured[0]
        raise EngineFault("internal", f"The layer {quote(layer)} gives no tensor to build on.", "Choose another layer.") from None
    finally:
        handle.remove()
    raise EngineFault("internal", f"The backbone's forward pass never comes by the layer {quote(layer)}.", "Choose another layer.")


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
