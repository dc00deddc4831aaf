"""Fitting what learns: a head that is solved, or a head and perhaps a suffix by steps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from headstart.engine.context import Context
from headstart.engine.heads import HEADS, HeadTensors, LabelledRows, stepped
from headstart.engine.preparing import Prepared
from headstart.engine.sources import PooledSource
from headstart.engine.splits import Split
from headstart.engine.training import Trained, embed_all, train
from headstart.specs.jobs import LEARNING_RATES, MlpHead


@dataclass(frozen=True, slots=True)
class Learnt:
    """A head, what changed in the backbone (nothing, when it is frozen), and how far training went."""

    head: HeadTensors
    delta: HeadTensors
    steps: int
    epoch: int


def learn(context: Context, prepared: Prepared, targets: NDArray[np.int64], split: Split) -> Learnt:
    """Fit on the training rows; the validation rows choose among strengths or epochs; the test rows are not looked at."""
    if not context.stepped:
        return Learnt(_solve(context, prepared, targets, split), {}, 1, 1)
    trained = _step(context, prepared, targets, split)
    delta = {name: parameter.detach().numpy().copy() for name, parameter in prepared.source.parameters.items()}
    return Learnt(trained.head, delta, trained.steps, trained.epoch)


def features_of(context: Context, prepared: Prepared, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Pooled vectors [N, D] of these rows as the model now gives them."""
    if isinstance(prepared.source, PooledSource):
        return prepared.source.values[rows]
    return embed_all(prepared.source, rows, context.plan.batch_tokens)


def _solve(context: Context, prepared: Prepared, targets: NDArray[np.int64], split: Split) -> HeadTensors:
    solve = HEADS[context.spec.method.head.type].solve
    assert solve is not None  # noqa: S101 - the spec gives a solver to such heads alone
    parts = [LabelledRows(features_of(context, prepared, rows), targets[rows]) for rows in (split.train, split.validation)]
    context.reporter.log(f"A {context.spec.method.head.type} head is solved on {len(split.train):,} rows.")

    def tick() -> None:
        context.reporter.progress(fraction=context.features_share, step=0, steps=1, epoch=0, epochs=1)

    return solve(parts[0], parts[1], len(context.plan.tasks[0].classes), tick)


def _step(context: Context, prepared: Prepared, targets: NDArray[np.int64], split: Split) -> Trained:
    method, options = context.spec.method, context.spec.training
    return train(
        prepared.source.for_training(options),
        _start(context, prepared, targets, split),
        targets,
        split.train,
        split.validation,
        options,
        learning_rate=options.learning_rate or LEARNING_RATES[method.type],
        dropout=method.head.dropout,
        batch_tokens=context.plan.batch_tokens,
        told=_Told(context, len(split.train)),
    )


def _start(context: Context, prepared: Prepared, targets: NDArray[np.int64], split: Split) -> HeadTensors:
    """Solved on the pretrained features when the spec asks for it, else random by the seed."""
    head, classes = context.spec.method.head, len(context.plan.tasks[0].classes)
    if head.solver is not None:
        return _solve(context, prepared, targets, split)
    width = features_of(context, prepared, split.train[:1]).shape[1]
    hidden = head.hidden if isinstance(head, MlpHead) else []
    return stepped.initial(width, hidden, classes, torch.Generator().manual_seed(context.spec.training.seed))


class _Told:
    """Progress, metrics and words of the loop, as the job's reporter wants them."""

    def __init__(self, context: Context, rows: int) -> None:
        self._context, self._rows = context, rows
        self._began = self._stepped = context.clock()

    def step(self, *, step: int, steps: int, epoch: int) -> None:
        context = self._context
        self._stepped = context.clock()
        fraction = context.features_share + (0.95 - context.features_share) * step / steps
        context.reporter.progress(fraction=fraction, step=step, steps=steps, epoch=epoch, epochs=context.spec.training.epochs)

    def epoch(self, *, epoch: int, step: int, learning_rate: float, train_loss: float, validation_loss: float | None) -> None:
        losses = f"{train_loss:.4f} in training" + ("" if validation_loss is None else f", {validation_loss:.4f} in validation")
        rows = self._rows / max(self._stepped - self._began, 1e-6)
        of = f"{epoch:,} of {self._context.spec.training.epochs:,}"
        self.log(f"Epoch {of}: loss {losses}; learning rate {learning_rate:.2g}, {rows:,.0f} rows a second.")
        self._began = self._context.clock()
        for split, value in (("train", train_loss), ("validation", validation_loss)):
            if value is not None and np.isfinite(value):
                data = {
                    "task": self._context.spec.tasks[0].name,
                    "split": split,
                    "name": "log_loss",
                    "value": value,
                    "step": step,
                    "epoch": epoch,
                }
                self._context.reporter.event("metric", data)

    def warning(self, code: str, message: str) -> None:
        self._context.warn(code, message)

    def log(self, message: str) -> None:
        self._context.reporter.log(message)
