"""Features: each text once through the frozen prefix, and never again while the cache holds it.

Axes: N rows, D width.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedTokenizerFast

from headstart.engine.batches import Tokens, collate, pad_id, plan_batches, tokenise
from headstart.engine.cache import FeatureCache
from headstart.engine.faults import ran_out_of_memory
from headstart.engine.prefix import Prefix
from headstart.errors import EngineFault

SHARD_ROWS = 4096
SHARD_SECONDS = 10.0
"""A shard is written after so many rows or seconds: what a killed attempt loses at most."""

Progress = Callable[[float, int, int], None]
"""(share of the tokens done, batches done, batches in all)."""

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
    values: NDArray[np.float32]  # [N, D]
    rows_computed: int
    rows_reused: int
    tokens_computed: int
    seconds: float
    """Spent on rows that were not in the cache; 0.0 when all were."""


def row_digests(texts: Sequence[str]) -> NDArray[np.uint8]:
    """sha256 of each row's content, [N, 32]."""
    digests = b"".join(hashlib.sha256(b"text\0" + text.encode()).digest() for text in texts)
    return np.frombuffer(digests, np.uint8).reshape(-1, 32)


def extract(
    prefix: Prefix,
    tokenizer: PreTrainedTokenizerFast,
    texts: Sequence[str],
    *,
    max_tokens: int,
    batch_tokens: int,
    cache: FeatureCache | None,
    clock: Callable[[], float],
    progress: Progress,
    halved: Halved = lambda _: None,
) -> Features:
    """The features of `texts`; texts that are equal, or known to the cache, are not computed again.

    `rows_reused` counts rows as given: a second row with the same text is a row reused.

    Raises:
        EngineFault: `out_of_memory` when even one row alone does not fit; `bad_data` when the tokenizer fails;
            `diverged` when the prefix gives numbers that are not finite.
        OSError: the cache cannot be written.
    """
    started, told = clock(), Rising(progress)
    unique = list(dict.fromkeys(texts))
    place = {text: number for number, text in enumerate(unique)}
    inverse = np.fromiter((place[text] for text in texts), dtype=np.int64, count=len(texts))
    digests = row_digests(unique)
    tokens_computed = 0

    def compute(missing: NDArray[np.int64]) -> NDArray[np.float32]:
        nonlocal tokens_computed
        tokens = tokenise(tokenizer, [unique[row] for row in missing], max_tokens)
        keeper = _Keeper(cache, digests[missing], clock)
        computed = run_batches(prefix, tokens, pad_id(tokenizer), batch_tokens, on_batch=keeper.keep, progress=told, halved=halved)
        keeper.flush()
        tokens_computed += int(tokens.lengths.sum())
        return computed

    if cache is None:
        values, rows_computed = compute(np.arange(len(unique))), len(unique)
    elif cache.knows(digests).all():
        return Features(cache.lookup(digests)[0][inverse], 0, len(texts), 0, 0.0)
    else:
        rows_computed = cache.complete(digests, compute, told.again)
        values = cache.lookup(digests)[0]
    return Features(values[inverse], rows_computed, len(texts) - rows_computed, tokens_computed, clock() - started)


def run_batches(
    prefix: Prefix,
    tokens: Tokens,
    padding: int,
    batch_tokens: int,
    *,
    on_batch: Callable[[NDArray[np.int64], NDArray[np.float32]], None] | None = None,
    progress: Progress | None = None,
    halved: Halved = lambda _: None,
) -> NDArray[np.float32]:
    """Features [N, D] of tokenised texts, in their order, run in batches of like length.

    Args:
        on_batch: told the row numbers and the features of each batch as it is done.
    """
    batches = plan_batches(tokens.lengths, batch_tokens)
    values = np.empty((len(tokens.ids), 0), np.float32)
    total, done = max(1, int(tokens.lengths.sum())), 0
    for number, rows in enumerate(batches, start=1):
        computed = _run(prefix, [tokens.ids[row] for row in rows], padding, halved)
        if number == 1:
            values = np.empty((len(tokens.ids), computed.shape[1]), np.float32)
        values[rows] = computed
        done += int(tokens.lengths[rows].sum())
        if on_batch is not None:
            on_batch(rows, computed)
        if progress is not None:
            progress(done / total, number, len(batches))
    return values


def _run(prefix: Prefix, ids: list[NDArray[np.int32]], padding: int, halved: Halved) -> NDArray[np.float32]:
    """One batch, in halves when memory runs out."""
    try:
        computed = prefix.features(collate(ids, padding))
    except (RuntimeError, MemoryError) as fault:
        if not ran_out_of_memory(fault):
            raise
        if len(ids) == 1:
            raise EngineFault(
                "out_of_memory", "One text alone needs more memory than there is.", "Lower training.max_tokens, or take a smaller backbone."
            ) from fault
    else:
        if not bool(torch.isfinite(computed).all()):
            raise EngineFault(
                "diverged", f"The backbone gives numbers that are not finite in {prefix.dtype}.", "Set training.dtype to 'float32'."
            )
        return computed.numpy()
    # outside the handler: there the traceback would still hold the tensors of the failed batch
    middle = len(ids) // 2
    halved(len(ids) - middle)
    return np.concatenate([_run(prefix, ids[:middle], padding, halved), _run(prefix, ids[middle:], padding, halved)])


class _Keeper:
    """Gathers computed batches and writes a shard now and then."""

    def __init__(self, cache: FeatureCache | None, digests: NDArray[np.uint8], clock: Callable[[], float]) -> None:
        self._cache = cache
        self._digests = digests
        self._clock = clock
        self._since = clock()
        self._rows: list[NDArray[np.int64]] = []
        self._values: list[NDArray[np.float32]] = []

    def keep(self, rows: NDArray[np.int64], values: NDArray[np.float32]) -> None:
        self._rows.append(rows)
        self._values.append(values)
        if sum(map(len, self._rows)) >= SHARD_ROWS or self._clock() - self._since >= SHARD_SECONDS:
            self.flush()

    def flush(self) -> None:
        if self._cache is not None and self._rows:
            self._cache.append(self._digests[np.concatenate(self._rows)], self._values)
        self._rows, self._values, self._since = [], [], self._clock()
