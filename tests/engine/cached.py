"""A key and rows to cache, for tests and for the processes that they start: it imports no more than the cache does."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from headstart.engine.cache import CacheKey

KEY = CacheKey(
    workspace="ws_one",
    backbone_sha256="b",
    boundary="encoder.layer.5",
    pooling="mean",
    preprocessing="p",
    dtype="float32",
    device="cpu-avx2",
    torch="2",
    transformers="5",
)


def rows_of(count: int, start: int = 0) -> NDArray[np.uint8]:
    """Digests of rows that differ."""
    digests = b"".join(hashlib.sha256(b"row %d" % number).digest() for number in range(start, start + count))
    return np.frombuffer(digests, np.uint8).reshape(-1, 32)


def values_of(count: int, width: int = 8, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)
