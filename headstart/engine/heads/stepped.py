"""Heads that are trained by steps: their start, their logits with gradients, and the same logits in numpy for prediction.

Axes: B batch, D width, C classes. A head's tensors are `<layer>.weight` [out, in] and `<layer>.bias` [out], or plain `weight` and `bias`
when there is one layer.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import erf
from torch import Tensor
from torch.nn import functional

Tensors = dict[str, NDArray[np.float32]]


def initial(width: int, hidden: Sequence[int], outputs: int, generator: torch.Generator) -> Tensors:
    """The start of a head with these hidden layers (none: linear), uniform within 1/√in as torch's Linear has it (He et al. 2015)."""
    sizes = [width, *hidden, outputs]
    made: Tensors = {}
    for number, (size, out) in enumerate(itertools.pairwise(sizes)):
        bound = 1 / math.sqrt(size)
        prefix = f"{number}." if hidden else ""
        made[f"{prefix}weight"] = torch.empty(out, size).uniform_(-bound, bound, generator=generator).numpy()
        made[f"{prefix}bias"] = np.zeros(out, np.float32)
    return made


def forward(tensors: Mapping[str, Tensor], features: Tensor, dropout: float) -> Tensor:
    """Logits [B, C] with gradients; `dropout` is 0 outside of training."""
    layers = _layers(tensors)
    for number, prefix in enumerate(layers):
        features = functional.dropout(features, dropout) if dropout else features
        features = functional.linear(features, tensors[f"{prefix}weight"], tensors[f"{prefix}bias"])
        if number + 1 < len(layers):
            features = functional.gelu(features)
    return features


def logits(tensors: Mapping[str, NDArray[np.float32]], features: NDArray[np.float32]) -> NDArray[np.float64]:
    """[N, C] in float64."""
    layers = _layers(tensors)
    values = features.astype(np.float64)
    for number, prefix in enumerate(layers):
        values = values @ tensors[f"{prefix}weight"].T.astype(np.float64) + tensors[f"{prefix}bias"].astype(np.float64)
        if number + 1 < len(layers):
            values = 0.5 * values * (1 + erf(values / math.sqrt(2)))
    return values


def outputs(tensors: Mapping[str, NDArray[np.float32]]) -> int:
    """K, the numbers that a head gives."""
    return len(tensors[f"{_layers(tensors)[-1]}bias"])


def in_unit(tensors: Mapping[str, NDArray[np.float32]], unit: tuple[float, float]) -> Tensors:
    """The head that gives scale · y + shift where this one gives y; `unit` is (scale, shift)."""
    scale, shift = unit
    if unit == (1.0, 0.0):
        return dict(tensors)
    last = _layers(tensors)[-1]
    return {
        **tensors,
        f"{last}weight": (tensors[f"{last}weight"] * scale).astype(np.float32),
        f"{last}bias": (tensors[f"{last}bias"] * scale + shift).astype(np.float32),
    }


def _layers(tensors: Mapping[str, object]) -> list[str]:
    if "weight" in tensors:
        return [""]
    return [f"{number}." for number in range(sum(name.endswith("weight") for name in tensors))]
