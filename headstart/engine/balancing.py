"""Weights between the losses of tasks that learn together, and how far their gradients agree. One entry in one table for each balancer.

A step of the loop: `begin`, then `backward` for each part of the batch, then the optimiser, then `after_step`. A batch may come in several
parts, and in several processes, and what is learnt must not depend on it. So

- a part's loss of a task is the sum over the part's labelled rows ÷ the labelled rows of the whole batch, all processes together: the parts
  add up to the batch's mean loss; a task without a labelled row in the part is None;
- weights stay as they are during a step: gradients of parts then add up to the gradient of the batch;
- what a balancer needs to know is gathered over parts, added up over processes, and used in `after_step`, which every process calls.

Gradients by which tasks are compared are those of `shared`, the pooled vectors that the part's losses were computed from, and not those of the
last shared layer's parameters as in GradNorm: by the chain rule the two differ by the same Jacobian for every task. A task's gradient then costs
one pass through its head, not through the backbone; it is there for a head alone too, where nothing learnt is shared (the loop makes the vectors
leaves that require a gradient); and rows stand side by side, so that squares of norms add up over parts and processes.

Axes: K tasks, B batch, D width.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from headstart.engine.group import ALONE
from headstart.specs.balancing import Famo, FixedWeights, GradNorm, UncertaintyWeights

LEAST = 1e-8
"""The least loss that is divided by, or whose logarithm is taken."""
LEAST_UNCERTAIN = 1e-3
"""The least loss by which an uncertainty is learnt."""

Look = Callable[[], Sequence[float | None]]
"""The losses of the step's rows, those of this process added up over its parts, as they are now; None: no row has a label."""

Total = Callable[..., list[float]]
"""`Group.total`: the sum of each number over all processes."""


@dataclass(frozen=True, slots=True)
class Weighed:
    """What a balancer knows of a task.

    Attributes:
        weight: as the spec gives it.
        regression: whether its loss is a mean squared error (not half of it), and not a negative log-likelihood of classes.
    """

    weight: float = 1.0
    regression: bool = False


class Balancer(Protocol):
    """Sees the losses of each step, and decides what each counts in it."""

    parameters: list[nn.Parameter]
    """What it learns, in float64 on the CPU; it steps them itself."""
    compares: bool
    """Whether it looks at gradients of `shared`, which must then require them."""

    def begin(self, look: Look | None = None) -> None:
        """Before the first part of a batch, also when the batch is tried again: what was gathered counts no more.

        Args:
            look: called, if at all, in the first step: FAMO weighs by losses that are known. None: it weighs all alike until they are.
        """
        ...

    def backward(self, losses: Sequence[Tensor | None], shared: Sequence[Tensor]) -> None:
        """Add the gradient of a part's weighted loss to the `.grad` of all that it was computed from.

        Args:
            losses: of each task, scalars, finite.
            shared: what the losses were computed from and require a gradient of; one tensor or more, such as pooled vectors [B, D].
        """
        ...

    def after_step(self, again: Look | None = None) -> None:
        """Once the optimiser has stepped: change the weights by what the step showed.

        Args:
            again: called only where the spec asks for a second look. None: there is none to be had.
        """
        ...

    def weights(self) -> list[float]:
        """What each task's loss counts now, [K]."""
        ...


class Fixed:
    """Weights that stay."""

    compares = False

    def __init__(self, weights: Sequence[float]) -> None:
        self.parameters: list[nn.Parameter] = []
        self._weights = list(weights)

    def begin(self, look: Look | None = None) -> None:
        """Nothing is gathered."""

    def backward(self, losses: Sequence[Tensor | None], shared: Sequence[Tensor]) -> None:  # noqa: ARG002 - `Balancer`
        _backward(losses, self._weights)

    def after_step(self, again: Look | None = None) -> None:
        """Nothing is learnt."""

    def weights(self) -> list[float]:
        return list(self._weights)


class Uncertainty:
    """Minimises  Σ ½ exp(−s) L + ½ s  over regressions  +  Σ exp(−s) L + ½ s  over classifications, with s = log σ² of each task.

    So a regression whose squared error stays at σ² has s = log σ². The network's step takes exp(−s) as a number; the step of s comes after it.

    Source: Kendall, Gal & Cipolla 2018, "Multi-Task Learning Using Uncertainty to Weigh Losses for Scene Geometry and Semantics", equations 7
    and 10. There s learns with the network's optimiser; here by Adam with a rate of its own, so that it does not hang on the network's warm-up,
    its gradient, which is at most ½, cut at −½, since Adam would long remember the size of a first loss in the thousands; the s of a task
    stays where it is in a step that has no row of the task; and a loss below 1e-3 counts as 1e-3, so that a task that is learnt to the last
    row does not come to count without bound.
    """

    compares = False

    def __init__(self, learning_rate: float, regression: Sequence[bool], total: Total) -> None:
        self.parameters = _zeros(len(regression))
        self._shares = [0.5 if each else 1.0 for each in regression]
        self._optimizer = torch.optim.Adam(self.parameters, lr=learning_rate)
        self._losses = _Gathered(len(regression), total)

    def begin(self, look: Look | None = None) -> None:  # noqa: ARG002 - `Balancer`
        self._losses.forget()

    def backward(self, losses: Sequence[Tensor | None], shared: Sequence[Tensor]) -> None:  # noqa: ARG002 - `Balancer`
        _backward(losses, self.weights())
        self._losses.add(losses)

    def after_step(self, again: Look | None = None) -> None:  # noqa: ARG002 - `Balancer`
        for variance, weight, loss in zip(self.parameters, self.weights(), self._losses.take(), strict=True):
            known = None if loss is None else max(loss, LEAST_UNCERTAIN)
            variance.grad = None if known is None else torch.full_like(variance, max(0.5 - weight * known, -0.5))
        self._optimizer.step()

    def weights(self) -> list[float]:
        return [share * math.exp(-variance.item()) for share, variance in zip(self._shares, self.parameters, strict=True)]


class NormBalancer:
    """Brings the norms of the weighted gradients to  G ∝ r^α,  with r how much of its first loss a task has left; the weights add up to K.

    Source: Chen, Badrinarayanan, Lee & Rabinovich 2018, "GradNorm: Gradient Normalization for Adaptive Loss Balancing in Deep Multitask
    Networks", equation 2 and algorithm 1. What differs: norms are of pooled vectors (above). What is lowered is not Σ |G − Ḡ r^α| by the weights
    but the same between logarithms, by the logarithms of the weights: steps of one size would make small weights negative, and large norms would
    count more than small ones. Targets are scaled by a common factor so that norms can reach them, and the tip of |·| is rounded (Huber 1964, at
    1), so that weights come to rest. With fewer than two tasks in a batch there is nothing to compare and no step.
    """

    compares = True

    def __init__(self, alpha: float, learning_rate: float, tasks: int, total: Total) -> None:
        self.parameters = _zeros(tasks)
        self._alpha = alpha
        self._optimizer = torch.optim.Adam(self.parameters, lr=learning_rate)
        self._losses, self._squares = _Gathered(tasks, total), _Gathered(tasks, total)
        self._first: dict[int, float] = {}

    def begin(self, look: Look | None = None) -> None:  # noqa: ARG002 - `Balancer`
        self._losses.forget()
        self._squares.forget()

    def backward(self, losses: Sequence[Tensor | None], shared: Sequence[Tensor]) -> None:
        gradients = task_gradients(losses, shared)
        self._squares.add([None if gradient is None else gradient.square().sum() for gradient in gradients])
        self._losses.add(losses)
        _backward(losses, self.weights())

    def after_step(self, again: Look | None = None) -> None:  # noqa: ARG002 - `Balancer`
        losses, squares = self._losses.take(), self._squares.take()
        norms, left = {}, {}  # logarithms
        for number, (parameter, loss, square) in enumerate(zip(self.parameters, losses, squares, strict=True)):
            parameter.grad = None
            if loss is not None and square is not None:
                known = math.log(max(loss, LEAST))
                left[number] = known - self._first.setdefault(number, known)
                norms[number] = math.log(max(math.sqrt(square), LEAST)) + parameter.item()
        if len(norms) < 2:
            return
        for number, norm in norms.items():
            target = mean(norms.values()) + self._alpha * (left[number] - mean(left.values()))
            self.parameters[number].grad = torch.tensor(norm - target, dtype=torch.float64).clamp(-1, 1)
        self._optimizer.step()
        self._renormalise()

    def weights(self) -> list[float]:
        return [math.exp(parameter.item()) for parameter in self.parameters]

    @torch.no_grad()
    def _renormalise(self) -> None:
        excess = math.log(mean(self.weights()))
        for parameter in self.parameters:
            parameter.sub_(excess)


class FamoBalancer:
    """A step along  Σ z ∇log L  with z = softmax(ξ); then ξ ← ξ − β (Jᵀδ + γ ξ), J the Jacobian of the softmax, δ by how much log L fell.

    So a task counts z / L, by a common factor; what falls slower than the others comes to count more.

    Source: Liu, Feng, Stone & Liu 2023, "FAMO: Fast Adaptive Multitask Optimization", algorithm 1, with Adam for ξ and weight decay for γ as in
    the authors' code. What differs: the weights' mean is 1, not their sum, so that a learning rate means what it means without; and the L of z / L
    is the last that is known from before the step, since that of a batch in parts is known only after its last part. It is the same where steps
    see the whole data and look again, and else without the bias of dividing a batch's gradient by the same batch's loss.

    Without a second look δ is the last known log L minus that of the batch, at no cost. The two batches differ by more than a step changes;
    but what one difference has too much the next has too little, so that the sum of δ over many steps is as it would be, but for the first
    batch and the last.
    """

    compares = False

    def __init__(self, spec: Famo, tasks: int, total: Total) -> None:
        self._logits = nn.Parameter(torch.zeros(tasks, dtype=torch.float64))
        self.parameters = [self._logits]
        self._optimizer = torch.optim.Adam(self.parameters, lr=spec.learning_rate, weight_decay=spec.gamma)
        self._looks_again = spec.second_look
        self._losses, self._seen = _Gathered(tasks, total), _Gathered(tasks, total)
        self._known: list[float | None] = [None] * tasks
        self._weights = [1.0] * tasks

    def begin(self, look: Look | None = None) -> None:
        self._losses.forget()
        if look is not None and all(loss is None for loss in self._known):
            self._weights = self._weighed(self._looked(look))

    def backward(self, losses: Sequence[Tensor | None], shared: Sequence[Tensor]) -> None:  # noqa: ARG002 - `Balancer`
        _backward(losses, self._weights)
        self._losses.add(losses)

    def after_step(self, again: Look | None = None) -> None:
        before, after = self._known, self._losses.take()
        if self._looks_again and again is not None:
            before, after = after, self._looked(again)
        fallen = [
            0.0 if one is None or other is None else math.log(max(one, LEAST) / max(other, LEAST))
            for one, other in zip(before, after, strict=True)
        ]
        self._known = [known if loss is None else loss for known, loss in zip(self._known, after, strict=True)]
        if any(fallen):
            self._step(torch.tensor(fallen, dtype=torch.float64))
        self._weights = self._weighed(self._known)

    def weights(self) -> list[float]:
        return list(self._weights)

    def _looked(self, look: Look) -> list[float | None]:
        self._seen.add([None if loss is None else torch.tensor(loss, dtype=torch.float64) for loss in look()])
        return self._seen.take()

    def _step(self, fallen: Tensor) -> None:
        shares = self._logits.detach().softmax(0)
        self._logits.grad = shares * (fallen - (shares * fallen).sum())
        self._optimizer.step()

    def _weighed(self, losses: Sequence[float | None]) -> list[float]:
        """A task whose loss nobody has seen yet counts as one whose loss is like the others'."""
        typical = mean([loss for loss in losses if loss is not None] or [1.0])
        known = [max(typical if loss is None else loss, LEAST) for loss in losses]
        raw = [share / loss for share, loss in zip(self._logits.detach().softmax(0).tolist(), known, strict=True)]
        return [len(raw) * each / sum(raw) for each in raw]


def _fixed(_spec: FixedWeights, tasks: Sequence[Weighed], _total: Total) -> Balancer:
    return Fixed([task.weight for task in tasks])


def _uncertainty(spec: UncertaintyWeights, tasks: Sequence[Weighed], total: Total) -> Balancer:
    return Uncertainty(spec.learning_rate, [task.regression for task in tasks], total)


def _gradnorm(spec: GradNorm, tasks: Sequence[Weighed], total: Total) -> Balancer:
    return NormBalancer(spec.alpha, spec.learning_rate, len(tasks), total)


def _famo(spec: Famo, tasks: Sequence[Weighed], total: Total) -> Balancer:
    return FamoBalancer(spec, len(tasks), total)


BALANCERS: Mapping[str, Callable[[Any, Sequence[Weighed], Total], Balancer]] = {
    "fixed": _fixed,
    "uncertainty": _uncertainty,
    "gradnorm": _gradnorm,
    "famo": _famo,
}
"""`training.balancing.type` → what makes the balancer: (its class in `specs.balancing`, the tasks, the sum over processes)."""


def make_balancer(
    spec: FixedWeights | UncertaintyWeights | GradNorm | Famo, tasks: Sequence[Weighed], total: Total = ALONE.total
) -> Balancer:
    """The balancer that a spec asks for, at its start."""
    return BALANCERS[spec.type](spec, tasks, total)


def task_gradients(losses: Sequence[Tensor | None], over: Sequence[Tensor]) -> list[Tensor | None]:
    """The gradient of each task's loss with respect to `over`, flat, float32; the graph stays for the backward pass that follows.

    Args:
        over: tensors in the graph of the losses, such as the pooled vectors of a batch, or parameters that tasks share.

    Returns:
        [numbers in `over`] for each task; None for a task without a loss.
    """
    return [None if loss is None else _gradient(loss, over) for loss in losses]


def task_cosines(gradients: Sequence[Tensor | None]) -> list[list[float | None]]:
    """How far tasks agree about what they share: the cosine of each pair of gradients, [K, K]; plain JSON.

    None where a task has no gradient, or one that is 0. Tasks that label different rows agree or not by gradients of parameters alone: in
    those of pooled vectors no number is moved by both, and the cosine is always 0.
    """
    units = [None if gradient is None or not gradient.any() else gradient / gradient.norm() for gradient in gradients]
    table: list[list[float | None]] = [[None] * len(units) for _ in units]
    for one, other in itertools.product(range(len(units)), repeat=2):
        left, right = units[one], units[other]
        if left is not None and right is not None:
            table[one][other] = min(max(float(left @ right), -1.0), 1.0)
    return table


def _gradient(loss: Tensor, over: Sequence[Tensor]) -> Tensor:
    found = torch.autograd.grad(loss, over, retain_graph=True, allow_unused=True)
    pieces = [torch.zeros_like(each) if piece is None else piece for each, piece in zip(over, found, strict=True)]
    return torch.cat([piece.reshape(-1).float() for piece in pieces])


def _backward(losses: Sequence[Tensor | None], weights: Sequence[float]) -> None:
    weighted = [weight * loss for weight, loss in zip(weights, losses, strict=True) if loss is not None]
    if weighted:
        torch.stack(weighted).sum().backward()  # type: ignore[no-untyped-call]


def _zeros(count: int) -> list[nn.Parameter]:
    """One parameter each, so that an optimiser passes over those that have no gradient."""
    return [nn.Parameter(torch.zeros((), dtype=torch.float64)) for _ in range(count)]


class _Gathered:
    """A number of each task, added up over the parts of a step, then over processes. It stays on its device until it is taken."""

    def __init__(self, tasks: int, total: Total) -> None:
        self._tasks, self._total = tasks, total
        self.forget()

    def forget(self) -> None:
        self._sums: list[Tensor | None] = [None] * self._tasks

    def add(self, values: Sequence[Tensor | None]) -> None:
        for number, value in enumerate(values):
            if value is not None:
                known = self._sums[number]
                self._sums[number] = value.detach() if known is None else known + value.detach()

    def take(self) -> list[float | None]:
        """The sums, and begin anew; None for a task that no part had in any process."""
        there = [each for each in self._sums if each is not None]
        numbers = iter(torch.stack(there).tolist() if there else [])  # one wait for the device
        own = [0.0 if each is None else next(numbers) for each in self._sums]
        summed = self._total(*own, *(float(each is not None) for each in self._sums))
        self.forget()
        return [value if had else None for value, had in zip(summed[: self._tasks], summed[self._tasks :], strict=True)]
