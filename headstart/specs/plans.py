"""Plans: what the engine will do for a spec, computed before anything starts and carried out as written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from headstart.specs.fields import DType, View
from headstart.specs.relationships import Relationship
from headstart.specs.tasks import Problem, Scheme

INPUT = "input"
"""The boundary below the first layer: the whole backbone is the suffix."""

_AND = "+"


def joined(layers: Sequence[str]) -> str:
    """One name for several layers whose outputs stand side by side; no module has the sign between them in its name."""
    return _AND.join(layers)


def parted(boundary: str) -> list[str]:
    """The layers of a name that `joined` gave."""
    return boundary.split(_AND)


FEATURE_BYTES: dict[str, int] = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Bytes of one number in the feature cache, by its dtype."""


class CachePlan(View):
    mode: Literal["cached", "recomputed"]
    reason: str = Field(examples=["fits the budget"])
    bytes: int = Field(description="Size of the features of all rows, in `dtype`.", examples=[41287680])
    dtype: DType = Field(
        description="What they are kept in. 16 bits are hoped for where workers are faster in them; a worker that finds no agreement with "
        "float32 keeps float32, and recomputes if that exceeds its budget.",
        examples=["bfloat16"],
    )
    hit_fraction: float = Field(description="Share of the rows that the cache is known to hold already.", examples=[0.0])


class Trainable(View):
    """Parameters of the backbone that change; the heads' are counted by task."""

    parameters: int
    tensors: int
    names: list[str]


class Phase(View):
    """A part of the epochs in which the same parameters of the backbone learn."""

    epoch: int = Field(description="Its first.", examples=[1])
    boundary: str = Field(description="Where training starts in this phase.", examples=["encoder.layer.3"])
    parameters: int
    tensors: int


class Adapter(View):
    """Small modules beside some of a backbone's matrix products; once they have learnt, they are merged into the matrices."""

    kind: Literal["lora", "dora", "loha", "lokr", "ia3"]
    targets: list[str] = Field(description="The modules they stand beside.", examples=[["encoder.layer.5.attention.self.query"]])
    feedforward: list[str] = Field(description="ia3: those of `targets` whose inputs are scaled, not their outputs.")
    rank: int | None = Field(description="The narrow side of their matrices; null: they have none.", examples=[8])
    alpha: float | None = Field(description="What the matrices give is scaled by alpha / rank.", examples=[16.0])
    dropout: float


class Extra(View):
    """A column that the head reads beside what the backbone gives."""

    column: str = Field(examples=["city"])
    type: Literal["number", "category"]
    values: list[str] = Field(description="Of a category: each is a number that is 1 where it holds; of a number: none.")

    @property
    def width(self) -> int:
        """Numbers that the head reads of it."""
        return len(self.values) if self.type == "category" else 1


class TaskPlan(View):
    name: str = Field(examples=["sentiment"])
    type: str = Field(examples=["text-classification"])
    dataset: str | None = Field(
        default=None,
        description="What it learns from, with its version; null in jobs that are older than this field: the job's dataset.",
        examples=["reviews:2"],
    )
    problem: Problem
    classes: list[str] = Field(
        description="In the order of scores and of the confusion matrix; none of a regression.", examples=[["neg", "pos"]]
    )
    scheme: Scheme | None = Field(default=None, description="Of token classification: what the tags mean.")
    features: list[Extra] = Field(default=[], description="What the head reads beside what the backbone gives.")
    head_parameters: int = Field(examples=[770])
    labelled_rows: int = Field(examples=[2000])

    @property
    def outputs(self) -> int:
        """Numbers that the head gives."""
        return len(self.classes) or 1


class RowsPlan(View):
    train: int
    validation: int
    test: int
    dropped: int = Field(description="Rows without an input or any label.")


class Estimate(View):
    """Also the shape of `actual` in a report."""

    preparing_seconds: float
    training_seconds: float
    evaluating_seconds: float = Field(description="With the trainings for the report alone: of other folds, and of each task by itself.")
    peak_memory_bytes: int
    artifact_bytes: int


class Correction(View):
    """By what an estimate was multiplied: how far earlier jobs of the workspace that learn alike were off. Divide to get what it was before."""

    jobs: int = Field(description="How many they were.", examples=[12])
    preparing: float = Field(description="Of `preparing_seconds`; 1 while too few computed their rows anew.", examples=[1.12])
    training: float = Field(description="Of `training_seconds`.", examples=[0.9])
    memory: float = Field(description="Of `peak_memory_bytes`.", examples=[1.04])


class PlanWarning(View):
    code: str
    pointer: str | None
    message: str


class Plan(View):
    object: Literal["plan"]
    method: str = Field(examples=["feature-extraction"])
    parent: str | None = Field(description="The model, with its version, that stands in for the backbone.", examples=["reviews:3"])
    boundary: str = Field(
        description="The layer whose output is cached; training starts after it. `input`: below the first layer.",
        examples=["encoder.layer.5"],
    )
    cache: CachePlan
    trainable: Trainable
    phases: list[Phase] = Field(
        default=[],
        description="With a schedule: each phase, its boundary and what learns in it. `boundary` and `trainable` are those of the last.",
    )
    adapter: Adapter | None = None
    relationship: Relationship | None = Field(default=None, description="What the job has to do with what its backbone learnt.")
    tasks: list[TaskPlan]
    rows: RowsPlan
    dtype: Literal["auto"] | DType = Field(
        description="`auto`: the worker takes 16 bits where it measures them to be faster and to agree with float32; the report says which."
    )
    batch_tokens: int = Field(description="Most tokens in one batch, padding included.", examples=[4096])
    estimate: Estimate = Field(description="As corrected.")
    correction: Correction | None = Field(
        default=None, description="From earlier jobs; null while there are fewer than three like this one."
    )
    warnings: list[PlanWarning]


class Hardware(View):
    """What a worker measured of its machine at start."""

    cpu: str
    cores: int
    memory_bytes: int
    device: Literal["cpu", "cuda", "mps"]
    flops_per_second: dict[str, float] = Field(description="Matrix product rate by dtype.")
