"""The linear head: softmax regression with an L2 penalty, solved by L-BFGS.

    minimise over W, b:  mean of −log softmax(W z + b)[target]  +  λ/2 ‖W‖²,   z = (x − mean) / scale

Class weights and smoothed labels (`engine.losses`) leave it convex, and are solved for alike.

Standardisation is folded into the answer, so that a head is one matrix and one bias on the features as they come. λ is the one with the
least validation log-loss on a walk from strong to weak, each solution the start of the next.

Axes: N rows, D width, C classes. Products run in float32, what is summed up in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import fmin_l_bfgs_b
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped] # it has no annotations

STRENGTHS = tuple(float(10.0 ** (-half / 2)) for half in range(9))
"""λ from 1 to 1e-4. On MiniLM features the best lies near 0.1 for 1,400 rows of 2 classes and near 0.001 for 7,000 rows of 77."""
WITHOUT_VALIDATION = 0.1
LEAST_VALIDATION = 20
"""Rows below which the validation loss says more about chance than about λ."""

LEAST_SCALE = 1e-3
"""A feature that varies less than this share of the most varied one is noise of the dtype; it is not blown up to unit variance."""
TOLERANCE = 1e-5
MOST_ITERATIONS = 300

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class LinearHead:
    weight: Floats  # [C, D]
    bias: Floats  # [C]
    strength: float
    """The λ that was taken."""


def solve(
    x: Floats,
    targets: NDArray[np.int64],
    x_validation: Floats,
    targets_validation: NDArray[np.int64],
    classes: int,
    tick: Callable[[], None] = lambda: None,
    *,
    class_weights: Floats | None = None,
    smoothing: float = 0.0,
) -> LinearHead:
    """The head with the best λ. The same input gives the same bits, whatever number of threads the process has.

    Args:
        x: training features, [N, D].
        targets: class numbers, [N].
        x_validation: may be empty; with fewer than `LEAST_VALIDATION` rows λ is fixed.
        tick: called after each step, so that a long solve is seen to live.
        class_weights: what a row of each class counts, [C]; None: all the same. λ is judged by them too.
        smoothing: share of each label that is spread over all classes.
    """
    mean, scale = _standardisation(x)
    z, z_validation = (_standardised(part, mean, scale) for part in (x, x_validation))
    data = _Data(z, targets, classes, tick, None if class_weights is None else class_weights[targets], smoothing)
    # one thread: these products are small, and threads that wait for each other cost more than they bring (measured 10× on a busy machine)
    with threadpool_limits(limits=1):
        if len(targets_validation) >= LEAST_VALIDATION:
            parameters, strength = _walk(data, z_validation, targets_validation, class_weights)
        else:
            parameters, strength = _minimise(data, WITHOUT_VALIDATION, np.zeros(data.size)), WITHOUT_VALIDATION
    weight, bias = _unpack(parameters, classes)
    folded = weight / scale
    return LinearHead(folded.astype(np.float32), (bias - folded @ mean).astype(np.float32), strength)


def logits(weight: Floats, bias: Floats, x: Floats) -> NDArray[np.float64]:
    """[N, C] in float64."""
    return x.astype(np.float64) @ weight.T.astype(np.float64) + bias.astype(np.float64)


def log_loss(z: NDArray[np.float64], targets: NDArray[np.int64], class_weights: Floats | None = None) -> float:
    """Mean of −log softmax(z)[target] over rows, by the weights [C] of their classes; z [N, C]."""
    shifted = z - z.max(axis=1, keepdims=True)
    losses = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(targets)), targets]
    return float(losses.mean() if class_weights is None else np.average(losses, weights=class_weights[targets]))


def _standardisation(x: Floats) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    mean = x.mean(axis=0, dtype=np.float64)
    # in pieces: `std` would make a float64 copy of all rows
    squares = sum((np.square(x[at : at + 4096] - mean).sum(axis=0) for at in range(0, len(x), 4096)), np.zeros(x.shape[1]))
    deviation = np.sqrt(squares / len(x))
    widest = float(deviation.max(initial=0.0))
    return mean, (np.maximum(deviation, LEAST_SCALE * widest) if widest > 0 else np.ones_like(deviation))


def _standardised(x: Floats, mean: NDArray[np.float64], scale: NDArray[np.float64]) -> Floats:
    """A float32 copy, the only one that is made of the rows."""
    z = x - mean.astype(np.float32)
    z /= scale.astype(np.float32)
    return np.ascontiguousarray(z)


def _walk(data: _Data, z_validation: Floats, targets: NDArray[np.int64], class_weights: Floats | None) -> tuple[NDArray[np.float64], float]:
    """From strong to weak, until the validation log-loss rises: it has one valley."""
    best, best_loss, best_strength = np.zeros(data.size), float("inf"), STRENGTHS[0]
    for strength, parameters in _path(data):
        weight, bias = _unpack(parameters, data.classes)
        loss = log_loss(z_validation @ weight.T + bias, targets, class_weights)
        if loss >= best_loss:
            break
        best, best_loss, best_strength = parameters, loss, strength
    return best, best_strength


def _path(data: _Data) -> Iterator[tuple[float, NDArray[np.float64]]]:
    parameters = np.zeros(data.size)
    for strength in STRENGTHS:
        parameters = _minimise(data, strength, parameters)
        yield strength, parameters


def _minimise(data: _Data, strength: float, start: NDArray[np.float64]) -> NDArray[np.float64]:
    found = fmin_l_bfgs_b(
        lambda parameters: data.objective(parameters, strength),
        start,
        factr=TOLERANCE / float(np.finfo(np.float64).eps),
        pgtol=TOLERANCE,
        maxiter=MOST_ITERATIONS,
        callback=lambda _: data.tick(),
    )
    return np.asarray(found[0], dtype=np.float64)


def _unpack(parameters: NDArray[np.float64], classes: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weight [C, D] and bias [C] from [C × (D + 1)]."""
    table = parameters.reshape(classes, -1)
    return table[:, :-1], table[:, -1]


@dataclass(frozen=True, slots=True)
class _Data:
    z: Floats  # [N, D], standardised
    targets: NDArray[np.int64]  # [N]
    classes: int
    tick: Callable[[], None]
    weights: Floats | None = None  # [N]
    smoothing: float = 0.0

    @property
    def size(self) -> int:
        return self.classes * (int(self.z.shape[1]) + 1)

    def objective(self, parameters: NDArray[np.float64], strength: float) -> tuple[float, NDArray[np.float64]]:
        """Loss and its gradient."""
        rows = np.arange(len(self.targets))
        weight, bias = _unpack(parameters, self.classes)
        scores = self.z @ weight.T.astype(np.float32)  # [N, C]
        scores += bias.astype(np.float32)
        scores -= scores.max(axis=1, keepdims=True)
        aimed_at = scores[rows, self.targets].astype(np.float64)
        if self.smoothing:
            aimed_at = (1 - self.smoothing) * aimed_at + self.smoothing * scores.mean(axis=1, dtype=np.float64)
        np.exp(scores, out=scores)
        sums = scores.sum(axis=1, keepdims=True)
        losses = np.log(sums[:, 0].astype(np.float64)) - aimed_at
        scores /= sums
        scores[rows, self.targets] -= 1.0 - self.smoothing
        if self.smoothing:
            scores -= self.smoothing / self.classes
        if self.weights is not None:
            losses *= self.weights
            scores *= self.weights[:, None]
        gradient = np.empty((self.classes, self.z.shape[1] + 1))
        gradient[:, :-1] = (scores.T @ self.z) / len(rows) + strength * weight
        gradient[:, -1] = scores.sum(axis=0, dtype=np.float64) / len(rows)
        return float(losses.mean()) + 0.5 * strength * float((weight * weight).sum()), gradient.ravel()
