"""Models of timm: which of its architectures a folder names, and the part of one that gives features."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import load_file
from torch import nn

from headstart.engine.backbones.trust import refuse_config
from headstart.errors import quote

_NAME = re.compile(r"[a-z0-9_]{1,64}")


def is_timm(config: Mapping[str, Any]) -> bool:
    """Whether a `config.json` is timm's."""
    return "architecture" in config and "model_type" not in config


def architecture_of(config: Mapping[str, Any]) -> str:
    """The architecture that a timm `config.json` names; nothing else of it describes the network.

    Raises:
        BadInput: `config_refused`.
    """
    name = config.get("architecture")
    if not isinstance(name, str) or not _NAME.fullmatch(name) or not timm.is_model(name):
        shown = quote(name) if isinstance(name, str) else "missing"
        raise refuse_config(f"timm has no architecture {shown}.", "Save the folder with timm, with its plain architecture name.")
    return name


def build(architecture: str, size: tuple[int, int]) -> nn.Module:
    """The network as its own initialisation makes it, without what comes after the features.

    Args:
        size: height and width of the images it will see.
    """
    # networks of patches have tables for one size; convolutions take any
    sized: dict[str, Any] = {"img_size": size} if timm.models.get_pretrained_cfg_value(architecture, "fixed_input_size") else {}
    module: nn.Module = timm.create_model(architecture, pretrained=False, num_classes=0, **sized)
    _drop_unused(module, _used(architecture, sized, size))
    return module


def load(module: nn.Module, folder: Path) -> list[str]:
    """Give `module` the weights in `folder`, float32; the names that are missing there."""
    tensors: dict[str, torch.Tensor] = {}
    for path in sorted(folder.glob("*.safetensors")):
        tensors.update(load_file(path))
    own = module.state_dict()
    found = {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items() if name in own}
    module.load_state_dict(found, strict=False)
    return sorted(name for name in own.keys() - found.keys() if not name.endswith("num_batches_tracked"))  # of no use in eval mode


def _used(architecture: str, sized: Mapping[str, Any], size: tuple[int, int]) -> set[str]:
    """Names of the modules that run on the way to the features, found without weights."""
    ran: set[str] = set()
    with torch.device("meta"):
        module = timm.create_model(architecture, pretrained=False, num_classes=0, **sized).eval()
        for name, part in module.named_modules():
            part.register_forward_hook(lambda _m, _i, _o, name=name: ran.add(name))
        with torch.no_grad():
            module.forward_features(torch.zeros(1, 3, *size))  # type: ignore[operator] # timm's own
    return ran


def _drop_unused(module: nn.Module, used: set[str]) -> None:
    """Put nothing in the place of children of the top that never run: poolers and what a classifier reads."""
    for name, child in list(module.named_children()):
        if not any(each == name or each.startswith(f"{name}.") for each in used) and any(True for _ in child.parameters()):
            setattr(module, name, nn.Identity())
