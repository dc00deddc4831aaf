"""Heads: what turns features into logits. One entry in one table for each kind, one file for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headstart.engine.heads import linear, stepped

HeadTensors = dict[str, NDArray[np.float32]]
"""A head's parameters by name, as an artifact keeps them."""


@dataclass(frozen=True, slots=True)
class LabelledRows:
    features: NDArray[np.float32]  # [N, D]
    targets: NDArray[np.int64]  # [N], class numbers


@dataclass(frozen=True, slots=True)
class HeadKind:
    """`solve(train, validation, classes, tick)` gives the tensors (None: only stepped); `logits(tensors, features [N, D])` gives float64 [N, C]."""

    solve: Callable[[LabelledRows, LabelledRows, int, Callable[[], None]], HeadTensors] | None
    logits: Callable[[HeadTensors, NDArray[np.float32]], NDArray[np.float64]]


def _solve_linear(train: LabelledRows, validation: LabelledRows, classes: int, tick: Callable[[], None]) -> HeadTensors:
    solved = linear.solve(train.features, train.targets, validation.features, validation.targets, classes, tick)
    return {"weight": solved.weight, "bias": solved.bias}


def _linear_logits(tensors: HeadTensors, features: NDArray[np.float32]) -> NDArray[np.float64]:
    return linear.logits(tensors["weight"], tensors["bias"], features)


HEADS = {"linear": HeadKind(_solve_linear, _linear_logits), "mlp": HeadKind(None, stepped.logits)}
"""`method.head.type` → the head."""
