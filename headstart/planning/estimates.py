"""Time and memory of a job, as arithmetic over the backbone's anatomy and a worker's measured rates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Literal

from headstart.specs.backbones import Anatomy, AudioInput, ImageInput, Layer, TextInput
from headstart.specs.datasets import ColumnProfile
from headstart.specs.fields import DType
from headstart.specs.plans import Estimate, Hardware, RowsPlan

CHARS_PER_TOKEN = 4.0
"""Of English in a vocabulary of some ten thousand pieces."""

CHARS_PER_WORD = 5.5
"""With the space after it. Measured on 62,000 words of English posts and 99,000 of Chinese news: 5.3 and 2.6."""
QUOTED = 3
"""Characters that a word takes more in a JSON list."""

PIXELS_OF_A_UNIT = 256
UNITS_A_SECOND = 50
"""By which batches of images and of sound are filled to a budget of tokens, as the engine fills them."""

SECONDS_UNKNOWN = 5.0
"""Of a recording whose column was not measured."""

FALLBACK_RATE = 5e10
"""Floating-point operations a second, for a machine that was not measured: a few cores of any kind."""

USE = 0.44
"""Share of the measured matrix rate that a whole prefix reaches: norms, softmax and gathers are not products.

Measured: MiniLM on 10,000 film reviews, two cores, bfloat16 (benchmarks/RESULTS.md, the first of two jobs).
"""

LEAST_SPEEDUP = 1.15
"""`auto` takes 16 bits where they are so many times as fast; the worker measures it on the job's own rows."""

PREPARING_SECONDS = 0.4
"""Before the first row goes through: reading the table, the split, measuring the dtype. Measured with the above."""

START_SECONDS = 0.01
SOLVER_STEPS = 60
SOLVER_BYTES_PER_SECOND = 1e10
"""A solver reads all features twice in a step, more bytes than products. Measured: 0.13 s for 7,000 rows of 384 numbers."""

AUTO_BATCH = 32
HEAD_STEP_SECONDS = 5e-4
"""Of a step of a head alone, small products aside. Measured: 0.07 to 0.14 s for 100 to 250 steps, one thread."""

SCORED_SECONDS = 1e-5
"""Of a row that is scored and counted. Measured: 0.03 s for 3,000 rows."""

PROCESS_BYTES = 1_100_000_000
"""Of a worker's child before its backbone: `actual` is of the whole process. Measured: 0.9 GB once torch and transformers are imported, 1.05 to
1.1 GB beyond parameters and features in the first job."""

MANIFEST_BYTES = 4_096

DTypeChoice = Literal["auto", "float32", "bfloat16", "float16"]


@dataclass(frozen=True, slots=True)
class Work:
    """What is to be done: rows of so many units (tokens, images, seconds of sound), up to a layer, then a head."""

    rows: RowsPlan
    mean_units: float
    batch_tokens: int
    boundary: Layer
    width: int
    classes: int
    dtype: DTypeChoice
    head_steps: int = 0
    """Of a head on features that stay as they are; 0: it is solved."""
    views: int = 1
    """Of each training row, through f before training begins; 0: nothing is kept."""
    passes: int = 0
    """Of the rows to train and to validate on through f, when nothing is kept."""
    words: float = 1.0
    """Answers for a row: 1, or its words."""

    @property
    def kept_rows(self) -> int:
        """Times that f runs before training begins, in rows; what it gives is kept."""
        return self.rows.train * self.views + self.rows.validation + self.rows.test if self.views else 0

    @property
    def anew_rows(self) -> int:
        """Times that f runs while training, in rows."""
        return self.passes * (self.rows.train + self.rows.validation)

    @property
    def anew_scored(self) -> int:
        """Rows that f runs on when the model is judged."""
        return self.rows.validation + self.rows.test if self.passes else 0


def mean_units(columns: Sequence[ColumnProfile], anatomy: Anatomy, max_tokens: int | None) -> float:
    """Units of an average example: tokens with special ones among them, one image, seconds."""
    match anatomy.input:
        case TextInput():
            tokens = sum(_chars(column) / CHARS_PER_TOKEN + 1 for column in columns) + 1
            return min(tokens, float(max_tokens or anatomy.input.max_tokens))
        case ImageInput():
            return 1.0
        case AudioInput():
            heard = columns[0].mean_seconds or SECONDS_UNKNOWN
            return anatomy.input.max_seconds if anatomy.input.frames else min(heard, anatomy.input.max_seconds)


def mean_words(column: ColumnProfile) -> float:
    """Words of an average text, or list of words."""
    return max(1.0, _chars(column) / CHARS_PER_WORD)


def _chars(column: ColumnProfile) -> float:
    """Mean characters of a text; of a list of words, with one space between them."""
    if column.type == "tokens":
        return column.mean_length * CHARS_PER_WORD / (CHARS_PER_WORD + QUOTED)
    return column.mean_length


def places_of(anatomy: Anatomy, mean_units: float) -> float:
    """What an average example fills of a batch's budget."""
    match anatomy.input:
        case TextInput():
            return mean_units
        case ImageInput():
            return max(1.0, prod(anatomy.input.size) / PIXELS_OF_A_UNIT)
        case AudioInput():
            return mean_units * UNITS_A_SECOND


def pooled_width(layer: Layer, pooling: str, anatomy: Anatomy) -> int:
    """Size of the vector that pooling makes of the layer's output."""
    if pooling == "pooler":
        return anatomy.width
    if pooling == "flatten":
        return prod(size for size in layer.output if isinstance(size, int))
    size = layer.output[layer.axes.index("D")]
    return size if isinstance(size, int) else anatomy.width


def kept_numbers(layer: Layer, anatomy: Anatomy, mean_units: float) -> float:
    """Numbers in the layer's output for an average example."""
    size = layer.output[layer.axes.index("D")]
    return anatomy.layer_positions.get(layer.name, 1.0) * mean_units * (size if isinstance(size, int) else anatomy.width)


def estimate(work: Work, anatomy: Anatomy, hardware: Hardware | None, *, head_parameters: int, label_bytes: int) -> Estimate:
    """What the job will take. `evaluating_seconds` holds no backbone time when all rows pass f while preparing."""
    kept, f_seconds = work.kept_rows, work.mean_units * prefix_flops(work.boundary, anatomy) / (USE * rate_of(hardware, work.dtype))
    head = 2.0 * work.width * work.classes
    scored = (work.rows.validation + work.rows.test) * work.words
    return Estimate(
        preparing_seconds=rounded(PREPARING_SECONDS + kept * f_seconds),
        training_seconds=rounded(START_SECONDS + work.anew_rows * f_seconds + _head_seconds(work, head / rate_of(hardware, "float32"))),
        evaluating_seconds=rounded(START_SECONDS + work.anew_scored * f_seconds + scored * SCORED_SECONDS),
        peak_memory_bytes=_memory(work, anatomy, kept),
        artifact_bytes=head_parameters * 4 + label_bytes + MANIFEST_BYTES,
    )


def _head_seconds(work: Work, row_seconds: float) -> float:
    """Time of the head alone, whose products take so long for a row; forward and backward are three times that."""
    if work.head_steps:
        return work.head_steps * (HEAD_STEP_SECONDS + 3 * AUTO_BATCH * work.words * row_seconds)
    read = 2 * 4 * work.width / SOLVER_BYTES_PER_SECOND
    return SOLVER_STEPS * work.rows.train * work.words * max(1, work.views) * (read + 3 * row_seconds)


def prefix_flops(boundary: Layer, anatomy: Anatomy) -> float:
    """Cost of one unit from the input up to the boundary's output."""
    below: Sequence[Layer] = [layer for layer in anatomy.layers if layer.index <= boundary.index]
    return sum(anatomy.layer_flops.get(layer.name, 0.0) for layer in below)


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
    per_place = max(kept_numbers(layer, anatomy, work.mean_units) for layer in anatomy.layers) / places_of(anatomy, work.mean_units)
    batch = int(work.batch_tokens * per_place * 4 * 16)
    features = int(rows * work.words) * work.width * 4
    # features as cached, and standardised for the solver: resident, though the kernel can take them back
    return PROCESS_BYTES + parameters + batch + 2 * features


def rounded(value: float) -> float:
    """Seconds to the millisecond."""
    return round(value, 3)
