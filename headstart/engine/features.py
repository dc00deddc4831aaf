"""Features: each example once through the frozen prefix, and never again while the cache holds it.

Axes: N rows, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from headstart.engine.batches import plan_batches
from headstart.engine.cache import FeatureCache, distinct
from headstart.engine.examples import Example, Picked, digests
from headstart.engine.faults import ran_out_of_memory
from headstart.engine.group import Group, group_now
from headstart.engine.inputs import Batch, Encoded, Preprocessor, ahead
from headstart.engine.prefix import Prefix
from headstart.errors import EngineFault

SHARD_ROWS = 4096
SHARD_SECONDS = 10.0
"""A shard is written after so many rows or seconds: what a killed attempt loses at most."""

Floats = NDArray[np.float32]

Progress = Callable[[float, int, int], None]
"""(share of the units done, batches done, batches in all)."""

Parts = Iterator[tuple[NDArray[np.int64], Floats]]
"""Row numbers of each batch, and what the prefix gives for them."""

Halved = Callable[[int], None]
"""Told how many rows the parts of a batch have that did not fit the memory."""


class Rising:
    """Progress that never goes back, and that can be told again while another process computes."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._told = (0.0, 0, 1)

    def __call__(self, share: float, step: int, steps: int) -> None:
        self._told = (max(share, self._told[0]), step, steps)
        self.again()

    def again(self) -> None:
        self._progress(*self._told)


@dataclass(frozen=True, slots=True)
class Features:
    values: Floats  # [N, D]
    rows_computed: int
    rows_reused: int
    units_computed: int
    seconds: float
    """Spent on rows that were not in the cache; 0.0 when all were."""


def extract(
    prefix: Prefix,
    preprocessor: Preprocessor,
    examples: Sequence[Example],
    *,
    limit: int | None,
    batch_tokens: int,
    cache: FeatureCache | None,
    clock: Callable[[], float],
    progress: Progress,
    halved: Halved = lambda _: None,
) -> Features:
    """The features of `examples`; those that are equal, or known to the cache, are not computed again.

    `rows_reused` counts rows as given: a second row with the same content is a row reused.

    Raises:
        EngineFault: `out_of_memory` when even one row alone does not fit; `bad_data` when an example cannot be read;
            `diverged` when the prefix gives numbers that are not finite.
        OSError: the cache cannot be written.
    """
    started, told = clock(), Rising(progress)
    rows = digests(examples)
    firsts, which = distinct(rows)
    unique = rows[firsts]
    units_computed = 0

    def parts_of(missing: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], Floats]]:
        nonlocal units_computed
        encoded = preprocessor.encode(Picked(examples, firsts[missing]), limit)
        units_computed += int(encoded.lengths.sum())
        return computed_parts(
            prefix, encoded, np.arange(len(missing)), batch_tokens, alike=preprocessor.alike, progress=told, halved=halved
        )

    group = group_now()
    if cache is None:
        values = group.divided(np.arange(len(unique)), lambda missing: gathered(parts_of(missing), len(missing)))[which]
        rows_computed = len(unique)
    elif group.agrees(on=bool(cache.knows(unique).all())):
        return Features(cache.lookup(rows)[0], 0, len(examples), 0, 0.0)
    else:

        def keep(missing: NDArray[np.int64]) -> None:
            keeper = _Keeper(cache, unique[missing], clock)
            for places, computed in parts_of(missing):
                keeper.keep(places, computed)
            keeper.flush()

        rows_computed = completed(cache, unique, keep, told.again, group)
        values = cache.lookup(rows)[0]  # of all rows at once: picked from those of `unique` they would be held twice
    units = round(group.total(units_computed)[0])
    return Features(values, rows_computed, len(examples) - rows_computed, units, clock() - started)


def completed(
    cache: FeatureCache, rows: NDArray[np.uint8], compute: Callable[[NDArray[np.int64]], object], tick: Callable[[], None], group: Group
) -> int:
    """See to it that all of these rows are in the cache; how many were computed, in all processes of the job together.

    Each process begins with its own share: whoever came first would claim every row.

    Args:
        rows: digests that differ, uint8 [N, 32].
        compute, tick: as of `FeatureCache.complete`.
    """
    places, computed = group.share(np.arange(len(rows))), 0
    if 0 < len(places) < len(rows):
        computed += cache.complete(rows[places], lambda missing: compute(places[missing]), tick)
    computed += cache.complete(rows, compute, tick)
    return min(round(group.total(computed)[0]), len(rows))  # processes that see different disks compute rows several times


@dataclass(frozen=True, slots=True)
class Recomputed:
    """Features that nobody keeps: computed whenever they are asked for, by the number of an example."""

    prefix: Prefix
    preprocessor: Preprocessor
    examples: Sequence[Example]
    limit: int | None
    batch_tokens: int
    halved: Halved

    def __getitem__(self, rows: NDArray[np.int64]) -> Floats:
        """[N, D] of these examples, in this order."""
        encoded = self.preprocessor.encode(Picked(self.examples, rows), self.limit)
        alike, places = self.preprocessor.alike, np.arange(len(rows))
        parts = computed_parts(self.prefix, encoded, places, self.batch_tokens, alike=alike, halved=self.halved)
        return gathered(parts, len(rows))

    def __len__(self) -> int:
        return len(self.examples)


def gathered(parts: Iterable[tuple[NDArray[np.int64], Floats]], rows: int) -> Floats:
    """[N, D] of what `computed_parts` gives, in the order of the rows."""
    values = np.empty((rows, 0), np.float32)
    for places, computed in parts:
        if not values.shape[1]:
            values = np.empty((rows, computed.shape[1]), np.float32)
        values[places] = computed
    return values


def computed_parts(
    prefix: Prefix,
    encoded: Encoded,
    rows: NDArray[np.int64],
    batch_tokens: int,
    *,
    alike: bool,
    progress: Progress = lambda _share, _done, _all: None,
    halved: Halved = lambda _: None,
) -> Iterator[tuple[NDArray[np.int64], Floats]]:
    """Row numbers of each batch, and what the prefix gives for them, [B, D] or of the layer's own shape.

    While one batch is computed the next is made: texts are padded, images and recordings decoded.

    Raises:
        EngineFault: as of `extract`.
    """
    lengths = encoded.lengths
    batches = [rows[part] for part in plan_batches(lengths[rows], batch_tokens, alike=alike)]
    total, done = max(1, int(lengths[rows].sum())), 0
    for number, (part, batch) in enumerate(zip(batches, ahead(encoded, batches), strict=True), start=1):
        yield part, _run(prefix, encoded, part, batch, halved)
        done += int(lengths[part].sum())
        progress(done / total, number, len(batches))


def _run(prefix: Prefix, encoded: Encoded, rows: NDArray[np.int64], batch: Batch, halved: Halved) -> Floats:
    """One batch, in halves when memory runs out."""
    try:
        computed = prefix.features(batch)
    except (RuntimeError, MemoryError) as fault:
        if not ran_out_of_memory(fault):
            raise
        if len(rows) == 1:
            raise EngineFault(
                "out_of_memory",
                "One example alone needs more memory than there is.",
                "Lower training.max_tokens, or take a smaller backbone.",
            ) from fault
    else:
        if not bool(torch.isfinite(computed).all()):
            raise EngineFault(
                "diverged", f"The backbone gives numbers that are not finite in {prefix.dtype}.", "Set training.dtype to 'float32'."
            )
        return computed.numpy()
    # outside the handler: there the traceback would still hold the tensors of the failed batch
    middle = len(rows) // 2
    halved(len(rows) - middle)
    halves = [_run(prefix, encoded, part, encoded.batch(part), halved) for part in (rows[:middle], rows[middle:])]
    longest = [max(each.shape[axis] for each in halves) for axis in range(1, halves[0].ndim)]
    # the half without the longest row is shorter; what is beyond a row's own length is never read
    return np.concatenate(
        [np.pad(each, [(0, 0), *((0, most - size) for most, size in zip(longest, each.shape[1:], strict=True))]) for each in halves]
    )


class _Keeper:
    """Gathers computed batches and writes a shard now and then."""

    def __init__(self, cache: FeatureCache, rows: NDArray[np.uint8], clock: Callable[[], float]) -> None:
        self._cache = cache
        self._digests = rows
        self._clock = clock
        self._since = clock()
        self._rows: list[NDArray[np.int64]] = []
        self._values: list[Floats] = []

    def keep(self, rows: NDArray[np.int64], values: Floats) -> None:
        self._rows.append(rows)
        self._values.append(values)
        if sum(map(len, self._rows)) >= SHARD_ROWS or self._clock() - self._since >= SHARD_SECONDS:
            self.flush()

    def flush(self) -> None:
        if self._rows:
            self._cache.append(self._digests[np.concatenate(self._rows)], self._values)
        self._rows, self._values, self._since = [], [], self._clock()
