"""Time and memory of a job, as arithmetic over the backbone's anatomy and a worker's measured rates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from headstart.specs.backbones import Anatomy, Layer
from headstart.specs.datasets import ColumnProfile
from headstart.specs.fields import DType
from headstart.specs.plans import Estimate, Hardware, RowsPlan

CHARS_PER_TOKEN = 4.0
"""Of English in a vocabulary of some ten thousand pieces."""

SPECIAL_TOKENS = 2
FALLBACK_RATE = 5e10
"""Floating-point operations a second, for a machine that was not measured: a few cores of any kind."""

USE = 0.6
"""Share of the measured matrix rate that a whole prefix reaches: norms, softmax and gathers are not products."""

LEAST_SPEEDUP = 1.15
"""`auto` takes 16 bits where they are so many times as fast; the worker measures it on the job's own rows."""

READ_BYTES_PER_SECOND = 1e9
SOLVER_STEPS = 60
START_SECONDS = 0.1
MANIFEST_BYTES = 4_096

DTypeChoice = Literal["auto", "float32", "bfloat16", "float16"]


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done: rows of so many tokens, up to a layer, then a head."""

    rows: RowsPlan
    mean_tokens: float
    batch_tokens: int
    boundary: Layer
    width: int
    classes: int
    dtype: DTypeChoice


def mean_tokens(text: ColumnProfile, max_tokens: int) -> float:
    """Tokens of an average text of the column, special tokens among them."""
    return min(text.mean_length / CHARS_PER_TOKEN + SPECIAL_TOKENS, float(max_tokens))


def output_width(layer: Layer, anatomy: Anatomy) -> int:
    """Size of the vector that pooling makes of the layer's output: its last axis."""
    last = layer.output[-1] if layer.output else anatomy.width
    return last if isinstance(last, int) else anatomy.width


def estimate(work: Work, anatomy: Anatomy, hardware: Hardware | None, *, head_parameters: int, label_bytes: int) -> Estimate:
    """What the job will take. `evaluating_seconds` holds no backbone time: all rows pass f while preparing."""
    kept = work.rows.train + work.rows.validation + work.rows.test
    prefix = kept * work.mean_tokens * prefix_flops(work.boundary, anatomy)
    head = 2.0 * work.width * work.classes
    exact_rate = rate_of(hardware, "float32")
    scored = work.rows.validation + work.rows.test
    return Estimate(
        preparing_seconds=rounded(START_SECONDS + anatomy.bytes / READ_BYTES_PER_SECOND + prefix / (USE * rate_of(hardware, work.dtype))),
        training_seconds=rounded(START_SECONDS + 3 * SOLVER_STEPS * work.rows.train * head / exact_rate),
        evaluating_seconds=rounded(START_SECONDS + scored * head / exact_rate),
        peak_memory_bytes=_memory(work, anatomy, kept),
        artifact_bytes=head_parameters * 4 + label_bytes + MANIFEST_BYTES,
    )


def prefix_flops(boundary: Layer, anatomy: Anatomy) -> float:
    """Cost of one token from the input up to the boundary's output."""
    below: Sequence[Layer] = [layer for layer in anatomy.layers if layer.index <= boundary.index]
    return sum(anatomy.layer_flops_per_token.get(layer.name, 0.0) for layer in below)


def rate_of(hardware: Hardware | None, dtype: DTypeChoice) -> float:
    """Matrix products of this dtype a second, in floating-point operations."""
    rates = {} if hardware is None else {name: rate for name, rate in hardware.flops_per_second.items() if rate > 0}
    if dtype == "auto":
        return max(rates.values(), default=FALLBACK_RATE)
    return rates.get(dtype, FALLBACK_RATE)


def kept_in(hardware: Hardware | None, dtype: DTypeChoice) -> DType:
    """What the boundary's output of each token is likely kept in: 16 bits if the worker will run in bfloat16, whose agreement it measures."""
    if dtype == "bfloat16":
        return "bfloat16"
    rates = {} if hardware is None else hardware.flops_per_second
    faster = rates.get("bfloat16", 0.0) >= LEAST_SPEEDUP * rates.get("float32", float("inf"))
    return "bfloat16" if dtype == "auto" and faster else "float32"


def _memory(work: Work, anatomy: Anatomy, rows: int) -> int:
    parameters = anatomy.parameters * 4
    # The widest moment of a layer: the hidden state, four times as wide inside the feed-forward, and what attention keeps.
    batch = work.batch_tokens * anatomy.width * 4 * 16
    features = rows * work.width * 4
    return parameters + batch + 2 * features  # once as cached, once as the solver's own copy


def rounded(value: float) -> float:
    """Seconds to the millisecond."""
    return round(value, 3)
