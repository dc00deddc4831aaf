"""Adapters in a backbone, made, run and merged by the library `peft`; the engine trains them as it trains any parameter above the boundary.

A copy of the backbone has them beside its matrix products. Every tensor of the backbone is shared with the copy, and stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from peft import IA3Config, LoHaConfig, LoKrConfig, LoraConfig, PeftConfig, inject_adapter_in_model
from torch import Tensor, nn

from headstart.engine.suffix import adapted
from headstart.errors import EngineFault, quote
from headstart.specs.plans import Adapter


def inject(module: nn.Module, adapter: Adapter, seed: int) -> nn.Module:
    """`module` with adapters in place, which at the start change nothing of what it computes.

    Args:
        module: the bare backbone; it is not changed, and the copy shares all its tensors.
        seed: decides the adapters' random matrices.

    Returns:
        The copy. What learns in it is what `adapter_parameters` gives.
    """
    made = adapted(module, {})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        injected = inject_adapter_in_model(_CONFIGS[adapter.kind](adapter), made)
    assert isinstance(injected, nn.Module)  # noqa: S101 - peft is untyped
    return injected.eval()


def adapter_parameters(module: nn.Module) -> dict[str, nn.Parameter]:
    """The adapters' parameters in what `inject` gave, by name: all that asks for a gradient."""
    return {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}


def merged_weights(module: nn.Module, adapter: Adapter, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """New values for the backbone's own parameters that compute what adapters of these `values` compute beside them.

    Args:
        module: the bare backbone; it is not changed.
        values: by the names of `adapter_parameters`.

    Raises:
        EngineFault: `bad_data`, when there is no module of a target's name, or the adapters have other parameters.
    """
    known = dict(module.named_parameters())
    own = [name for target in adapter.targets for name in (f"{target}.weight", f"{target}.bias") if name in known]
    absent = [target for target in adapter.targets if f"{target}.weight" not in own]
    if absent:
        raise _unfitting(f"{absent[0]}.weight")
    made = inject(adapted(module, {name: known[name].data for name in own}), adapter, seed=0)  # peft changes these in place
    _fill(adapter_parameters(made), values)
    for target in adapter.targets:
        made.get_submodule(target).merge()  # type: ignore[operator] # a method of peft's layers
    merged = {name: _base(made, name).data for name in own}
    return {name: value for name, value in merged.items() if not torch.equal(value, known[name])}


def _fill(parameters: Mapping[str, nn.Parameter], values: Mapping[str, Tensor]) -> None:
    for name in parameters.keys() ^ values.keys():
        raise _unfitting(name)
    with torch.no_grad():
        for name, value in values.items():
            if parameters[name].shape != value.shape:
                raise _unfitting(name)
            parameters[name].copy_(value)


def _unfitting(name: str) -> EngineFault:
    return EngineFault("bad_data", f"The artifact changes {quote(name)}, which the backbone does not have so.", "Run the job again.")


def _base(module: nn.Module, name: str) -> nn.Parameter:
    """A parameter of the backbone in a module that has adapters, by its name in the backbone."""
    owner, _, leaf = name.rpartition(".")
    return module.get_parameter(f"{owner}.base_layer.{leaf}")


def _exactly(names: Sequence[str]) -> str:
    """An expression for these names and no others: in a list, peft takes each as the end of a name."""
    return "|".join(map(re.escape, names))


def _shared(adapter: Adapter, **alpha: float | None) -> dict[str, Any]:
    """Options of every kind that has a rank; `alpha` goes by a kind's own name for it."""
    return {"r": adapter.rank, "target_modules": _exactly(adapter.targets), **alpha}


def _lora(adapter: Adapter) -> PeftConfig:
    return LoraConfig(**_shared(adapter, lora_alpha=adapter.alpha), lora_dropout=adapter.dropout, use_dora=adapter.kind == "dora")


def _loha(adapter: Adapter) -> PeftConfig:
    return LoHaConfig(**_shared(adapter, alpha=adapter.alpha))


def _lokr(adapter: Adapter) -> PeftConfig:
    return LoKrConfig(**_shared(adapter, alpha=adapter.alpha))


def _ia3(adapter: Adapter) -> PeftConfig:
    return IA3Config(target_modules=_exactly(adapter.targets), feedforward_modules=_exactly(adapter.feedforward))


_CONFIGS: Mapping[str, Callable[[Adapter], PeftConfig]] = {"lora": _lora, "dora": _lora, "loha": _loha, "lokr": _lokr, "ia3": _ia3}
