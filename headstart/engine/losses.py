"""What training lowers: cross-entropy, by class weights, with smoothed labels; or the focal loss.

    loss of a row  =  w[t] · (1 − p[t])^γ · ( (1 − ε) · −log p[t]  +  ε · mean over classes of −log p )

with t the row's class, w the class weights, ε the label smoothing (Szegedy et al. 2016), γ that of the focal loss (Lin et al. 2017, equation 4;
0 otherwise). Weights are scaled so that their mean over the training rows is 1: learning rates and penalties keep their meaning.

Axes: B batch, N rows, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from headstart.specs.jobs import Training
from headstart.specs.labels import normal_label

LEAST = 1e-6
"""The least 1 − p that is raised to γ: below it a power under 1 has no finite slope."""


@dataclass(frozen=True, slots=True)
class Objective:
    """Plain cross-entropy, unless one of these says more."""

    weights: NDArray[np.float32] | None = None  # [C], mean over training rows 1
    smoothing: float = 0.0
    gamma: float = 0.0

    @property
    def name(self) -> str:
        """What its mean over rows is called among the metrics."""
        return "log_loss" if self.weights is None and not self.smoothing and not self.gamma else "loss"

    def of(self, scores: Tensor, targets: Tensor) -> Tensor:
        """The loss of each row, float32 [B]; scores [B, C], targets int64 [B]."""
        losses = functional.cross_entropy(scores, targets, reduction="none", label_smoothing=self.smoothing)
        if self.gamma:
            of_target = functional.log_softmax(scores, dim=1).gather(1, targets[:, None])[:, 0]
            losses = losses * (-torch.expm1(of_target)).clamp(min=LEAST).pow(self.gamma)
        if self.weights is not None:
            losses = losses * torch.from_numpy(self.weights).to(scores.device)[targets]
        return losses


def objective_of(options: Training, classes: Sequence[str], targets: NDArray[np.int64]) -> Objective:
    """What a spec asks for.

    Args:
        classes: labels in the order of their numbers.
        targets: class numbers of the training rows, [N].
    """
    gamma = options.focal_gamma if options.loss == "focal" else 0.0
    return Objective(_weights(options.class_weights, classes, targets), options.label_smoothing, gamma)


def _weights(asked: str | dict[str, float] | None, classes: Sequence[str], targets: NDArray[np.int64]) -> NDArray[np.float32] | None:
    if asked is None:
        return None
    counts = np.bincount(targets, minlength=len(classes))
    if isinstance(asked, str):  # balanced: each class counts as much as another
        weights = 1 / np.maximum(counts, 1)
    else:
        known = {normal_label(label): weight for label, weight in asked.items()}
        weights = np.array([known.get(label, 1.0) for label in classes])
    scaled: NDArray[np.float32] = (weights * len(targets) / (weights * counts).sum()).astype(np.float32)
    return scaled
