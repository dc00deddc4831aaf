"""Time and memory of the feature cache by number of rows: appending, finding, and the solver on what was found.

    python -m benchmarks.cache [--rows 10000 100000 1000000] [--folder DIR]

Each size runs in a process of its own, on random features 384 wide. Time a row should not grow with the rows. Memory is the most anonymous
memory beside the arrays that go in; what comes out is mapped from a file, which the kernel takes back when it needs to. The index takes 24
bytes a row. Files are dropped from memory before they are opened anew, as far as the kernel does what it is asked.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import Self

import numpy as np

from benchmarks.common import by_size
from headstart.engine.cache import CacheKey, FeatureCache
from headstart.engine.features import SHARD_ROWS
from headstart.engine.heads.linear import solve
from headstart.engine.losses import Softmax
from headstart.engine.vectors import on_disk

ROWS = (10_000, 100_000, 1_000_000)
WIDTH, CLASSES = 384, 2
KEY = CacheKey(
    workspace="ws",
    backbone_sha256="b",
    boundary="encoder.layer.5",
    pooling="mean",
    preprocessing="p",
    dtype="float32",
    device="cpu",
    torch="2",
    transformers="5",
)
MIB = 2**20


def digests(rows: int) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (rows, 32), np.uint8)


def measure(root: Path, rows: int) -> dict[str, float]:
    """One size; seconds and bytes."""
    keys, chance, found = digests(rows), np.random.default_rng(0), {}
    block = chance.standard_normal((SHARD_ROWS, WIDTH), np.float32)
    cache, started = FeatureCache(root, KEY), time.perf_counter()
    with Peak() as peak:
        for start in range(0, rows, SHARD_ROWS):
            part = keys[start : start + SHARD_ROWS]
            cache.append(part, block[: len(part)])
    found["append_seconds"], found["append_bytes"] = time.perf_counter() - started, peak.bytes
    del cache
    _drop_from_memory(root)

    with Peak() as peak:
        started = time.perf_counter()
        cache = FeatureCache(root, KEY)
        found["open_seconds"] = time.perf_counter() - started
        started = time.perf_counter()
        values, known = cache.lookup(keys)
    found["first_lookup_seconds"], found["lookup_bytes"] = time.perf_counter() - started, peak.bytes
    if not known.all() or not np.array_equal(values[:SHARD_ROWS], block[: len(values)]):
        raise SystemExit("the cache does not give back what was appended")
    del cache, values

    started = time.perf_counter()
    values = FeatureCache(root, KEY).lookup(keys)[0]  # the sha256 of its files was checked in this process already
    found["lookup_seconds"] = time.perf_counter() - started

    targets = (values[:, 0] > 0).astype(np.int64)
    cut = rows * 7 // 10
    with Peak() as peak:
        started = time.perf_counter()
        solve(values[:cut], targets[:cut], values[cut:], targets[cut:], CLASSES, Softmax(), keep=on_disk(root))
    found["solve_seconds"], found["solve_bytes"] = time.perf_counter() - started, peak.bytes
    return found


class Peak:
    """The most anonymous memory beyond that at the start, looked at a hundred times a second."""

    def __init__(self) -> None:
        self.bytes = 0
        self._base = _anonymous_bytes()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._note()

    def _look(self) -> None:
        while not self._stop.wait(0.01):
            self._note()

    def _note(self) -> None:
        self.bytes = max(self.bytes, _anonymous_bytes() - self._base)


def _anonymous_bytes() -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon:"))
    return int(line.split()[1]) * 1024


def _drop_from_memory(root: Path) -> None:
    for path in root.rglob("*"):
        if path.is_file():
            with open(path, "rb") as file:
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def main() -> int:
    found = dict(by_size("benchmarks.cache", __doc__, ROWS, measure))
    names = ("append", "first_lookup", "lookup", "solve")
    print(f"| rows | {' | '.join(f'{name}, µs a row' for name in names)} | open, s | append, MiB | lookup, MiB | solve, MiB |")
    print("|---|" + "---|" * (len(names) + 4))
    for rows, each in found.items():
        times = [f"{each[f'{name}_seconds'] / rows * 1e6:.2f}" for name in names]
        sizes = [f"{each[f'{name}_bytes'] / MIB:.0f}" for name in ("append", "lookup", "solve")]
        print(f"| {rows:,} | {' | '.join(times)} | {each['open_seconds']:.3f} | {' | '.join(sizes)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
