"""What the suffix is fed with: the boundary's output from the cache, the same recomputed for each batch, or token ids.

Axes: B batch, T tokens, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headstart.engine.batches import Tokens, collate, plan_batches
from headstart.engine.cache import FeatureCache
from headstart.engine.features import SHARD_SECONDS, Progress, Rising, row_digests
from headstart.engine.prefix import Prefix

SHARD_TOKENS = 200_000
"""A shard is written after so many tokens: some hundred megabytes, the most that waits in memory."""


class Feeder(Protocol):
    """Inputs of a suffix by row number."""

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each row, [N]."""
        ...

    def __call__(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        """(inputs [B, T, D] or ids [B, T], mask int64 [B, T])."""
        ...


@dataclass(frozen=True, slots=True)
class TokenFeeder:
    """Token ids: the boundary lies below the first layer."""

    tokens: Tokens
    padding: int

    @property
    def lengths(self) -> NDArray[np.int64]:
        return self.tokens.lengths

    def __call__(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        batch = collate([self.tokens.ids[row] for row in rows], self.padding)
        return batch["input_ids"], batch["attention_mask"]


@dataclass(frozen=True, slots=True)
class RecomputingFeeder:
    """The prefix run anew for each batch: what there would be to keep does not fit the budget."""

    prefix: Prefix
    tokens: Tokens
    padding: int

    @property
    def lengths(self) -> NDArray[np.int64]:
        return self.tokens.lengths

    def __call__(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        batch = collate([self.tokens.ids[row] for row in rows], self.padding)
        return self.prefix.features(batch).clone(), batch["attention_mask"]  # a clone: inference tensors take no part in a backward pass


@dataclass(frozen=True, slots=True)
class CachedFeeder:
    """The boundary's output of each row, [T, D], mapped from the cache."""

    pieces: list[Tensor]
    lengths: NDArray[np.int64]
    cache: FeatureCache
    """Kept so that it stays in use."""

    def __call__(self, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        longest = int(self.lengths[rows].max())
        hidden = torch.zeros((len(rows), longest, self.pieces[0].shape[1]))
        mask = torch.zeros((len(rows), longest), dtype=torch.int64)
        for number, row in enumerate(rows):
            piece = self.pieces[row]
            hidden[number, : len(piece)] = piece
            mask[number, : len(piece)] = 1
        return hidden, mask


@dataclass(frozen=True, slots=True)
class Extraction:
    feeder: CachedFeeder
    rows_computed: int
    rows_reused: int
    tokens_computed: int
    seconds: float
    """0.0 when all came from the cache."""


def extract_activations(
    prefix: Prefix,
    tokens: Tokens,
    texts: Sequence[str],
    *,
    padding: int,
    batch_tokens: int,
    cache: FeatureCache,
    clock: Callable[[], float],
    progress: Progress,
) -> Extraction:
    """The boundary's output of every text, computed for those that the cache does not know, and read back from it.

    Args:
        prefix: without a pooling.
        tokens: of `texts`, in their order.

    Raises:
        OSError: the cache cannot be written.
    """
    started = clock()
    digests = row_digests(texts)
    known = cache.find(digests)
    told, rows_computed, tokens_computed = Rising(progress), 0, 0

    def compute(missing: NDArray[np.int64]) -> None:
        nonlocal tokens_computed
        _compute(prefix, tokens, missing, digests, padding, batch_tokens, cache, clock, told)
        tokens_computed += int(tokens.lengths[missing].sum())

    whole = all(piece is not None for piece in known)
    if not whole:
        rows_computed = cache.complete(digests, compute, told.again)
        known = cache.find(digests)
    pieces = [piece for piece in known if piece is not None]
    lengths = np.fromiter((len(piece) for piece in pieces), np.int64, len(pieces))
    return Extraction(
        feeder=CachedFeeder(pieces, lengths, cache),
        rows_computed=rows_computed,
        rows_reused=len(texts) - rows_computed,
        tokens_computed=tokens_computed,
        seconds=0.0 if whole else clock() - started,
    )


def _compute(
    prefix: Prefix,
    tokens: Tokens,
    missing: NDArray[np.int64],
    digests: NDArray[np.uint8],
    padding: int,
    batch_tokens: int,
    cache: FeatureCache,
    clock: Callable[[], float],
    progress: Progress,
) -> None:
    lengths = tokens.lengths[missing]
    batches = plan_batches(lengths, batch_tokens)
    waiting: list[tuple[int, NDArray[np.float32]]] = []
    held, done, since, total = 0, 0, clock(), max(1, int(lengths.sum()))

    def flush() -> None:
        rows = np.fromiter((row for row, _ in waiting), np.int64, len(waiting))
        cache.append(digests[rows], [piece for _, piece in waiting], tokens.lengths[rows])
        waiting.clear()

    for number, places in enumerate(batches, start=1):
        rows = missing[places]
        hidden = prefix.features(collate([tokens.ids[row] for row in rows], padding)).numpy()
        for piece, row in zip(hidden, rows, strict=True):
            waiting.append((int(row), piece[: len(tokens.ids[row])].copy()))
        held += int(tokens.lengths[rows].sum())
        done += int(tokens.lengths[rows].sum())
        if held >= SHARD_TOKENS or clock() - since >= SHARD_SECONDS:
            flush()
            held, since = 0, clock()
        progress(done / total, number, len(batches))
    if waiting:
        flush()
