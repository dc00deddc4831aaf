"""What the suffix is fed with: the boundary's output from the cache, the same recomputed for each batch, or the inputs themselves.

Axes: B batch, T tokens or frames, D width.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headstart.engine.cache import FeatureCache, distinct
from headstart.engine.examples import Example, digests
from headstart.engine.features import SHARD_SECONDS, Floats, Halved, Progress, Rising, completed, computed_parts
from headstart.engine.group import group_now
from headstart.engine.inputs import Batch, Encoded
from headstart.engine.prefix import Prefix
from headstart.specs.backbones import Layer

SHARD_NUMBERS = 75_000_000
"""A shard is written after so many numbers: 300 MB, the most that waits in memory."""


class Feeder(Protocol):
    """What a suffix takes, by row number."""

    @property
    def encoded(self) -> Encoded: ...

    def __call__(self, rows: NDArray[np.int64]) -> tuple[Tensor | None, Batch]:
        """The boundary's output (None when the boundary is the input), and the inputs of these rows."""
        ...


@dataclass(frozen=True, slots=True)
class InputFeeder:
    """The inputs themselves: the boundary lies below the first layer."""

    encoded: Encoded

    def __call__(self, rows: NDArray[np.int64]) -> tuple[None, Batch]:
        return None, self.encoded.batch(rows)


@dataclass(frozen=True, slots=True)
class RecomputingFeeder:
    """The prefix run anew for each batch: what there would be to keep does not fit the budget."""

    prefix: Prefix
    encoded: Encoded

    def __call__(self, rows: NDArray[np.int64]) -> tuple[Tensor, Batch]:
        batch = self.encoded.batch(rows)
        return self.prefix.on_device(batch).clone(), batch  # a clone: inference tensors take no part in a backward pass


@dataclass(frozen=True, slots=True)
class CachedFeeder:
    """The boundary's output of each row, mapped from the cache as `Kept` has it."""

    encoded: Encoded
    pieces: list[Tensor]
    kept: Kept
    cache: FeatureCache
    """Kept so that it stays in use."""

    def __call__(self, rows: NDArray[np.int64]) -> tuple[Tensor, Batch]:
        return self.kept.batch([self.pieces[row] for row in rows]), self.encoded.skeleton(rows)


@dataclass(frozen=True, slots=True)
class Kept:
    """How a layer's output lies in the cache: vectors [T, D] of a row for one that goes with the example's length, else one long one.

    Attributes:
        sizes: of the layer's output for one example, without T.
        time: position of T among the axes after the batch; None without one.
    """

    sizes: tuple[int, ...]
    time: int | None

    @classmethod
    def of(cls, layers: Sequence[Layer]) -> Kept:
        """Of one layer, or of several whose vectors stand side by side."""
        (first, *others) = layers
        sizes = [size for size in first.output if isinstance(size, int)]
        for other in others:
            sizes[-1] += int(other.output[-1])
        return cls(tuple(sizes), first.output.index("T") if "T" in first.output else None)

    def rows(self, values: Floats, lengths: NDArray[np.int64] | None) -> list[Floats]:
        """The vectors of each row of a batch [B, …].

        Args:
            lengths: places of each row that are not padding, [B]; None: all.
        """
        if self.time is None:
            return [row.reshape(1, -1) for row in values]
        front = np.moveaxis(values, self.time + 1, 1)  # [B, T, …]
        return [
            np.ascontiguousarray(row if lengths is None else row[: lengths[number]]).reshape(-1, math.prod(self.sizes))
            for number, row in enumerate(front)
        ]

    def batch(self, pieces: Sequence[Tensor]) -> Tensor:
        """The layer's output for these rows again, padded with zeros, float32."""
        if self.time is None:
            return torch.stack([piece.reshape(self.sizes) for piece in pieces]).float()
        longest = max(len(piece) for piece in pieces)
        made = torch.zeros((len(pieces), longest, *self.sizes))
        for number, piece in enumerate(pieces):
            made[number, : len(piece)] = piece.reshape(len(piece), *self.sizes)
        return made.movedim(1, self.time + 1)


@dataclass(frozen=True, slots=True)
class Extraction:
    feeder: CachedFeeder
    rows_computed: int
    rows_reused: int
    units_computed: int
    seconds: float
    """0.0 when all came from the cache."""


def extract_activations(
    prefix: Prefix,
    encoded: Encoded,
    examples: Sequence[Example],
    *,
    alike: bool,
    batch_tokens: int,
    cache: FeatureCache,
    clock: Callable[[], float],
    progress: Progress,
    halved: Halved = lambda _: None,
) -> Extraction:
    """The boundary's output of every example, computed for those that the cache does not know, and read back from it.

    Args:
        prefix: that does not pool.
        encoded: of `examples`, in their order.

    Raises:
        EngineFault: as of `features.extract`.
        OSError: the cache cannot be written.
    """
    started, told = clock(), Rising(progress)
    rows = digests(examples)
    firsts, which = distinct(rows)
    unique, kept = rows[firsts], Kept.of(prefix.layers)
    known = cache.find(unique)
    group = group_now()
    whole = group.agrees(on=all(piece is not None for piece in known))
    rows_computed = units_computed = 0

    def compute(missing: NDArray[np.int64]) -> None:
        nonlocal units_computed
        writer = _Writer(cache, rows, None if alike else encoded.lengths, kept, clock)
        for part, values in computed_parts(prefix, encoded, firsts[missing], batch_tokens, alike=alike, progress=told, halved=halved):
            writer.keep(part, values)
        writer.flush()
        units_computed += int(encoded.lengths[firsts[missing]].sum())

    if not whole:
        rows_computed = completed(cache, unique, compute, told.again, group)
        units_computed = round(group.total(units_computed)[0])
        known = cache.find(unique)
    pieces = [piece for piece in known if piece is not None]
    return Extraction(
        feeder=CachedFeeder(encoded, [pieces[number] for number in which], kept, cache),
        rows_computed=rows_computed,
        rows_reused=len(examples) - rows_computed,
        units_computed=units_computed,
        seconds=0.0 if whole else clock() - started,
    )


class _Writer:
    """Gathers what was computed and writes a shard now and then."""

    def __init__(
        self, cache: FeatureCache, rows: NDArray[np.uint8], lengths: NDArray[np.int64] | None, kept: Kept, clock: Callable[[], float]
    ) -> None:
        self._cache, self._digests, self._lengths, self._kept, self._clock = cache, rows, lengths, kept, clock
        self._waiting: list[tuple[int, Floats]] = []
        self._since, self._held = clock(), 0

    def keep(self, part: NDArray[np.int64], values: Floats) -> None:
        pieces = self._kept.rows(values, None if self._lengths is None else self._lengths[part])
        self._waiting.extend(zip(part.tolist(), pieces, strict=True))
        self._held += values.size
        if self._held >= SHARD_NUMBERS or self._clock() - self._since >= SHARD_SECONDS:
            self.flush()

    def flush(self) -> None:
        if self._waiting:
            rows = np.fromiter((row for row, _ in self._waiting), np.int64, len(self._waiting))
            lengths = np.fromiter((len(piece) for _, piece in self._waiting), np.int64, len(self._waiting))
            self._cache.append(self._digests[rows], [piece for _, piece in self._waiting], lengths)
        self._waiting, self._since, self._held = [], self._clock(), 0
