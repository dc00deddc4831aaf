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
from headstart.engine.vectors import pieces, through, width_of
from headstart.specs.heads import PrototypeHead

NEVER = -1e6
"""The bias of a class without training rows: it has no mean, and is never the answer."""

SCALES = math.log(1e-4), math.log(1e2)
"""Where s is looked for, in shares of the mean squared distance of a row from its class's mean. The log-loss is convex in 1/s: it has one valley."""


def fit(_head: PrototypeHead, given: Given) -> HeadTensors:
    """`weight` [C, D] and `bias` [C]."""
    train = given.train
    counts = np.bincount(train.targets, minlength=given.outputs)
    means = class_means(train, given.outputs)
    middle = counts @ means / len(train.targets)
    means[counts == 0] = middle
    spread = _spread(train, means, middle)
    rows = given.validation if len(given.validation.targets) >= LEAST_VALIDATION else train
    judged = given.keep((piece for _, piece in pieces(rows.features)), width_of(rows.features))

    def folded(log_scale: float) -> HeadTensors:
        scale = math.exp(log_scale) * spread
        weight = (means - middle) / scale
        bias = -((means - middle) * (means + middle)).sum(axis=1) / (2 * scale)
        bias[counts == 0] = NEVER
        return {"weight": weight.astype(np.float32), "bias": bias.astype(np.float32)}

    def loss(log_scale: float) -> float:
        given.tick()
        made = folded(log_scale)
        return log_loss(through(lambda piece: logits(made["weight"], made["bias"], piece), judged), rows.targets)

    return folded(float(minimize_scalar(loss, bounds=SCALES, method="bounded", options={"xatol": 0.01}).x))


def class_means(rows: LabelledRows, classes: int) -> NDArray[np.float64]:
    """[C, D]; zeros for a class without rows."""
    sums = np.zeros((classes, width_of(rows.features)))
    for part, piece in pieces(rows.features):
        order = np.argsort(rows.targets[part], kind="stable")
        present, starts = np.unique(rows.targets[part][order], return_index=True)
        sums[present] += np.add.reduceat(piece[order], starts, axis=0, dtype=np.float64)
    return sums / np.maximum(np.bincount(rows.targets, minlength=classes), 1)[:, None]


def _spread(rows: LabelledRows, means: NDArray[np.float64], middle: NDArray[np.float64]) -> float:
    """Mean squared distance of a row from its class's mean; where each row is a mean, that of the means from the middle."""
    spread = float(sum(np.square(piece - means[rows.targets[part]]).sum() for part, piece in pieces(rows.features))) / len(rows.targets)
    between = float(np.square(means - middle).sum(axis=1).mean())
    return max(spread, 1e-6 * between) or 1.0
