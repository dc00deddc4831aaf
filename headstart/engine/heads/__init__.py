"""Heads: what turns features into logits. One entry in one table for each kind, one file for each."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from headstart.engine.heads import knn, linear, prototype, stepped
from headstart.engine.heads.kinds import Given, HeadKind, HeadTensors, LabelledRows
from headstart.specs.heads import LinearHead, MlpHead

__all__ = ["HEADS", "Given", "HeadKind", "HeadTensors", "LabelledRows"]


def _solve_linear(_head: LinearHead, given: Given) -> HeadTensors:
    train, validation = given.train, given.validation
    solved = linear.solve(
        train.features, train.targets, validation.features, validation.targets, given.outputs, given.objective, given.tick, given.keep
    )
    return {"weight": solved.weight, "bias": solved.bias}


def _linear_logits(tensors: HeadTensors, features: NDArray[np.float32]) -> NDArray[np.float64]:
    return linear.logits(tensors["weight"], tensors["bias"], features)


def _start_linear(_head: LinearHead, width: int, outputs: int, generator: torch.Generator) -> HeadTensors:
    return stepped.initial(width, [], outputs, generator)


def _start_mlp(head: MlpHead, width: int, outputs: int, generator: torch.Generator) -> HeadTensors:
    return stepped.initial(width, head.hidden, outputs, generator)


HEADS = {
    "linear": HeadKind(_linear_logits, fit=_solve_linear, start=_start_linear),
    "mlp": HeadKind(stepped.logits, start=_start_mlp),
    "prototype": HeadKind(_linear_logits, fit=prototype.fit),
    "knn": HeadKind(knn.logits, fit=knn.fit),
}
"""`method.head.type` → the head."""
