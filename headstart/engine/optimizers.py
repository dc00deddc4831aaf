"""Optimisers, their schedule, clipping, and the pull back to where parameters began, over dense parameters and tables that learn row by row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from headstart.specs.jobs import Training


@dataclass(frozen=True, slots=True)
class Rates:
    """How fast each parameter learns, and what holds it back.

    Attributes:
        learning_rate: the highest.
        scales: shares of it, by parameter name; 1 where none is given.
        anchors: where parameters are pulled to, by name; they have no weight decay.
        pull: how strongly.
    """

    learning_rate: float
    scales: Mapping[str, float] = field(default_factory=dict)
    anchors: Mapping[str, Tensor] = field(default_factory=dict)
    pull: float = 0.0


class Optimiser:
    """One step for all that learns.

    Parameters named in `tables` are embedding tables with sparse gradients: a row learns in the steps that read it (`torch.optim.SparseAdam`)
    and does not decay. Filling and stepping the whole of a table that a batch hardly touches took a quarter of full fine-tuning.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], tables: frozenset[str], options: Training, rates: Rates, steps: int) -> None:
        dense = {name: parameter for name, parameter in parameters.items() if name not in tables}
        rows = {name: parameter for name, parameter in parameters.items() if name in tables}
        self._dense, self._tables = list(dense.values()), list(rows.values())
        self._clip_norm = options.clip_norm
        self._optimizers = [_dense_optimizer(dense, options, rates)]
        if rows:
            groups = [{"params": [rows[name] for name in names], "lr": rate} for rate, names in _by_rate(rows, rates).items()]
            self._optimizers.append(torch.optim.SparseAdam(groups))
        self._pulls = [_Pull(parameters, names, tables, rates, rate) for rate, names in _by_rate(parameters, rates).items()]
        factor = _warm_up_and_decay(steps, options.warmup)
        self._schedules = [LambdaLR(optimizer, factor) for optimizer in self._optimizers]
        self._peak = rates.learning_rate

    @property
    def learning_rate(self) -> float:
        """Of the next step, where it is highest."""
        return float(max(self._schedules[0].get_last_lr()))

    def forget_gradients(self) -> None:
        for optimizer in self._optimizers:
            optimizer.zero_grad(set_to_none=True)

    def step(self) -> None:
        """Clip, change the parameters, then pull them back."""
        if self._clip_norm is not None:
            _clip([*self._dense_gradients(), *self._row_gradients()], self._clip_norm)
        for optimizer in self._optimizers:
            optimizer.step()
        for pull in self._pulls:
            pull(self._factor)

    def advance(self) -> None:
        """Move the learning rate on by one step."""
        for schedule in self._schedules:
            schedule.step()

    @property
    def _factor(self) -> float:
        """The share of their highest rates that parameters learn at in this step."""
        return self.learning_rate / self._peak

    def _dense_gradients(self) -> list[Tensor]:
        return [parameter.grad for parameter in self._dense if parameter.grad is not None]

    def _row_gradients(self) -> list[Tensor]:
        """Values of the rows that were read; views, so that scaling them scales the gradients."""
        found = []
        for table in self._tables:
            if table.grad is not None:
                table.grad = table.grad.coalesce()
                found.append(table.grad._values())  # noqa: SLF001 - `values()` gives a copy that scaling would not reach
        return found


class _Pull:
    """Brings parameters of one rate back towards their anchors: a proximal step on pull/2 ‖w − w₀‖², which no strength makes unstable.

    Decoupled from the gradient, as weight decay is (Loshchilov & Hutter 2019); else Adam would undo its size. A row of a table is pulled in the
    steps that read it.

    Source: Li, Grandvalet & Davoine 2018, "Explicit Inductive Bias for Transfer Learning with Convolutional Networks", the penalty L2-SP.
    """

    def __init__(
        self, parameters: Mapping[str, nn.Parameter], names: Iterable[str], tables: frozenset[str], rates: Rates, rate: float
    ) -> None:
        held = [name for name in names if rates.pull and name in rates.anchors]
        self._whole: list[Tensor] = [parameters[name] for name in held if name not in tables]
        self._whole_anchors = [rates.anchors[name] for name in held if name not in tables]
        self._tables = [(parameters[name], rates.anchors[name]) for name in held if name in tables]
        self._strength = rate * rates.pull

    @torch.no_grad()
    def __call__(self, factor: float) -> None:
        strength = factor * self._strength
        share = strength / (1 + strength)
        if self._whole:
            torch._foreach_lerp_(self._whole, self._whole_anchors, share)
        for table, anchor in self._tables:
            if table.grad is not None:
                rows = table.grad.coalesce().indices()[0]
                table[rows] = table[rows].lerp(anchor[rows], share)


def takes_tables(options: Training, device: torch.device) -> bool:
    """Whether the optimiser of these options knows sparse gradients, and torch on this device too."""
    return options.optimizer in {"adam", "adamw"} and device.type != "mps"


def _clip(gradients: list[Tensor], most: float) -> None:
    """Scale all gradients together so that their norm is at most `most` (Pascanu et al. 2013)."""
    norm = float(torch.nn.utils.get_total_norm(gradients))
    if norm > most:
        torch._foreach_mul_(gradients, most / (norm + 1e-6))


def _dense_optimizer(parameters: Mapping[str, nn.Parameter], options: Training, rates: Rates) -> torch.optim.Optimizer:
    """Weight decay for matrices only: biases, norms and scales are not what overfits (Loshchilov & Hutter 2019, as BERT used it)."""
    groups = []
    # where only tables learn there is one group of nothing, which torch takes
    for rate, names in (_by_rate(parameters, rates) or {rates.learning_rate: []}).items():
        decayed = [name for name in names if _is_matrix(parameters[name]) and not (rates.pull and name in rates.anchors)]
        plain = [name for name in names if name not in decayed]
        groups += [
            {"params": [parameters[name] for name in part], "weight_decay": decay, "lr": rate}
            for part, decay in ((decayed, options.weight_decay), (plain, 0.0))
        ]
    match options.optimizer:
        case "adamw":
            return torch.optim.AdamW(groups, lr=rates.learning_rate, fused=True)
        case "adam":
            return torch.optim.Adam(groups, lr=rates.learning_rate, fused=True)
        case "sgd":
            return torch.optim.SGD(groups, lr=rates.learning_rate, momentum=0.9)


def _by_rate(names: Iterable[str], rates: Rates) -> dict[float, list[str]]:
    """The names by the learning rate that they have, in their order."""
    found: dict[float, list[str]] = {}
    for name in names:
        found.setdefault(rates.learning_rate * rates.scales.get(name, 1.0), []).append(name)
    return found


def _is_matrix(parameter: nn.Parameter) -> bool:
    """A scale is a vector although it may have two axes, [D, 1]."""
    return parameter.ndim > 1 and parameter.numel() > max(parameter.shape)


def _warm_up_and_decay(steps: int, warmup: float) -> Callable[[int], float]:
    """Linear up over the share `warmup` of the steps, linear down to 0."""
    rise = max(1, round(steps * warmup)) if warmup > 0 else 0

    def factor(step: int) -> float:
        return (step + 1) / rise if step < rise else max(0.0, (steps - step) / max(1, steps - rise))

    return factor
