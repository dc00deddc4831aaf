"""The one training loop: heads on pooled features, and suffixes with their heads on what was cached at the boundary.

Several tasks share a batch: the backbone runs once, and each head learns from the rows that have its answer, or from their words.

Axes: B batch, D width, F numbers of extra columns, K numbers that a head gives, N rows, V vectors of rows: one each, or one for each word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from headstart.engine.balancing import Weighed, make_balancer, task_cosines, task_gradients
from headstart.engine.batches import parts_of, shuffled_batches
from headstart.engine.embedding import embed_all
from headstart.engine.faults import ran_out_of_memory
from headstart.engine.group import group_now
from headstart.engine.heads import stepped
from headstart.engine.losses import Objective, Squares
from headstart.engine.optimizers import Optimiser, Rates
from headstart.engine.readout import Read
from headstart.engine.sampling import Sampler
from headstart.engine.sources import Rows, Source
from headstart.engine.tasks.tagged import Answers, asked, for_each, reads
from headstart.engine.views import Views
from headstart.errors import EngineFault
from headstart.planning.estimates import AUTO_BATCH
from headstart.specs.balancing import Balancing, FixedWeights
from headstart.specs.jobs import Training
from headstart.specs.tasks import Reads

SEED_STEP = 1_000_003
"""Between the seeds of two processes at one job: each drops out elements of its own rows."""


@dataclass(frozen=True, slots=True)
class Losses:
    """A task's mean loss of an epoch; None where no row has its answer."""

    train: float | None
    validation: float | None


class Told(Protocol):
    """Who hears how it goes."""

    def step(self, *, step: int, steps: int, epoch: int) -> None: ...
    def epoch(self, *, epoch: int, step: int, learning_rate: float, losses: Sequence[Losses]) -> None:
        """`losses`: of each task, in the order of the learners."""
        ...

    def tasks(self, *, epoch: int, step: int, weights: Sequence[float], cosines: Sequence[Sequence[float | None]]) -> None:
        """What each task's loss counts, and the cosines of their gradients [K, K] in the epoch's first step; of several tasks."""
        ...

    def warning(self, code: str, message: str) -> None: ...
    def log(self, message: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Trained:
    """The state of the best epoch."""

    heads: list[stepped.Tensors]
    epoch: int
    steps: int
    validation_loss: float | None


@dataclass(frozen=True, slots=True)
class Recipe:
    """How steps are taken.

    Attributes:
        rates: how fast parameters learn, and what holds them back; a head's are named `head/…`.
        dropout: of the head.
        batch_tokens: most tokens that go through at once, padding included.
        balancing: what the losses of several tasks count.
        groups: of each training row, as `Sampler` takes them, from which an epoch draws alike; None: each row is seen once.
    """

    rates: Rates
    dropout: float
    batch_tokens: int
    balancing: Balancing = field(default_factory=FixedWeights)
    groups: Rows | None = None


@dataclass(frozen=True, slots=True)
class Learner:
    """A task in the loop.

    Attributes:
        head: where its head starts; not changed.
        targets: of all rows, [N, …]; or of their words.
        labelled: whether a row has an answer, [N].
        objective: what is lowered.
        numbers: what the head reads beside the vectors, [N, F]; None: nothing.
        weight: of its loss.
    """

    head: stepped.Tensors
    targets: Answers
    labelled: NDArray[np.bool_]
    objective: Objective
    numbers: NDArray[np.float32] | None = None
    weight: float = 1.0

    @property
    def reads(self) -> Reads:
        """Whose vectors the head reads."""
        return reads(self.targets)

    def asked(self, rows: Rows) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """What each vector of these rows stands for, [V, …], and whether it is to be learnt from, [V]."""
        return asked(self.targets, self.labelled, rows)

    def beside(self, rows: Rows) -> NDArray[np.float32] | None:
        """What the head reads beside each vector of these rows, [V, F]."""
        return None if self.numbers is None else for_each(self.numbers, self.targets, rows)


def train(
    source: Source,
    learners: Sequence[Learner],
    train_rows: Rows,
    validation_rows: Rows,
    options: Training,
    recipe: Recipe,
    *,
    told: Told,
    views: Views | None = None,
    epochs: range | None = None,
    before: Trained | None = None,
) -> Trained:
    """Minibatches; leaves `source.parameters` at the epoch with the least validation loss (the last, without validation).

    Gradients of a batch that does not fit `batch_tokens`, or the memory, are gathered from its parts: the effective batch stays.
    Of several processes each takes its share of the rows of every batch, and all end with the same parameters.

    Args:
        options: `epochs`, `optimizer`, `weight_decay`, `warmup`, `batch_size`, `clip_norm`, `patience` and `seed` are used.
        views: of `train_rows`; None: they are as they are.
        epochs: those of this phase, counted from 1; None: all. The learning rate rises and falls within them.
        before: the state to begin with, when an earlier phase led to it; it is what is kept if no epoch is better.

    Raises:
        EngineFault: `diverged` in the first epoch; `out_of_memory` when one row alone does not fit.
    """
    loop = _Loop(source, learners, views or Views(len(learners[0].labelled), train_rows), options, recipe, told)
    return loop.run(validation_rows, epochs or range(1, options.epochs + 1), before)


class _Loop:
    def __init__(
        self,
        source: Source,
        learners: Sequence[Learner],
        views: Views,
        options: Training,
        recipe: Recipe,
        told: Told,
    ) -> None:
        self._source, self._learners, self._options, self._told = source, learners, options, told
        self._views, self._recipe, self._group = views, recipe, group_now()
        self._lengths = source.lengths  # once: a source may have to make them
        self._heads = [
            {name: nn.Parameter(torch.from_numpy(value).to(source.device, copy=True)) for name, value in _as_learnt(each).items()}
            for each in learners
        ]
        self._most_rows = 2**30
        weighed = [Weighed(each.weight, isinstance(each.objective, Squares)) for each in learners]
        self._balancer = make_balancer(recipe.balancing, weighed, self._group.total)
        self._cosines: list[list[float | None]] | None = None

    def run(self, validation_rows: Rows, epochs: range, best: Trained | None) -> Trained:
        seed = self._options.seed + epochs.start - 1
        torch.manual_seed(seed + SEED_STEP * self._group.rank)  # dropout
        chance = np.random.default_rng(seed)
        groups = self._recipe.groups
        sampler = None if groups is None else Sampler(groups, "balanced", chance)
        size = AUTO_BATCH if self._options.batch_size == "auto" else self._options.batch_size
        per_epoch = -(-len(self._views.train) // size)
        steps = per_epoch * self._options.epochs
        heads = {f"head/{number}/{name}": each for number, head in enumerate(self._heads) for name, each in head.items()}
        parameters = {**self._source.parameters, **heads}
        self._learning = list(parameters.values())
        if self._group.size > 1:
            self._group.make_equal(self._learning)
            self._source.refresh()
        self._optimiser = Optimiser(parameters, self._source.tables, self._options, self._recipe.rates, per_epoch * len(epochs))
        self._told.log(f"{per_epoch * len(epochs):,} steps in {len(epochs):,} epochs, {size:,} rows a step; {self._options.optimizer}.")
        kept = [] if best is None else self._parameters_now()
        step, waited, rate = (epochs.start - 1) * per_epoch, 0, 0.0
        for epoch in epochs:
            self._source.mode(training=True)
            losses: list[list[float | None]] = []
            self._cosines = None
            places = self._views.of_epoch(epoch)
            if sampler is not None:
                places = places[sampler.of_epoch(epoch - epochs.start)]
            for batch in shuffled_batches(places, self._lengths, size, chance):
                told = self._step(batch)
                step += 1
                if not np.isfinite(self._total(told)):
                    return self._diverged(best, kept, epoch, step)
                losses.append(told)
                rate = self._optimiser.learning_rate
                self._optimiser.advance()
                self._told.step(step=step, steps=steps, epoch=epoch)
            by_task = self._validate(validation_rows)
            validation = None if all(loss is None for loss in by_task) else self._total(by_task)
            pairs = zip(zip(*losses, strict=True), by_task, strict=True)
            self._told.epoch(epoch=epoch, step=step, learning_rate=rate, losses=[Losses(_mean(train), judged) for train, judged in pairs])
            if len(self._learners) > 1:
                self._told.tasks(epoch=epoch, step=step, weights=self._balancer.weights(), cosines=self._cosines or [])
            if validation is not None and not np.isfinite(validation):
                return self._diverged(best, kept, epoch, step)
            if best is None or validation is None or best.validation_loss is None or validation < best.validation_loss:
                best, waited = Trained(self._heads_now(), epoch, step, validation), 0
                kept = self._parameters_now()
            else:
                waited += 1
                if self._options.patience is not None and waited >= self._options.patience:
                    self._told.log(f"Stopped early: {waited:,} epochs brought no lower loss in validation.")
                    break
        assert best is not None  # noqa: S101 - a phase has an epoch
        self._told.log(f"The state after epoch {best.epoch:,} is kept.")
        self._restore(kept)
        return best

    def _step(self, batch: Rows) -> list[float | None]:
        """One step over `batch`, in as many parts as memory needs; each task's mean loss before it, None where no row has its answer."""
        while True:
            try:
                return self._gather(batch)
            except (RuntimeError, MemoryError) as fault:
                if not ran_out_of_memory(fault):
                    raise
                if len(batch) == 1 or self._most_rows == 1:
                    raise EngineFault(
                        "out_of_memory", "One row alone needs more memory than there is.", "Lower training.max_tokens."
                    ) from fault
            self._most_rows = max(1, min(self._most_rows, len(batch)) // 2)
            self._told.warning("out_of_memory", f"Memory ran out; batches run in parts of {self._most_rows} rows, of the same size in all.")

    def _gather(self, batch: Rows) -> list[float | None]:
        self._optimiser.forget_gradients()
        self._source.forget()
        counts = [int(each.asked(self._views.row(batch))[1].sum()) for each in self._learners]
        rows = self._group.share(batch)
        self._balancer.begin(lambda: self._look(rows, counts))
        summed = self._group.added_up(lambda: self._passes(rows, counts), len(counts))
        losses = [loss if count else None for loss, count in zip(summed, counts, strict=True)]
        if np.isfinite(self._total(losses)):
            self._source.collect()
            self._group.add_gradients(self._learning)
            self._optimiser.step()
            self._source.refresh()
            self._balancer.after_step(lambda: self._look(rows, counts))
        return losses

    def _passes(self, rows: Rows, counts: Sequence[int]) -> list[float]:
        """Gradients of these rows of a batch, and their parts of its losses; `counts`: the batch's rows, or words, with each task's answer."""
        totals = [0.0] * len(counts)
        for part in parts_of(rows, self._lengths, self._recipe.batch_tokens, self._most_rows, alike=self._source.alike):
            read, places = self._source.embed(part), self._views.row(part)
            for vectors in read.values() if self._balancer.compares else ():
                if not vectors.requires_grad:
                    vectors.requires_grad_()
            losses = [self._loss(number, read, places, count) for number, count in enumerate(counts)]
            told = [0.0 if loss is None else float(loss.detach()) for loss in losses]  # waits for the device
            totals = [total + loss for total, loss in zip(totals, told, strict=True)]
            if not np.isfinite(told).all():
                break  # no step will be taken
            if len(losses) > 1 and self._cosines is None:
                self._cosines = task_cosines(task_gradients(losses, self._source.shared)) if self._source.shared else []
            self._balancer.backward(losses, list(read.values()))
        return totals

    @torch.no_grad()
    def _look(self, rows: Rows, counts: Sequence[int]) -> list[float | None]:
        """Each task's part of its mean loss in these rows of a batch, as it is now; None when none of them has its answer."""
        totals: list[float | None] = [None] * len(counts)
        for part in parts_of(rows, self._lengths, self._recipe.batch_tokens, self._most_rows, alike=self._source.alike):
            read, places = self._source.embed(part), self._views.row(part)
            for number, count in enumerate(counts):
                loss = self._loss(number, read, places, count)
                if loss is not None:
                    totals[number] = (totals[number] or 0.0) + float(loss)
        return totals

    def _loss(self, number: int, read: Read, places: Rows, count: int) -> Tensor | None:
        """A task's part of its mean loss over `count` rows, or words, of the batch; None when none of these rows has its answer."""
        learner = self._learners[number]
        answers, there = learner.asked(places)
        if not there.any():
            return None
        vectors, numbers = read[learner.reads], learner.beside(places)
        if numbers is not None:
            vectors = torch.cat([vectors, torch.from_numpy(numbers).to(vectors.device, vectors.dtype)], dim=1)  # [V, D + F]
        if not there.all():
            vectors, answers = vectors[torch.from_numpy(there).to(vectors.device)], answers[there]
        scores = stepped.forward(self._heads[number], vectors, self._recipe.dropout)
        return learner.objective.of(scores.float(), torch.from_numpy(answers).to(scores.device)).sum() / count

    def _total(self, losses: Sequence[float | None]) -> float:
        """What the step lowers, of each task's loss."""
        return sum(each.weight * loss for each, loss in zip(self._learners, losses, strict=True) if loss is not None)

    def _validate(self, rows: Rows) -> list[float | None]:
        """Each task's loss; None when none of the rows has its answer."""
        if not len(rows):
            return [None] * len(self._learners)
        heads = [{name: value.detach().cpu().numpy() for name, value in head.items()} for head in self._heads]
        readers = {read: [number for number, each in enumerate(self._learners) if each.reads == read] for read in get_args(Reads)}

        def scores_of(read: Reads, vectors: NDArray[np.float32], part: Rows) -> NDArray[np.float64]:
            # the scores alone are kept: vectors of all rows, twice as wide for the head, would grow with the rows
            beside = [self._learners[number].beside(part) for number in readers[read]]
            given = [vectors if numbers is None else np.hstack([vectors, numbers]) for numbers in beside]
            return np.hstack([stepped.logits(heads[number], each) for number, each in zip(readers[read], given, strict=True)])

        judged: list[float | None] = [None] * len(self._learners)
        for read, scores in embed_all(self._source, rows, self._recipe.batch_tokens, scores_of).items():
            ends = np.cumsum([stepped.outputs(heads[number]) for number in readers[read]])[:-1]
            for number, given in zip(readers[read], np.split(scores, ends, axis=1), strict=True):
                answers, there = self._learners[number].asked(rows)
                if there.any():
                    judged[number] = self._learners[number].objective.judge(given[there], answers[there])
        return judged

    def _diverged(self, best: Trained | None, kept: list[Tensor], epoch: int, step: int) -> Trained:
        message = f"The loss was no longer finite in epoch {epoch}, step {step}"
        if best is None:
            raise EngineFault("diverged", f"{message}.", "Lower training.learning_rate.")
        self._told.warning("diverged", f"{message}; the state after epoch {best.epoch} is kept. Lower training.learning_rate.")
        self._restore(kept)
        return best

    def _restore(self, kept: list[Tensor]) -> None:
        with torch.no_grad():
            for parameter, value in zip(self._source.parameters.values(), kept, strict=True):
                parameter.copy_(value)

    def _parameters_now(self) -> list[Tensor]:
        return [parameter.detach().clone() for parameter in self._source.parameters.values()]

    def _heads_now(self) -> list[stepped.Tensors]:
        """As they answer, in the unit that is meant."""
        return [
            stepped.in_unit({name: parameter.detach().cpu().numpy().copy() for name, parameter in head.items()}, each.objective.unit)
            for head, each in zip(self._heads, self._learners, strict=True)
        ]


def _as_learnt(learner: Learner) -> stepped.Tensors:
    """Its head in the unit in which it learns."""
    scale, shift = learner.objective.unit
    return stepped.in_unit(learner.head, (1 / scale, -shift / scale))


def _mean(losses: Sequence[float | None]) -> float | None:
    """Over the batches that had the task's answers."""
    there = [loss for loss in losses if loss is not None]
    return float(np.mean(there)) if there else None
