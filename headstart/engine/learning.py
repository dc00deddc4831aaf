"""Fitting what learns: heads that are solved, or heads and perhaps a suffix by steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from headstart.engine.context import Context
from headstart.engine.embedding import embed_all
from headstart.engine.heads import HEADS, Given, HeadTensors, LabelledRows, stepped
from headstart.engine.losses import Objective
from headstart.engine.optimizers import Rates
from headstart.engine.preparing import Prepared
from headstart.engine.rows import TaskRows
from headstart.engine.sampling import by_dataset_and_task
from headstart.engine.sources import PooledSource
from headstart.engine.splits import Split
from headstart.engine.training import Learner, Losses, Recipe, Trained, train
from headstart.engine.vectors import Chosen, InOrder, all_of, in_memory, on_disk, width_of
from headstart.engine.views import Views
from headstart.errors import EngineFault, quote
from headstart.planning.schedule import rate_scales, spans
from headstart.specs.jobs import LEARNING_RATES, FineTuning
from headstart.specs.tasks import Reads


@dataclass(frozen=True, slots=True)
class Learnt:
    """Heads, what changed in the backbone (nothing, when it is frozen), and how far training went."""

    heads: list[HeadTensors]
    """In the order of the tasks."""
    delta: HeadTensors
    steps: int
    epoch: int


def learn(context: Context, phases: Sequence[Prepared], tasks: Sequence[TaskRows], split: Split, views: Views) -> Learnt:
    """Fit on the training rows; the validation rows choose among strengths or epochs; the test rows are not looked at.

    Args:
        phases: what each phase of the epochs starts from, one unless there is a schedule; the last is left as the model now is.
        views: of the training rows.

    Raises:
        EngineFault: `bad_data`, a task has nothing to learn from; `diverged`, what was learnt is not finite.
    """
    options = context.spec.training
    for task in tasks:
        if not task.asked(split.train)[1].any():
            message = f"No word that the task {quote(task.task.name)} could learn from is read."
            raise EngineFault("bad_data", message, "Raise training.max_tokens.")
    objectives = [task.kind.objective(options, task.plan.classes, task.targets[task.among(split.train)]) for task in tasks]
    fitting = _Fitting(context, tasks, split, views, objectives)
    if not context.stepped:
        return Learnt(fitting.at_once(phases[0]), {}, 1, 1)
    trained = fitting.by_steps(phases)
    delta = {name: parameter.detach().cpu().numpy().copy() for name, parameter in phases[-1].source.parameters.items()}
    return Learnt(trained.heads, delta, trained.steps, trained.epoch)


def features_of(context: Context, prepared: Prepared, rows: NDArray[np.int64]) -> Mapping[Reads, InOrder]:
    """What heads read of these rows as the model now gives it: [N, D] of whole examples, [W, D] of words."""
    if isinstance(prepared.source, PooledSource) and prepared.source.values is not None:
        values = prepared.source.values
        # what is computed when it is asked for is asked for once
        return {"example": Chosen(values, rows) if isinstance(values, np.ndarray) else values[rows]}
    return embed_all(prepared.source, rows, context.plan.batch_tokens)


@dataclass(frozen=True, slots=True)
class _Fitting:
    context: Context
    tasks: Sequence[TaskRows]
    split: Split
    views: Views
    objectives: Sequence[Objective]

    def at_once(self, prepared: Prepared) -> list[HeadTensors]:
        """The heads that their kind finds for the features as they are."""
        places, validation = self.views.every(), self.split.validation
        features = features_of(self.context, prepared, np.concatenate([places, validation]))
        heads = []
        for task, objective in zip(self.tasks, self.objectives, strict=True):
            rows = self.views.row(places)
            read = features[task.reads]
            seen, judged = np.split(np.arange(len(read)), [len(task.asked(rows)[1])])
            parts = self._labelled(task, Chosen(read, seen), rows), self._labelled(task, Chosen(read, judged), validation)
            heads.append(self._solved(task, objective, *parts))
        return heads

    def _solved(self, task: TaskRows, objective: Objective, train: LabelledRows, validation: LabelledRows) -> HeadTensors:
        head = self.context.spec.method.head
        fit = HEADS[head.type].fit
        assert fit is not None  # noqa: S101 - else the spec's class says that it is stepped
        how, of = "solved" if head.has_loss else "computed", f" for {quote(task.task.name)}" if len(self.tasks) > 1 else ""
        what = "words" if task.reads == "words" else "rows"
        self.context.reporter.log(f"A {head.type} head{of} is {how} on {len(train.targets):,} {what}.")
        # where features need not be kept for a job to run, it needs no disk either
        keep = on_disk(self.context.cache_root) if self.context.plan.cache.mode == "cached" else in_memory
        found = fit(head, Given(train, validation, task.plan.outputs, objective, self._tick, keep))
        if not all(np.isfinite(tensor).all() for tensor in found.values()):
            message = f"The head of the task {quote(task.task.name)} came to numbers that are not finite."
            raise EngineFault("diverged", message, "Look for numbers out of all proportion in the columns that the task names.")
        return found

    def _labelled(self, task: TaskRows, vectors: InOrder, rows: NDArray[np.int64]) -> LabelledRows:
        """What the head reads and learns for those of `rows`, or of their words, that have its answer; `vectors` are of all of them."""
        answers, there = task.asked(rows)
        return LabelledRows(task.read(vectors, rows, there), answers[there])

    def by_steps(self, phases: Sequence[Prepared]) -> Trained:
        """The heads with what learns of the backbone, phase by phase; each goes on from the best epoch so far."""
        context, options = self.context, self.context.spec.training
        recipe = self._recipe(options.learning_rate or LEARNING_RATES[context.spec.method.type])
        firsts = [phase.epoch for phase in context.plan.phases] or [1]
        heads, best = self._start(phases[0]), None
        for number, (epochs, prepared) in enumerate(zip(spans(firsts, options.epochs), phases, strict=True)):
            if number:
                _carry_over(phases[number - 1], prepared)
                context.reporter.log(
                    f"Epoch {epochs.start:,}: {context.plan.phases[number].parameters:,} parameters of the backbone learn now."
                )
            best = train(
                prepared.source.for_training(options),
                self._learners(heads),
                self.split.train,
                self.split.validation,
                options,
                recipe,
                told=_Told(context, len(self.split.train), [objective.name for objective in self.objectives]),
                views=self.views,
                epochs=epochs,
                before=best,
            )
            heads = best.heads
        assert best is not None  # noqa: S101 - there is a phase
        return best

    def _learners(self, heads: Sequence[HeadTensors], rows: NDArray[np.int64] | slice = slice(None)) -> list[Learner]:
        """The tasks for the loop, from these heads on; of some rows."""
        return [
            Learner(
                head,
                task.targets[rows],
                task.labelled[rows],
                objective,
                None if task.numbers is None else task.numbers[rows],
                task.task.weight,
            )
            for head, task, objective in zip(heads, self.tasks, self.objectives, strict=True)
        ]

    def _start(self, prepared: Prepared) -> list[HeadTensors]:
        """Random by the seed; or, when the backbone learns too and the spec wants the head first, where the head alone ends (LP-FT).

        Source: Kumar et al. 2022, "Fine-Tuning can Distort Pretrained Features and Underperform Out-of-Distribution".
        """
        head, start = self.context.spec.method.head, HEADS[self.context.spec.method.head.type].start
        if not head.stepped:
            return self.at_once(prepared)
        assert start is not None  # noqa: S101 - else the spec's class says that it is not stepped
        widths = {read: width_of(vectors) for read, vectors in features_of(self.context, prepared, self.split.train[:1]).items()}
        generator = torch.Generator().manual_seed(self.context.spec.training.seed)
        random = [
            stepped.in_unit(
                start(head, widths[task.reads] + sum(extra.width for extra in task.extras), task.plan.outputs, generator), objective.unit
            )
            for task, objective in zip(self.tasks, self.objectives, strict=True)
        ]
        epochs = getattr(self.context.spec.method, "head_first_epochs", 0)
        return self._head_first(prepared, random, epochs) if epochs else random

    def _head_first(self, prepared: Prepared, start: Sequence[HeadTensors], epochs: int) -> list[HeadTensors]:
        """The heads alone, on the features as they are; each row goes through the backbone once, in one of its views."""
        rows = np.concatenate([self.split.train, self.split.validation])
        read, words = features_of(self.context, prepared, rows), prepared.source.words
        of_words = None if "words" not in read else all_of(read["words"])
        source = PooledSource(read.get("example"), of_words, None if words is None else words[rows], device=self.context.backbone.device)
        train_rows, validation_rows = np.split(np.arange(len(rows)), [len(self.split.train)])
        options = self.context.spec.training.model_copy(update={"epochs": epochs, "patience": None})
        recipe = self._recipe(LEARNING_RATES["feature-extraction"])
        told = _Aside(self.context, self._tick)
        return train(source, self._learners(start, rows), train_rows, validation_rows, options, recipe, told=told).heads

    def _recipe(self, learning_rate: float) -> Recipe:
        context, method = self.context, self.context.spec.method
        rates = Rates(learning_rate)
        if isinstance(method, FineTuning):
            names = context.plan.trainable.names
            anchors = {name: context.backbone.module.get_parameter(name).detach() for name in names} if method.l2_sp else {}
            scales = rate_scales(names, context.backbone.anatomy, method.layer_decay) if method.layer_decay < 1 else {}
            rates = Rates(learning_rate, scales, anchors, method.l2_sp)
        return Recipe(
            rates, getattr(method.head, "dropout", 0.0), context.plan.batch_tokens, context.spec.training.balancing, self._groups()
        )

    def _groups(self) -> NDArray[np.int64] | None:
        """Groups of training rows that an epoch draws from alike, [N, 2]: by dataset, and in it by the rarest task that a row teaches."""
        if self.context.spec.training.sampling == "proportional" or len(self.tasks) == 1:
            return None
        labelled = np.stack([task.labelled[self.split.train] for task in self.tasks], axis=1)
        return by_dataset_and_task(labelled, [task.source for task in self.tasks])

    def _tick(self) -> None:
        self.context.reporter.progress(fraction=self.context.features_share, step=0, steps=1, epoch=0, epochs=1)


def _carry_over(done: Prepared, then: Prepared) -> None:
    """Give the parameters of a phase to the next, where more of them learn."""
    with torch.no_grad():
        for name, parameter in done.source.parameters.items():
            then.source.parameters[name].copy_(parameter)


class _Told:
    """Progress, metrics and words of the loop, as the job's reporter wants them."""

    def __init__(self, context: Context, rows: int, names: Sequence[str]) -> None:
        self._context, self._rows, self._names = context, rows, names
        self._began = self._stepped = context.clock()

    def step(self, *, step: int, steps: int, epoch: int) -> None:
        context = self._context
        self._stepped = context.clock()
        fraction = context.features_share + (0.95 - context.features_share) * step / steps
        context.reporter.progress(fraction=fraction, step=step, steps=steps, epoch=epoch, epochs=context.spec.training.epochs)

    def epoch(self, *, epoch: int, step: int, learning_rate: float, losses: Sequence[Losses]) -> None:
        rows = self._rows / max(self._stepped - self._began, 1e-6)
        of = f"{epoch:,} of {self._context.spec.training.epochs:,}"
        self.log(f"Epoch {of}: {_in_words(self._context, losses)}; learning rate {learning_rate:.2g}, {rows:,.0f} rows a second.")
        self._began = self._context.clock()
        for task, name, each in zip(self._context.spec.tasks, self._names, losses, strict=True):
            for split, value in (("train", each.train), ("validation", each.validation)):
                if value is not None and np.isfinite(value):
                    self._context.metric(task.name, split, name, value, step=step, epoch=epoch)

    def tasks(self, *, epoch: int, step: int, weights: Sequence[float], cosines: Sequence[Sequence[float | None]]) -> None:
        names = [task.name for task in self._context.spec.tasks]
        told = [(name, "weight", weight) for name, weight in zip(names, weights, strict=True)]
        for one, row in enumerate(cosines):
            told += [(names[one], f"cosine.{names[other]}", value) for other, value in enumerate(row) if other > one and value is not None]
        for name, metric, value in told:
            self._context.metric(name, "train", metric, value, step=step, epoch=epoch)

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

    def epoch(self, *, epoch: int, step: int, learning_rate: float, losses: Sequence[Losses]) -> None:  # noqa: ARG002
        self.log(f"Epoch {epoch:,}: {_in_words(self._context, losses)}; learning rate {learning_rate:.2g}.")

    def tasks(self, *, epoch: int, step: int, weights: Sequence[float], cosines: Sequence[Sequence[float | None]]) -> None:
        """Of the job's own epochs alone."""

    def warning(self, code: str, message: str) -> None:
        self._context.warn(code, message)

    def log(self, message: str) -> None:
        self._context.reporter.log(f"Head first: {message}")


def _in_words(context: Context, losses: Sequence[Losses]) -> str:
    """The losses of an epoch, by task when there are several."""
    told = []
    for task, each in zip(context.spec.tasks, losses, strict=True):
        parts = [
            f"{value:.4f} in {split}" for value, split in ((each.train, "training"), (each.validation, "validation")) if value is not None
        ]
        told.append((f"{task.name} " if len(losses) > 1 else "") + (", ".join(parts) or "not seen"))
    return "loss " + "; ".join(told)
