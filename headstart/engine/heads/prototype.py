"""The prototype head: the class whose mean is nearest.

Source: Snell, Swersky & Zemel 2017, "Prototypical Networks for Few-shot Learning", equation 2 with the squared Euclidean distance, on features
that stay as they are. §2.4 there shows that this is a linear head, and so it is kept as one:

    −‖x − c‖² / 2s  =  (c − m)·x / s  −  (c − m)·(c + m) / 2s  +  what is the same for all classes

with m the mean of all rows. Unlike there the distance has a scale, s, because nothing else could make scores of it that mean something: the
one with the least log-loss on the validation rows.

Axes: N rows, D width, C classes.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from headstart.engine.heads.kinds import Given, HeadTensors, LabelledRows
from headstart.engine.heads.linear import LEAST_VALIDATION, logits
from headstart.engine.losses import log_loss
from headstart.specs.heads import PrototypeHead

NEVER = -1e6
"""The bias of a class without training rows: it has no mean, and is never the answer."""

SCALES = math.log(1e-4), math.log(1e2)
"""Where s is looked for, in shares of the mean squared distance of a row from its class's mean. The log-loss is convex in 1/s: it has one valley."""


def fit(_head: PrototypeHead, given: Given) -> HeadTensors:
    """`weight` [C, D] and `bias` [C]."""
    train = given.train
    counts = np.bincount(train.targets, minlength=given.outputs)
    means, middle = class_means(train, given.outputs), train.features.mean(axis=0, dtype=np.float64)
    means[counts == 0] = middle
    spread = _spread(train, means, middle)
    rows = given.validation if len(given.validation.targets) >= LEAST_VALIDATION else train

    def folded(log_scale: float) -> HeadTensors:
        scale = math.exp(log_scale) * spread
        weight = (means - middle) / scale
        bias = -((means - middle) * (means + middle)).sum(axis=1) / (2 * scale)
        bias[counts == 0] = NEVER
        return {"weight": weight.astype(np.float32), "bias": bias.astype(np.float32)}

    def loss(log_scale: float) -> float:
        given.tick()
        made = folded(log_scale)
        return log_loss(logits(made["weight"], made["bias"], rows.features), rows.targets)

    return folded(float(minimize_scalar(loss, bounds=SCALES, method="bounded", options={"xatol": 0.01}).x))


def class_means(rows: LabelledRows, classes: int) -> NDArray[np.float64]:
    """[C, D]; zeros for a class without rows."""
    order = np.argsort(rows.targets, kind="stable")
    present, starts, counts = np.unique(rows.targets[order], return_index=True, return_counts=True)
    means = np.zeros((classes, rows.features.shape[1]))
    means[present] = np.add.reduceat(rows.features[order], starts, axis=0, dtype=np.float64) / counts[:, None]
    return means


def _spread(rows: LabelledRows, means: NDArray[np.float64], middle: NDArray[np.float64]) -> float:
    """Mean squared distance of a row from its class's mean; where each row is a mean, that of the means from the middle."""
    # in pieces: all at once would be a float64 copy of all rows
    pieces = (
        np.square(rows.features[at : at + 4096] - means[rows.targets[at : at + 4096]]).sum() for at in range(0, len(rows.targets), 4096)
    )
    spread = float(sum(pieces)) / len(rows.targets)
    between = float(np.square(means - middle).sum(axis=1).mean())
    return max(spread, 1e-6 * between) or 1.0
