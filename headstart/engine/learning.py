"""Fitting what learns: a head that is solved, or a head and perhaps a suffix by steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from headstart.engine.context import Context
from headstart.engine.heads import HEADS, Given, HeadTensors, LabelledRows
from headstart.engine.losses import Objective, objective_of
from headstart.engine.optimizers import Rates
from headstart.engine.preparing import Prepared
from headstart.engine.sources import PooledSource
from headstart.engine.splits import Split
from headstart.engine.training import Recipe, Trained, embed_all, train
from headstart.engine.views import Views
from headstart.planning.schedule import rate_scales, spans
from headstart.specs.jobs import LEARNING_RATES, FineTuning


@dataclass(frozen=True, slots=True)
class Learnt:
    """A head, what changed in the backbone (nothing, when it is frozen), and how far training went."""

    head: HeadTensors
    delta: HeadTensors
    steps: int
    epoch: int


def learn(context: Context, phases: Sequence[Prepared], targets: NDArray[np.int64], split: Split, views: Views) -> Learnt:
    """Fit on the training rows; the validation rows choose among strengths or epochs; the test rows are not looked at.

    Args:
        phases: what each phase of the epochs starts from, one unless there is a schedule; the last is left as the model now is.
        views: of the training rows.
    """
    objective = objective_of(context.spec.training, context.plan.tasks[0].classes, targets[split.train])
    fitting = _Fitting(context, targets, split, views, objective)
    if not context.stepped:
        return Learnt(fitting.at_once(phases[0]), {}, 1, 1)
    trained = fitting.by_steps(phases)
    delta = {name: parameter.detach().cpu().numpy().copy() for name, parameter in phases[-1].source.parameters.items()}
    return Learnt(trained.head, delta, trained.steps, trained.epoch)


def features_of(context: Context, prepared: Prepared, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Pooled vectors [N, D] of these rows as the model now gives them."""
    if isinstance(prepared.source, PooledSource):
        return prepared.source.values[rows]
    return embed_all(prepared.source, rows, context.plan.batch_tokens)


@dataclass(frozen=True, slots=True)
class _Fitting:
    context: Context
    targets: NDArray[np.int64]  # [N], of all rows
    split: Split
    views: Views
    objective: Objective

    def at_once(self, prepared: Prepared) -> HeadTensors:
        """The head that its kind finds for the features as they are."""
        head = self.context.spec.method.head
        fit = HEADS[head.type].fit
        assert fit is not None  # noqa: S101 - else the spec's class says that it is stepped
        parts = [
            LabelledRows(features_of(self.context, prepared, places), self.targets[self.views.row(places)])
            for places in (self.views.every(), self.split.validation)
        ]
        how = "solved" if head.has_loss else "computed"
        self.context.reporter.log(f"A {head.type} head is {how} on {len(parts[0].targets):,} rows.")
        return fit(head, Given(parts[0], parts[1], len(self.context.plan.tasks[0].classes), self.objective, self._tick))

    def by_steps(self, phases: Sequence[Prepared]) -> Trained:
        """The head with what learns of the backbone, phase by phase; each goes on from the best epoch so far."""
        context, options = self.context, self.context.spec.training
        recipe = self._recipe(options.learning_rate or LEARNING_RATES[context.spec.method.type])
        firsts = [phase.epoch for phase in context.plan.phases] or [1]
        head, best = self._start(phases[0]), None
        for number, (epochs, prepared) in enumerate(zip(spans(firsts, options.epochs), phases, strict=True)):
            if number:
                _carry_over(phases[number - 1], prepared)
                context.reporter.log(
                    f"Epoch {epochs.start:,}: {context.plan.phases[number].parameters:,} parameters of the backbone learn now."
                )
            source = prepared.source.for_training(options)
            told = _Told(context, len(self.split.train), self.objective.name)
            best = train(
                source,
                head,
                self.targets,
                self.split.train,
                self.split.validation,
                options,
                recipe,
                told=told,
                views=self.views,
                epochs=epochs,
                before=best,
            )
            head = best.head
        assert best is not None  # noqa: S101 - there is a phase
        return best

    def _start(self, prepared: Prepared) -> HeadTensors:
        """Random by the seed; or, when the backbone learns too and the spec wants the head first, where the head alone ends (LP-FT).

        Source: Kumar et al. 2022, "Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution".
        """
        head, start = self.context.spec.method.head, HEADS[self.context.spec.method.head.type].start
        if not head.stepped:
            return self.at_once(prepared)
        assert start is not None  # noqa: S101 - else the spec's class says that it is not stepped
        width = features_of(self.context, prepared, self.split.train[:1]).shape[1]
        generator = torch.Generator().manual_seed(self.context.spec.training.seed)
        random = start(head, width, len(self.context.plan.tasks[0].classes), generator)
        epochs = getattr(self.context.spec.method, "head_first_epochs", 0)
        return self._head_first(prepared, random, epochs) if epochs else random

    def _head_first(self, prepared: Prepared, start: HeadTensors, epochs: int) -> HeadTensors:
        """The head alone, on the features as they are; each row goes through the backbone once, in one of its views."""
        rows = np.concatenate([self.split.train, self.split.validation])
        source = PooledSource(features_of(self.context, prepared, rows), device=self.context.backbone.device)
        train_rows, validation_rows = np.split(np.arange(len(rows)), [len(self.split.train)])
        options = self.context.spec.training.model_copy(update={"epochs": epochs, "patience": None})
        recipe = self._recipe(LEARNING_RATES["feature-extraction"])
        told = _Aside(self.context, self._tick)
        return train(source, start, self.targets[rows], train_rows, validation_rows, options, recipe, told=told).head

    def _recipe(self, learning_rate: float) -> Recipe:
        context, method = self.context, self.context.spec.method
        rates = Rates(learning_rate)
        if isinstance(method, FineTuning):
            names = context.plan.trainable.names
            anchors = {name: context.backbone.module.get_parameter(name).detach() for name in names} if method.l2_sp else {}
            scales = rate_scales(names, context.backbone.anatomy, method.layer_decay) if method.layer_decay < 1 else {}
            rates = Rates(learning_rate, scales, anchors, method.l2_sp)
        return Recipe(rates, getattr(method.head, "dropout", 0.0), context.plan.batch_tokens, self.objective)

    def _tick(self) -> None:
        self.context.reporter.progress(fraction=self.context.features_share, step=0, steps=1, epoch=0, epochs=1)


def _carry_over(done: Prepared, then: Prepared) -> None:
    """Give the parameters of a phase to the next, where more of them learn."""
    with torch.no_grad():
        for name, parameter in done.source.parameters.items():
            then.source.parameters[name].copy_(parameter)


class _Told:
    """Progress, metrics and words of the loop, as the job's reporter wants them."""

    def __init__(self, context: Context, rows: int, loss: str) -> None:
        self._context, self._rows, self._loss = context, rows, loss
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
                    "name": self._loss,
                    "value": value,
                    "step": step,
                    "epoch": epoch,
                }
                self._context.reporter.event("metric", data)

    def warning(self, code: str, message: str) -> None:
        self._context.warn(code, message)

    def log(self, message: str) -> None:
        self._context.reporter.log(message)


class _Aside:
    """Steps of the head alone, before the first epoch of the job: words, and no numbers of the job's own."""

    def __init__(self, context: Context, tick: Callable[[], None]) -> None:
        self._context, self._tick = context, tick

    def step(self, *, step: int, steps: int, epoch: int) -> None:  # noqa: ARG002 - `training.Told`
        self._tick()

    def epoch(self, *, epoch: int, step: int, learning_rate: float, train_loss: float, validation_loss: float | None) -> None:  # noqa: ARG002
        losses = f"{train_loss:.4f} in training" + ("" if validation_loss is None else f", {validation_loss:.4f} in validation")
        self.log(f"Epoch {epoch:,}: loss {losses}; learning rate {learning_rate:.2g}.")

    def warning(self, code: str, message: str) -> None:
        self._context.warn(code, message)

    def log(self, message: str) -> None:
        self._context.reporter.log(f"Head first: {message}")
