"""What training lowers, by the kind of answer.

One label of C:     loss of a row  =  w[t] · (1 − p[t])^γ · ( (1 − ε) · −log p[t]  +  ε · mean over classes of −log p ),  p = softmax(scores)
Any of C labels:    loss of a row  =  mean over classes of  w[c] · (1 − q[c])^γ · −log q[c],  q[c] = p[c] where the label holds, else 1 − p[c]
A number:           loss of a row  =  (score − (t − mean) / scale)²

with p of any labels the sigmoid, t the row's class or number, w the class weights, ε the label smoothing (Szegedy et al. 2016; of any labels
it moves targets towards ½), γ that of the focal loss (Lin et al. 2017, equation 4; 0 otherwise). Weights are scaled so that their mean over the
training rows is 1: learning rates and penalties keep their meaning. `mean` and `scale` are those of the training rows, so that a head learns
numbers near 1 whatever the unit.

Axes: B batch, N rows, C classes, K numbers that the head gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import expit
from torch import Tensor
from torch.nn import functional

from headstart.specs.jobs import Training
from headstart.specs.labels import normal_label

LEAST = 1e-6
"""The least 1 − p that is raised to γ: below it a power under 1 has no finite slope."""

Floats = NDArray[np.float32]

Held = TypeVar("Held", Tensor, Floats)


AS_IT_IS = 1.0, 0.0
"""The unit of scores that mean what they are."""


class Objective(Protocol):
    """What a head learns by."""

    @property
    def name(self) -> str:
        """What its mean over rows is called among the metrics."""
        ...

    @property
    def unit(self) -> tuple[float, float]:
        """(scale, shift) from what the head learns to what is meant."""
        ...

    def of(self, scores: Tensor, targets: Tensor) -> Tensor:
        """The loss of each row, float32 [B]; scores [B, K], targets as the task encodes them."""
        ...

    def solvable(self, scores: NDArray[np.float32], targets: NDArray[Any]) -> tuple[float, NDArray[np.float32]]:
        """Mean loss of all rows and its slope by their scores [N, K], times N; the scores may be overwritten."""
        ...

    def judge(self, scores: NDArray[np.float64], targets: NDArray[Any]) -> float:
        """Mean loss of rows by which epochs and strengths are chosen: weights count, smoothing and γ do not."""
        ...


@dataclass(frozen=True, slots=True)
class Softmax:
    """Of one label. Plain cross-entropy, unless one of these says more."""

    weights: Floats | None = None  # [C], mean over training rows 1
    smoothing: float = 0.0
    gamma: float = 0.0

    unit: tuple[float, float] = AS_IT_IS

    @property
    def name(self) -> str:
        return _name(self.weights, self.smoothing, self.gamma)

    def of(self, scores: Tensor, targets: Tensor) -> Tensor:
        losses = functional.cross_entropy(scores, targets, reduction="none", label_smoothing=self.smoothing)
        if self.gamma:
            of_target = functional.log_softmax(scores, dim=1).gather(1, targets[:, None])[:, 0]
            losses = losses * (-torch.expm1(of_target)).clamp(min=LEAST).pow(self.gamma)
        if self.weights is not None:
            losses = losses * torch.from_numpy(self.weights).to(scores.device)[targets]
        return losses

    def solvable(self, scores: NDArray[np.float32], targets: NDArray[np.int64]) -> tuple[float, NDArray[np.float32]]:
        rows = np.arange(len(targets))
        scores -= scores.max(axis=1, keepdims=True)
        aimed_at = scores[rows, targets].astype(np.float64)
        if self.smoothing:
            aimed_at = (1 - self.smoothing) * aimed_at + self.smoothing * scores.mean(axis=1, dtype=np.float64)
        np.exp(scores, out=scores)
        sums = scores.sum(axis=1, keepdims=True)
        losses = np.log(sums[:, 0].astype(np.float64)) - aimed_at
        scores /= sums
        scores[rows, targets] -= 1.0 - self.smoothing
        if self.smoothing:
            scores -= self.smoothing / scores.shape[1]
        if self.weights is not None:
            losses *= self.weights[targets]
            scores *= self.weights[targets][:, None]
        return float(losses.mean()), scores

    def judge(self, scores: NDArray[np.float64], targets: NDArray[np.int64]) -> float:
        return log_loss(scores, targets, self.weights)


@dataclass(frozen=True, slots=True)
class Sigmoid:
    """Of any number of labels."""

    weights: Floats | None = None  # [C]
    smoothing: float = 0.0
    gamma: float = 0.0

    unit: tuple[float, float] = AS_IT_IS

    @property
    def name(self) -> str:
        return _name(self.weights, self.smoothing, self.gamma)

    def of(self, scores: Tensor, targets: Tensor) -> Tensor:
        losses = functional.binary_cross_entropy_with_logits(scores, self._aims(targets), reduction="none")
        if self.gamma:
            right = torch.where(targets > 0.5, scores, -scores)
            losses = losses * torch.sigmoid(-right).clamp(min=LEAST).pow(self.gamma)
        if self.weights is not None:
            losses = losses * torch.from_numpy(self.weights).to(scores.device)
        return losses.mean(dim=1)

    def solvable(self, scores: NDArray[np.float32], targets: NDArray[np.float32]) -> tuple[float, NDArray[np.float32]]:
        aims = self._aims(targets)
        slopes = expit(scores) - aims
        if self.weights is not None:
            slopes = slopes * self.weights
        return self._mean(scores, aims), slopes / np.float32(scores.shape[1])

    def judge(self, scores: NDArray[np.float64], targets: NDArray[np.float32]) -> float:
        return self._mean(scores, targets)

    def _mean(self, scores: NDArray[Any], aims: Floats) -> float:
        losses = np.logaddexp(0, scores) - aims * scores
        return float((losses if self.weights is None else losses * self.weights).mean(dtype=np.float64))

    def _aims(self, targets: Held) -> Held:
        return targets * (1 - self.smoothing) + self.smoothing / 2 if self.smoothing else targets


@dataclass(frozen=True, slots=True)
class Squares:
    """Of a number, in units of the training rows' spread."""

    mean: float = 0.0
    scale: float = 1.0
    name: str = "loss"

    @property
    def unit(self) -> tuple[float, float]:
        return self.scale, self.mean

    def of(self, scores: Tensor, targets: Tensor) -> Tensor:
        return (scores[:, 0] - ((targets - self.mean) / self.scale).to(scores.dtype)).square()

    def solvable(self, scores: NDArray[np.float32], targets: NDArray[np.float64]) -> tuple[float, NDArray[np.float32]]:
        errors = scores[:, 0] - ((targets - self.mean) / self.scale).astype(np.float32)
        return float(np.square(errors, dtype=np.float64).mean()), (2 * errors)[:, None]

    def judge(self, scores: NDArray[np.float64], targets: NDArray[np.float64]) -> float:
        return float(np.square(scores[:, 0] - (targets - self.mean) / self.scale).mean())


def _name(weights: Floats | None, smoothing: float, gamma: float) -> str:
    """A mean of cross-entropies is a log-loss; with weights, smoothing or γ it is one no more."""
    return "log_loss" if weights is None and not smoothing and not gamma else "loss"


def log_loss(z: NDArray[np.float64], targets: NDArray[np.int64], class_weights: Floats | None = None) -> float:
    """Mean of −log softmax(z)[target] over rows, by the weights [C] of their classes; z [N, C]."""
    shifted = z - z.max(axis=1, keepdims=True)
    losses = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(targets)), targets]
    return float(losses.mean() if class_weights is None else np.average(losses, weights=class_weights[targets]))


def softmax_objective(options: Training, classes: Sequence[str], targets: NDArray[np.int64]) -> Softmax:
    """What a spec asks for, with one label for each row.

    Args:
        classes: labels in the order of their numbers.
        targets: class numbers of the training rows, [N].
    """
    counts = np.bincount(targets, minlength=len(classes))
    return Softmax(_weights(options, classes, counts), options.label_smoothing, _gamma(options))


def sigmoid_objective(options: Training, classes: Sequence[str], targets: NDArray[np.float32]) -> Sigmoid:
    """What a spec asks for, with any labels for each row; targets [N, C]."""
    counts = targets.sum(axis=0, dtype=np.float64).astype(np.int64)
    return Sigmoid(_weights(options, classes, counts), options.label_smoothing, _gamma(options))


def squared_objective(options: Training, classes: Sequence[str], targets: NDArray[np.float64]) -> Squares:  # noqa: ARG001 - as the others
    """What a spec asks for, with a number for each row; targets [N]."""
    return Squares(float(targets.mean()), float(targets.std()) or 1.0)


def _gamma(options: Training) -> float:
    return options.focal_gamma if options.loss == "focal" else 0.0


def _weights(options: Training, classes: Sequence[str], counts: NDArray[np.int64]) -> Floats | None:
    asked = options.class_weights
    if asked is None:
        return None
    if isinstance(asked, str):  # balanced: each class counts as much as another
        weights = 1 / np.maximum(counts, 1)
    else:
        known = {normal_label(label): weight for label, weight in asked.items()}
        weights = np.array([known.get(label, 1.0) for label in classes])
    scaled: Floats = (weights * counts.sum() / max((weights * counts).sum(), 1e-12)).astype(np.float32)
    return scaled
