"""Which dtype the frozen prefix runs in: 16 bits where this machine is faster with them and the features agree with float32.

The measurement is kept beside the cache, so that later jobs take the same dtype and find their features.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from headstart.blobs.atomic import atomic_file
from headstart.engine.hardware import product_seconds
from headstart.engine.inputs import Batch, Preprocessor
from headstart.engine.prefix import DTYPES, Prefix
from headstart.planning.estimates import LEAST_SPEEDUP
from headstart.specs.backbones import Layer

REDUCED = "bfloat16"
MOST_RELATIVE_ERROR = 1e-2
"""Largest ‖features in 16 bits − in float32‖ / ‖in float32‖ over the sample. bfloat16 itself has 8 bits: 4e-3 in one rounding."""
REPETITIONS = 3
SAMPLE_EXAMPLES = 256
SAMPLE_ROWS = 16
SAMPLE_UNITS = 256
FAR_SLOWER = 4.0
"""Where one small product in 16 bits takes so many times as long as in float32, two rows, each once, are enough to say so."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """16 bits against float32 on a sample of the job's rows."""

    speedup: float
    relative_error: float


@dataclass(frozen=True, slots=True)
class Precision:
    """The dtype that was taken and why, as the report tells it."""

    dtype: str
    reason: str
    speedup: float | None
    relative_error: float | None

    @property
    def storage(self) -> str:
        """What the boundary's output of each token is kept in: 16 bits where the prefix ran in them and was seen to agree with float32."""
        agrees = self.relative_error is not None and self.relative_error <= MOST_RELATIVE_ERROR
        return REDUCED if self.dtype == REDUCED and agrees else "float32"

    def record(self) -> dict[str, Any]:
        return asdict(self)


def device_class(device: torch.device) -> str:
    """Machines of one class give the same bits: `cpu-avx512`, `cuda-sm90`."""
    if device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        return f"cuda-sm{major}{minor}"
    if device.type == "cpu":
        return f"cpu-{torch.backends.cpu.get_cpu_capability().lower()}"
    return device.type


def choose(asked: str, measure: Callable[[], Measurement]) -> Precision:
    """The dtype for a plan's `dtype`.

    Args:
        asked: `auto`, `float32`, `bfloat16` or `float16`.
        measure: called only where the answer depends on it.
    """
    if asked not in {"auto", REDUCED}:
        return Precision(asked, "asked for", None, None)
    measured = measure()
    numbers = (measured.speedup, measured.relative_error)
    if asked == REDUCED:
        return Precision(REDUCED, "asked for", *numbers)
    if not measured.relative_error <= MOST_RELATIVE_ERROR:
        return Precision("float32", f"{REDUCED} differs by more than {MOST_RELATIVE_ERROR:g}", *numbers)
    if measured.speedup < LEAST_SPEEDUP:
        return Precision("float32", f"{REDUCED} is less than {LEAST_SPEEDUP:g} times as fast here", *numbers)
    return Precision(REDUCED, f"{measured.speedup:.1f} times as fast here, and agrees with float32", *numbers)


def measured_once(root: Path, about: Mapping[str, str], measure: Callable[[], Measurement]) -> Measurement:
    """The measurement kept for `about` (workspace, backbone, boundary, pooling, versions, device class), made now if there is none.

    Args:
        root: the cache root; the measurement lies in `precision/` below it.
    """
    digest = hashlib.sha256(json.dumps(dict(about), sort_keys=True).encode()).hexdigest()
    path = root / "precision" / f"{digest}.json"
    kept = _read(path)
    if kept is not None:
        return kept
    made = measure()
    kept = _read(path)  # another job may have been quicker; its word stands
    if kept is not None:
        return kept
    with atomic_file(path) as file:
        file.write(json.dumps({**about, **asdict(made)}, sort_keys=True, indent=1).encode())
    return made


def _read(path: Path) -> Measurement | None:
    try:
        record = json.loads(path.read_bytes())
        return Measurement(float(record["speedup"]), float(record["relative_error"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None  # absent or damaged: measured again


def measure_prefix(
    module: nn.Module,
    preprocessor: Preprocessor,
    layers: Sequence[Layer],
    pooling: str,
    examples: Sequence[Any],
    limit: int | None,
    clock: Callable[[], float],
) -> Measurement:
    """Run a small batch of `examples` in both dtypes, in turn, and take the best time of each. Some tenths of a second for a small backbone."""
    hopeless = _products_slower(next(module.parameters()).device) > FAR_SLOWER
    batch = sample_batch(preprocessor, examples, limit, 2 if hopeless else SAMPLE_ROWS)
    prefixes = [Prefix(module, layers, pooling, dtype) for dtype in ("float32", REDUCED)]
    exact, reduced = (prefix.features(batch) for prefix in prefixes)  # also warms up
    best = [float("inf")] * 2
    for _ in range(1 if hopeless else REPETITIONS):
        for number, prefix in enumerate(prefixes):
            started = clock()
            prefix.features(batch)
            best[number] = min(best[number], clock() - started)
    error = float((reduced - exact).norm() / exact.norm().clamp(min=1e-12))
    return Measurement(best[0] / best[1], error if np.isfinite(error) else 1e9)


def _products_slower(device: torch.device) -> float:
    """How many times as long as in float32 a small product takes in 16 bits: thousands of times where a processor has to imitate them."""
    whole, reduced = (product_seconds(32, 256, dtype, device, times=2) for dtype in (torch.float32, DTYPES[REDUCED]))
    return reduced / max(whole, 1e-5)


def sample_batch(preprocessor: Preprocessor, examples: Sequence[Any], limit: int | None, most: int = SAMPLE_ROWS) -> Batch:
    """Rows of the lengths that the data has, `most` of them, as one batch within a small budget; at least two rows, where two have one length if
    they must."""
    step = max(1, len(examples) // SAMPLE_EXAMPLES)
    encoded = preprocessor.encode(examples[::step], limit)
    middling = np.argsort(encoded.lengths, kind="stable")[len(encoded.lengths) // 2 :]
    rows = middling[: min(most, max(2, SAMPLE_UNITS // int(encoded.lengths[middling[0]])))]
    return encoded.batch(rows[encoded.lengths[rows] == encoded.lengths[rows[0]]] if preprocessor.alike else rows)
