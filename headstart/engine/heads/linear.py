"""The linear head: softmax, logistic or linear regression with an L2 penalty, solved by L-BFGS.

    minimise over W, b:  mean of loss(W z + b, target)  +  λ/2 ‖W‖²,   z = (x − mean) / scale

The losses of all problems (`engine.losses`) are convex, with class weights and smoothed labels too, and are solved for alike.

Standardisation is folded into the answer, so that a head is one matrix and one bias on the features as they come. λ is the one with the
least validation loss on a walk from strong to weak, each solution the start of the next.

Axes: N rows, D width, C classes, K numbers that the head gives. Products run in float32, what is summed up in float64. Rows are walked piece by
piece, so that memory does not grow with them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import fmin_l_bfgs_b
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped] # it has no annotations

from headstart.engine.losses import Objective, Squares
from headstart.engine.vectors import Floats, InOrder, Keep, in_memory, pieces, through, width_of

STRENGTHS = tuple(float(10.0 ** (-half / 2)) for half in range(9))
"""λ from 1 to 1e-4. On MiniLM features the best lies near 0.1 for 1,400 rows of 2 classes and near 0.001 for 7,000 rows of 77."""
OF_NUMBERS = (*(float(10.0 ** (half / 2)) for half in range(6, 0, -1)), *STRENGTHS)
"""Of a regression, from 1000 on: a squared error is met exactly by as many features as rows, so that few rows of wide features need far more.
200 photos of 1,280 features were seen to do worse than their mean at 1. What is strongest answers with the mean."""
WITHOUT_VALIDATION = 0.1
LEAST_VALIDATION = 20
"""Rows below which the validation loss says more about chance than about λ."""

LEAST_SCALE = 1e-3
"""A feature that varies less than this share of the most varied one is noise of the dtype; it is not blown up to unit variance."""
TOLERANCE = 1e-5
MOST_ITERATIONS = 300


@dataclass(frozen=True, slots=True)
class LinearHead:
    weight: Floats  # [K, D]
    bias: Floats  # [K]
    strength: float
    """The λ that was taken."""


def solve(
    x: InOrder,
    targets: NDArray[Any],
    x_validation: InOrder,
    targets_validation: NDArray[Any],
    outputs: int,
    objective: Objective,
    tick: Callable[[], None] = lambda: None,
    keep: Keep = in_memory,
) -> LinearHead:
    """The head with the best λ. The same input gives the same bits, whatever number of threads the process has.

    Args:
        x: training features, [N, D].
        targets: as `objective` takes them, [N] or [N, C].
        x_validation: may be empty; with fewer than `LEAST_VALIDATION` rows λ is fixed.
        outputs: K.
        objective: what is lowered, and what λ is judged by. The head gives what is meant, not what is learnt in its unit.
        tick: called after each step, so that a long solve is seen to live.
        keep: where the standardised features lie while it solves.
    """
    mean, scale = _standardisation(x)
    z, z_validation = (keep(_standardised(part, mean, scale, tick), width_of(x)) for part in (x, x_validation))
    data = _Data(z, targets, outputs, objective, tick)
    # one thread: these products are small, and threads that wait for each other cost more than they bring (measured 10× on a busy machine)
    with threadpool_limits(limits=1):
        if len(targets_validation) >= LEAST_VALIDATION:
            parameters, strength = _walk(data, z_validation, targets_validation)
        else:
            parameters, strength = _minimise(data, WITHOUT_VALIDATION, np.zeros(data.size)), WITHOUT_VALIDATION
    weight, bias = _unpack(parameters, outputs)
    unit, shift = objective.unit
    folded = unit * weight / scale
    return LinearHead(folded.astype(np.float32), (unit * bias + shift - folded @ mean).astype(np.float32), strength)


def logits(weight: Floats, bias: Floats, x: Floats) -> NDArray[np.float64]:
    """[N, K] in float64."""
    return x.astype(np.float64) @ weight.T.astype(np.float64) + bias.astype(np.float64)


def _standardisation(x: InOrder) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    nothing = np.zeros(width_of(x))
    mean = sum((piece.sum(axis=0, dtype=np.float64) for _, piece in pieces(x)), nothing) / len(x)
    squares = sum((np.square(piece - mean).sum(axis=0) for _, piece in pieces(x)), nothing)
    deviation = np.sqrt(squares / len(x))
    widest = float(deviation.max(initial=0.0))
    return mean, (np.maximum(deviation, LEAST_SCALE * widest) if widest > 0 else np.ones_like(deviation))


def _standardised(x: InOrder, mean: NDArray[np.float64], scale: NDArray[np.float64], tick: Callable[[], None]) -> Iterator[Floats]:
    for _, piece in pieces(x):
        tick()
        z = piece - mean.astype(np.float32)
        z /= scale.astype(np.float32)
        yield z


def _walk(data: _Data, z_validation: Floats, targets: NDArray[Any]) -> tuple[NDArray[np.float64], float]:
    """From strong to weak, until the validation loss rises: it has one valley."""
    best, best_loss, best_strength = np.zeros(data.size), float("inf"), float("inf")
    for strength, parameters in _path(data):
        weight, bias = _unpack(parameters, data.outputs)
        loss = data.objective.judge(_scored(z_validation, weight, bias), targets)
        if not loss < best_loss:  # nor one that is not a number
            break
        best, best_loss, best_strength = parameters, loss, strength
    return best, best_strength


def _scored(z: Floats, weight: NDArray[np.float64], bias: NDArray[np.float64]) -> NDArray[np.float64]:
    """[N, K]."""
    return through(lambda piece: piece @ weight.T + bias, z)


def _path(data: _Data) -> Iterator[tuple[float, NDArray[np.float64]]]:
    parameters = np.zeros(data.size)
    for strength in OF_NUMBERS if isinstance(data.objective, Squares) else STRENGTHS:
        parameters = _minimise(data, strength, parameters)
        yield strength, parameters


def _minimise(data: _Data, strength: float, start: NDArray[np.float64]) -> NDArray[np.float64]:
    found = fmin_l_bfgs_b(
        lambda parameters: data.lowered(parameters, strength),
        start,
        factr=TOLERANCE / float(np.finfo(np.float64).eps),
        pgtol=TOLERANCE,
        maxiter=MOST_ITERATIONS,
        callback=lambda _: data.tick(),
    )
    return np.asarray(found[0], dtype=np.float64)


def _unpack(parameters: NDArray[np.float64], outputs: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weight [K, D] and bias [K] from [K × (D + 1)]."""
    table = parameters.reshape(outputs, -1)
    return table[:, :-1], table[:, -1]


@dataclass(frozen=True, slots=True)
class _Data:
    z: Floats  # [N, D], standardised
    targets: NDArray[Any]  # [N] or [N, C]
    outputs: int
    objective: Objective
    tick: Callable[[], None] = lambda: None

    @property
    def size(self) -> int:
        return self.outputs * (int(self.z.shape[1]) + 1)

    def lowered(self, parameters: NDArray[np.float64], strength: float) -> tuple[float, NDArray[np.float64]]:
        """Loss with its penalty, and its gradient."""
        weight, bias = _unpack(parameters, self.outputs)
        short, shift = weight.T.astype(np.float32), bias.astype(np.float32)
        loss, gradient = 0.0, np.zeros((self.outputs, self.z.shape[1] + 1))
        for part, piece in pieces(self.z):
            scores = piece @ short  # [N, K]
            scores += shift
            of_piece, slopes = self.objective.solvable(scores, self.targets[part])
            loss += of_piece * len(piece) / len(self.z)
            gradient[:, :-1] += slopes.T @ piece
            gradient[:, -1] += slopes.sum(axis=0, dtype=np.float64)
        gradient /= len(self.z)
        gradient[:, :-1] += strength * weight
        return loss + 0.5 * strength * float((weight * weight).sum()), gradient.ravel()
