"""The one training loop: heads on pooled features, and suffixes with their heads on what was cached at the boundary.

Axes: B batch, D width, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from headstart.engine.faults import ran_out_of_memory
from headstart.engine.group import group_now
from headstart.engine.heads import stepped
from headstart.engine.heads.linear import log_loss
from headstart.engine.losses import Objective
from headstart.engine.optimizers import Optimiser, Rates
from headstart.engine.sources import Rows, Source
from headstart.engine.views import Views
from headstart.errors import EngineFault
from headstart.planning.estimates import AUTO_BATCH
from headstart.specs.jobs import Training

SEED_STEP = 1_000_003
"""Between the seeds of two processes at one job: each drops out elements of its own rows."""

BUCKET_BATCHES = 50
"""Rows are shuffled, then sorted by length within so many batches: little padding, and still another order in each epoch."""


class Told(Protocol):
    """Who hears how it goes."""

    def step(self, *, step: int, steps: int, epoch: int) -> None: ...
    def epoch(self, *, epoch: int, step: int, learning_rate: float, train_loss: float, validation_loss: float | None) -> None: ...
    def warning(self, code: str, message: str) -> None: ...
    def log(self, message: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Trained:
    """The state of the best epoch."""

    head: stepped.Tensors
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
        objective: what is lowered. Epochs are judged by its class weights, and by cross-entropy otherwise.
    """

    rates: Rates
    dropout: float
    batch_tokens: int
    objective: Objective = field(default_factory=Objective)


def train(
    source: Source,
    head: stepped.Tensors,
    targets: NDArray[np.int64],
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
        head: where the head starts; not changed.
        targets: class numbers of all rows, [N].
        options: `epochs`, `optimizer`, `weight_decay`, `warmup`, `batch_size`, `clip_norm`, `patience` and `seed` are used.
        views: of `train_rows`; None: they are as they are.
        epochs: those of this phase, counted from 1; None: all. The learning rate rises and falls within them.
        before: the state to begin with, when an earlier phase led to it; it is what is kept if no epoch is better.

    Raises:
        EngineFault: `diverged` in the first epoch; `out_of_memory` when one row alone does not fit.
    """
    loop = _Loop(source, head, targets, views or Views(len(targets), train_rows), options, recipe, told)
    return loop.run(validation_rows, epochs or range(1, options.epochs + 1), before)


Through = Callable[[NDArray[np.float32]], NDArray[Any]]
"""What is made of some vectors [N, D], row by row."""


def embed_all(source: Source, rows: Rows, batch_tokens: int, through: Through = lambda vectors: vectors) -> NDArray[Any]:
    """Pooled vectors [N, D] of these rows, in eval mode, in their order, or what `through` makes of them; each row runs in one process."""
    return group_now().divided(rows, lambda share: _embedded(source, share, batch_tokens, through))


def _embedded(source: Source, rows: Rows, batch_tokens: int, through: Through) -> NDArray[Any]:
    if not len(rows):
        return _embedded(source, np.zeros(1, np.int64), batch_tokens, through)[:0]
    source.mode(training=False)
    lengths = source.lengths
    order, done = np.argsort(-lengths[rows], kind="stable"), 0
    values = np.empty(0)
    with torch.no_grad():
        for part in _parts(rows[order], lengths, batch_tokens, len(rows), alike=source.alike):
            made = through(source.embed(part).float().cpu().numpy())
            if not done:
                values = np.empty((len(rows), *made.shape[1:]), made.dtype)
            values[order[done : done + len(part)]] = made
            done += len(part)
    return values


class _Loop:
    def __init__(
        self,
        source: Source,
        head: stepped.Tensors,
        targets: NDArray[np.int64],
        views: Views,
        options: Training,
        recipe: Recipe,
        told: Told,
    ) -> None:
        self._source, self._targets, self._options, self._told = source, targets, options, told
        self._views, self._recipe, self._group = views, recipe, group_now()
        self._lengths = source.lengths  # once: a source may have to make them
        self._head = {name: nn.Parameter(torch.from_numpy(value).to(source.device, copy=True)) for name, value in head.items()}
        self._most_rows = 2**30

    def run(self, validation_rows: Rows, epochs: range, best: Trained | None) -> Trained:
        seed = self._options.seed + epochs.start - 1
        torch.manual_seed(seed + SEED_STEP * self._group.rank)  # dropout
        chance = np.random.default_rng(seed)
        size = AUTO_BATCH if self._options.batch_size == "auto" else self._options.batch_size
        per_epoch = -(-len(self._views.train) // size)
        steps = per_epoch * self._options.epochs
        parameters = {**self._source.parameters, **{f"head/{name}": parameter for name, parameter in self._head.items()}}
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
            losses = []
            for batch in _batches(self._views.of_epoch(epoch), self._lengths, size, chance):
                loss = self._step(batch)
                step += 1
                if not np.isfinite(loss):
                    return self._diverged(best, kept, epoch, step)
                losses.append(loss)
                rate = self._optimiser.learning_rate
                self._optimiser.advance()
                self._told.step(step=step, steps=steps, epoch=epoch)
            validation = self._validate(validation_rows) if len(validation_rows) else None
            mean = float(np.mean(losses))
            self._told.epoch(epoch=epoch, step=step, learning_rate=rate, train_loss=mean, validation_loss=validation)
            if validation is not None and not np.isfinite(validation):
                return self._diverged(best, kept, epoch, step)
            if best is None or validation is None or best.validation_loss is None or validation < best.validation_loss:
                best, waited = Trained(self._head_now(), epoch, step, validation), 0
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

    def _step(self, batch: Rows) -> float:
        """One step over `batch`, in as many parts as memory needs; the mean loss before it."""
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

    def _gather(self, batch: Rows) -> float:
        self._optimiser.forget_gradients()
        self._source.forget()
        total = self._group.added_up(lambda: self._passes(self._group.share(batch), len(batch)))
        if np.isfinite(total):
            self._source.collect()
            self._group.add_gradients(self._learning)
            self._optimiser.step()
            self._source.refresh()
        return total

    def _passes(self, rows: Rows, size: int) -> float:
        """Gradients of these rows of a batch of `size`, and their part of its loss."""
        total = 0.0
        for part in _parts(rows, self._lengths, self._recipe.batch_tokens, self._most_rows, alike=self._source.alike):
            scores = stepped.forward(self._head, self._source.embed(part), self._recipe.dropout)
            targets = torch.from_numpy(self._targets[self._views.row(part)]).to(scores.device)
            loss = self._recipe.objective.of(scores.float(), targets).sum() / size
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())  # waits for the device
        return total

    def _validate(self, rows: Rows) -> float:
        # the scores alone are kept: vectors of all rows, twice as wide for the head, would grow with the rows
        scores = embed_all(self._source, rows, self._recipe.batch_tokens, partial(stepped.logits, self._head_now()))
        return log_loss(scores, self._targets[rows], self._recipe.objective.weights)

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

    def _head_now(self) -> stepped.Tensors:
        return {name: parameter.detach().cpu().numpy().copy() for name, parameter in self._head.items()}


def _batches(rows: Rows, lengths: NDArray[np.int64], size: int, chance: np.random.Generator) -> Iterator[Rows]:
    """Every row once, in batches of like length, in random order."""
    shuffled = chance.permutation(rows)
    batches = []
    for start in range(0, len(shuffled), size * BUCKET_BATCHES):
        bucket = shuffled[start : start + size * BUCKET_BATCHES]
        ordered = bucket[np.argsort(lengths[bucket], kind="stable")]
        batches += [ordered[at : at + size] for at in range(0, len(ordered), size)]
    for number in chance.permutation(len(batches)):
        yield batches[number]


def _parts(batch: Rows, lengths: NDArray[np.int64], batch_tokens: int, most_rows: int, *, alike: bool) -> Iterator[Rows]:
    """A batch, whose rows lie by length, in pieces of at most `batch_tokens` padded units and `most_rows` rows; `alike`: of one length each."""
    start = 0
    while start < len(batch):
        end, longest = start, 0
        while end < len(batch) and end - start < most_rows:
            length = int(lengths[batch[end]])
            longest = max(longest, length)
            if end > start and (longest * (end - start + 1) > batch_tokens or (alike and length != int(lengths[batch[start]]))):
                break
            end += 1
        yield batch[start:end]
        start = end
