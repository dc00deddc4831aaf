"""Training from the cache by number of rows: a head by steps, and the linear head solved, each on 10,000 to 1,000,000 rows.

    python -m benchmarks.cached_training [--rows 10000 100000 1000000] [--folder DIR]

Each size runs in a process of its own, on random features 384 wide of two classes. They are appended to a cache on the disk and taken from it as a
job takes them: `lookup` puts the vectors in order in a file of its own, [rows, 384] in float32, which both kinds of training read; the solver
keeps the standardised rows in another. Time a row should not grow with the rows, nor memory: the most anonymous memory beside what the process
held before, the rows' digests and targets. What is mapped from files the kernel takes back when it needs to. Of the rows 70 % train and 15 %
validate; one epoch, batches of 256.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from benchmarks.cache import CLASSES, KEY, MIB, ROWS, WIDTH, Peak, digests
from benchmarks.common import by_size
from headstart.engine import hardware
from headstart.engine.cache import FeatureCache
from headstart.engine.features import SHARD_ROWS
from headstart.engine.heads import linear, stepped
from headstart.engine.losses import Softmax
from headstart.engine.optimizers import Rates
from headstart.engine.sources import PooledSource
from headstart.engine.training import Learner, Losses, Recipe, train
from headstart.engine.vectors import Chosen, on_disk
from headstart.planning.plan import BATCH_TOKENS
from headstart.specs.jobs import Training

OPTIONS = Training(epochs=1, batch_size=256, seed=0)
RECIPE = Recipe(Rates(1e-3), 0.0, BATCH_TOKENS)


class Silent:
    """Nobody is told."""

    def step(self, *, step: int, steps: int, epoch: int) -> None: ...
    def epoch(self, *, epoch: int, step: int, learning_rate: float, losses: Sequence[Losses]) -> None: ...
    def tasks(self, *, epoch: int, step: int, weights: Sequence[float], cosines: Sequence[Sequence[float | None]]) -> None: ...
    def warning(self, code: str, message: str) -> None: ...
    def log(self, message: str) -> None: ...


def fill(root: Path, rows: int) -> None:
    keys, chance, cache = digests(rows), np.random.default_rng(0), FeatureCache(root, KEY)
    for start in range(0, rows, SHARD_ROWS):
        part = keys[start : start + SHARD_ROWS]
        cache.append(part, chance.standard_normal((len(part), WIDTH), np.float32))


@contextmanager
def measuring(found: dict[str, float], name: str) -> Iterator[None]:
    """Put seconds, processor seconds and the most anonymous memory of the block into `found`."""
    with Peak() as peak:
        started, processor = time.perf_counter(), time.process_time()
        yield
    found[f"{name}_seconds"], found[f"{name}_processor"] = time.perf_counter() - started, time.process_time() - processor
    found[f"{name}_bytes"] = peak.bytes


def measure(root: Path, rows: int) -> dict[str, float]:
    """One size; seconds and bytes."""
    keys = digests(rows)
    found: dict[str, float] = {}
    with measuring(found, "taken"):
        values = FeatureCache(root, KEY).lookup(keys)[0]
    noise = np.random.default_rng(2).standard_normal(rows, np.float32)
    targets = (values[:, 0] + noise > 0).astype(np.int64)
    train_rows, validation_rows = np.arange(rows * 7 // 10), np.arange(rows * 7 // 10, rows * 17 // 20)
    head = stepped.initial(WIDTH, [], CLASSES, torch.Generator().manual_seed(0))
    learner = Learner(head, targets, targets >= 0, Softmax())
    with measuring(found, "steps"):
        train(PooledSource(values), [learner], train_rows, validation_rows, OPTIONS, RECIPE, told=Silent())
    with measuring(found, "solve"):
        learnt, judged = ((Chosen(values, part), targets[part]) for part in (train_rows, validation_rows))
        linear.solve(*learnt, *judged, CLASSES, Softmax(), keep=on_disk(root))
    return found


def main() -> int:
    sizes = by_size("benchmarks.cached_training", __doc__, ROWS, measure, prepare=fill)
    print(hardware.measure().model_dump_json())
    print(
        "| rows | features, MiB | taken, µs a row | processor | memory, MiB | steps, µs a row | processor | memory, MiB "
        "| solve, µs a row | processor | memory, MiB |"
    )
    print("|---|" + "---|" * 10)
    for rows, each in sizes:
        cells = [f"{rows * WIDTH * 4 / MIB:,.0f}"]
        for name in ("taken", "steps", "solve"):
            cells += [f"{each[f'{name}_{kind}'] / rows * 1e6:.2f}" for kind in ("seconds", "processor")]
            cells.append(f"{each[f'{name}_bytes'] / MIB:,.0f}")
        print(f"| {rows:,} | {' | '.join(cells)} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
