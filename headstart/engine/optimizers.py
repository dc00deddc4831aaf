"""Optimisers, their schedule, and clipping, over dense parameters and the tables that learn row by row."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from headstart.specs.jobs import Training


class Optimiser:
    """One step for all that learns.

    Parameters named in `tables` are embedding tables with sparse gradients: a row learns in the steps that read it (`torch.optim.SparseAdam`)
    and does not decay. Filling and stepping the whole of a table that a batch hardly touches took a quarter of full fine-tuning.
    """

    def __init__(
        self, parameters: Mapping[str, nn.Parameter], tables: frozenset[str], options: Training, learning_rate: float, steps: int
    ) -> None:
        self._dense = [parameter for name, parameter in parameters.items() if name not in tables]
        self._tables = [parameter for name, parameter in parameters.items() if name in tables]
        self._clip_norm = options.clip_norm
        self._optimizers = [_dense_optimizer(self._dense, options, learning_rate)]
        if self._tables:
            self._optimizers.append(torch.optim.SparseAdam(self._tables, lr=learning_rate))
        factor = _warm_up_and_decay(steps, options.warmup)
        self._schedules = [LambdaLR(optimizer, factor) for optimizer in self._optimizers]

    @property
    def learning_rate(self) -> float:
        """Of the next step."""
        return float(self._schedules[0].get_last_lr()[0])

    def forget_gradients(self) -> None:
        for optimizer in self._optimizers:
            optimizer.zero_grad(set_to_none=True)

    def step(self) -> None:
        """Clip, then change the parameters."""
        if self._clip_norm is not None:
            _clip([*self._dense_gradients(), *self._row_gradients()], self._clip_norm)
        for optimizer in self._optimizers:
            optimizer.step()

    def advance(self) -> None:
        """Move the learning rate on by one step."""
        for schedule in self._schedules:
            schedule.step()

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


def takes_tables(options: Training) -> bool:
    """Whether the optimiser of these options knows sparse gradients."""
    return options.optimizer in {"adam", "adamw"}


def _clip(gradients: list[Tensor], most: float) -> None:
    """Scale all gradients together so that their norm is at most `most` (Pascanu et al. 2013)."""
    norm = float(torch.nn.utils.get_total_norm(gradients))
    if norm > most:
        torch._foreach_mul_(gradients, most / (norm + 1e-6))


def _dense_optimizer(parameters: list[nn.Parameter], options: Training, learning_rate: float) -> torch.optim.Optimizer:
    """Weight decay for matrices only: biases, norms and scales are not what overfits (Loshchilov & Hutter 2019, as BERT used it)."""
    decayed = [parameter for parameter in parameters if _is_matrix(parameter)]
    plain = [parameter for parameter in parameters if not _is_matrix(parameter)]
    groups = [{"params": decayed, "weight_decay": options.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    match options.optimizer:
        case "adamw":
            return torch.optim.AdamW(groups, lr=learning_rate, fused=True)
        case "adam":
            return torch.optim.Adam(groups, lr=learning_rate, fused=True)
        case "sgd":
            return torch.optim.SGD(groups, lr=learning_rate, momentum=0.9)


def _is_matrix(parameter: nn.Parameter) -> bool:
    """A scale is a vector although it may have two axes, [D, 1]."""
    return parameter.ndim > 1 and parameter.numel() > max(parameter.shape)


def _warm_up_and_decay(steps: int, warmup: float) -> Callable[[int], float]:
    """Linear up over the share `warmup` of the steps, linear down to 0."""
    rise = max(1, round(steps * warmup)) if warmup > 0 else 0

    def factor(step: int) -> float:
        return (step + 1) / rise if step < rise else max(0.0, (steps - step) / max(1, steps - rise))

    return factor
