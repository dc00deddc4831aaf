"""Jobs: one adaptation run each. The spec is what a user asks; the job is what became of it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field

from headstart.specs.augmentation import Augmentation
from headstart.specs.balancing import Balancing, FixedWeights, Sampling
from headstart.specs.evaluation import Evaluation as Evaluation  # noqa: PLC0414 - a part of the spec, which is taken from here
from headstart.specs.fields import MAX_INT, Input, Moment, Name, Reference, View
from headstart.specs.heads import Head, LinearHead
from headstart.specs.plans import Plan
from headstart.specs.problems import Failure
from headstart.specs.relationships import RelationshipName
from headstart.specs.tasks import Task

Pooling = Literal["mean", "first", "max", "pooler", "flatten", "none"]
POOLED = (
    "From the vectors of all tokens, frames or places to one; `flatten` keeps every number. Token classification reads the vector of each \
word instead, and has `none`. Null: `mean`, or `none` when all tasks are of that type."
)


class JobStatus(StrEnum):
    QUEUED = "queued"
    PREPARING = "preparing"
    TRAINING = "training"
    EVALUATING = "evaluating"
    PUBLISHING = "publishing"
    SUCCEEDED = "succeeded"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    FAILED = "failed"

    @property
    def terminal(self) -> bool:
        return self in {JobStatus.SUCCEEDED, JobStatus.CANCELLED, JobStatus.FAILED}


class FeatureExtraction(Input):
    """The backbone stays as it is; only the head learns."""

    type: Literal["feature-extraction"]
    layer: str | None = Field(
        default=None,
        min_length=1,
        max_length=256,
        description="Whose output to take; null: the last hidden state.",
        examples=["encoder.layer.4"],
    )
    layers: Annotated[list[Annotated[str, Field(min_length=1, max_length=256)]], Field(min_length=1, max_length=16)] | None = Field(
        default=None,
        description="Several at once, instead of `layer`: each is pooled, and what comes out stands side by side.",
        examples=[["encoder.layer.3", "encoder.layer.5"]],
    )
    pooling: Pooling | None = Field(default=None, description=POOLED)
    head: Head = Field(default_factory=LinearHead)


Pattern = Annotated[str, Field(min_length=1, max_length=1024)]
Patterns = Annotated[list[Pattern], Field(min_length=1, max_length=256)]


class Unfreezing(Input):
    """From an epoch on, more of the backbone learns. Exactly one of `trainable` and `top_layers` says what joins in."""

    epoch: int = Field(ge=2, le=10_000, description="The first epoch with it.", examples=[2])
    trainable: Patterns | None = Field(default=None, description="As in the method.")
    top_layers: int | None = Field(default=None, ge=1, le=1000, description="As in the method.", examples=[4])


class FineTuning(Input):
    """The upper part of the backbone learns with the head. Exactly one of `trainable`, `frozen` and `top_layers` says which part."""

    type: Literal["fine-tuning"]
    trainable: Patterns | None = Field(
        default=None,
        description="Globs over parameter names, or `re:` and a regular expression (RE2) that must match fully.",
        examples=[["encoder.layer.5.*"]],
    )
    frozen: Patterns | None = Field(default=None, description="The same, for what stays as it is; everything else learns.")
    top_layers: int | None = Field(default=None, ge=1, le=1000, description="The upper layers that learn.", examples=[2])
    schedule: Annotated[list[Unfreezing], Field(max_length=100)] | None = Field(
        default=None,
        description="What joins in later, by epoch (gradual unfreezing; Howard & Ruder 2018). Each phase starts at the best epoch of the one "
        "before, with an optimiser and a warm-up of its own; `patience` ends a phase.",
        examples=[[{"epoch": 2, "top_layers": 4}]],
    )
    layer_decay: float = Field(
        default=1.0, gt=0, le=1, description="A layer's learning rate is this times that of the layer above; the head's is whole."
    )
    l2_sp: float = Field(
        default=0.0,
        ge=0,
        le=1e6,
        description="Pull towards where the backbone's parameters began (L2-SP, Li et al. 2018), decoupled; there it replaces weight decay.",
    )
    head_first_epochs: int = Field(
        default=0,
        ge=0,
        le=10_000,
        description="Epochs in which the head alone learns, before the first with the backbone (LP-FT, Kumar et al. 2022), at the rate of a "
        "head alone, 1e-3. A head with the solver `lbfgs` is solved first instead.",
    )
    pooling: Pooling | None = Field(default=None, description=POOLED)
    head: Head = Field(
        default_factory=lambda: LinearHead(solver=None),
        description="With the solver `lbfgs` a linear head starts where solving on the pretrained features ends: LP-FT without steps.",
    )


class Sparing(Input):
    """What the methods share that learn a little in each of many places; the backbone's own matrices stay as they are."""

    targets: Patterns | None = Field(
        default=None,
        description="Globs over the names of modules, or `re:` and a regular expression (RE2) that must match fully; null: those usual for "
        "the family.",
        examples=[["*.query", "*.value"]],
    )
    top_layers: int | None = Field(default=None, ge=1, le=1000, description="Only in so many upper layers; null: in all.", examples=[2])
    pooling: Pooling | None = Field(default=None, description=POOLED)
    head: Head = Field(
        default_factory=lambda: LinearHead(solver=None),
        description="A linear head with the solver `lbfgs` starts where solving on the pretrained features ends.",
    )


class BitFit(Sparing):
    """Biases learn, and nothing else of the backbone (Ben Zaken et al. 2022). `targets` null: every bias."""

    type: Literal["bitfit"]


class LowRank(Sparing):
    """What the methods share whose adapters are products of narrow matrices."""

    rank: int = Field(default=8, ge=1, le=4096, description="The narrow side of the matrices.")
    alpha: float = Field(default=16.0, gt=0, le=1e6, description="What the matrices give is scaled by alpha / rank.")


class Lora(LowRank):
    """Low-rank adapters beside matrix products (Hu et al. 2022)."""

    type: Literal["lora"]
    dropout: float = Field(default=0.0, ge=0, lt=1, description="Share of an adapter's inputs that a step leaves out.")


class Dora(LowRank):
    """Low-rank adapters of a matrix's direction, and its magnitude (Liu et al. 2024)."""

    type: Literal["dora"]
    dropout: float = Field(default=0.0, ge=0, lt=1, description="Share of an adapter's inputs that a step leaves out.")


class Loha(LowRank):
    """Adapters that are Hadamard products of low-rank matrices (Hyeon-Woo et al. 2022)."""

    type: Literal["loha"]


class Lokr(LowRank):
    """Adapters that are Kronecker products (Yeh et al. 2024)."""

    type: Literal["lokr"]


class Ia3(Sparing):
    """A scale for each output of attention's keys and values, and for each input of the feed-forward's second matrix (Liu et al. 2022)."""

    type: Literal["ia3"]


LEARNING_RATES = {
    "feature-extraction": 1e-3,
    "fine-tuning": 1e-4,
    "bitfit": 1e-3,
    "lora": 1e-3,
    "dora": 1e-3,
    "loha": 1e-3,
    "lokr": 1e-3,
    "ia3": 5e-3,
}

AdapterMethod = Lora | Dora | Loha | Lokr | Ia3
Method = Annotated[FeatureExtraction | FineTuning | BitFit | AdapterMethod, Field(discriminator="type")]


ClassWeight = Annotated[float, Field(ge=1e-3, le=1e6)]


class Training(Input):
    """How to optimise by steps. Of these a head that is solved uses `seed`, `max_tokens`, `dtype`, `class_weights`,
    `label_smoothing` and `augmentation` alone."""

    epochs: int = Field(default=10, ge=1, le=10_000, description="Passes over the training rows.")
    learning_rate: float | None = Field(
        default=None, ge=1e-8, le=10.0, description="Peak step size; null: 1e-4 for fine-tuning, 5e-3 for ia3, else 1e-3."
    )
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    weight_decay: float = Field(default=0.01, ge=0, le=10.0, description="Decoupled weight decay.")
    warmup: float = Field(default=0.1, ge=0, le=1, description="Share of the steps that warm up.")
    batch_size: Literal["auto"] | Annotated[int, Field(ge=1, le=65_536)] = Field(default="auto", description="Rows in one step.")
    max_tokens: int | None = Field(default=None, ge=2, le=1_000_000, description="Cut longer texts here; null: the backbone's own limit.")
    clip_norm: float | None = Field(default=1.0, gt=0, le=1e6, description="Largest gradient norm; null: no clipping.")
    patience: int | None = Field(default=None, ge=1, le=10_000, description="Epochs without a better validation loss before stopping.")
    loss: Literal["cross-entropy", "focal"] = Field(
        default="cross-entropy", description="`focal`: what is right already counts less (Lin et al. 2017); a head that is solved has none."
    )
    focal_gamma: float = Field(default=2.0, gt=0, le=10.0, description="How much less: (1 − p) to this power.")
    label_smoothing: float = Field(default=0.0, ge=0, lt=1, description="Share of each label that is spread over all classes.")
    class_weights: Literal["balanced"] | Annotated[dict[str, ClassWeight], Field(min_length=1, max_length=10_000)] | None = Field(
        default=None,
        description="What the loss of a row counts by its label; labels that are left out count 1. `balanced`: all classes alike, however "
        "many rows they have.",
        examples=[{"neg": 2.0}],
    )
    balancing: Balancing = Field(default_factory=FixedWeights, description="What the losses of several tasks count beside each other.")
    sampling: Sampling = Field(
        default="proportional",
        description="How often the rows of an epoch come from each dataset and task of several: as often as it has rows, or from all datasets "
        "alike, and in each for all its tasks alike.",
    )
    augmentation: Augmentation | None = Field(default=None, description="Of images: what chance changes in the training rows.")
    seed: int = Field(default=0, ge=0, le=2**32 - 1, description="Fixes the split and everything random.")
    dtype: Literal["auto", "float32", "bfloat16"] = Field(default="auto", description="Of the frozen prefix; auto: measured.")


class JobSpec(Input):
    model: Name | None = Field(
        default=None, description="The model that gets the new version; null: the dataset's name.", examples=["reviews"]
    )
    backbone: Reference = Field(
        description="A backbone, or a model that stands in for one: what it learnt is merged, its heads are dropped.",
        examples=["minilm-l6"],
    )
    init: Literal["pretrained", "random"] = Field(
        default="pretrained",
        description="Where the backbone's parameters start; random: the same architecture from scratch, all of it learns.",
    )
    dataset: Reference = Field(description="What the tasks learn from that name no dataset of their own.", examples=["reviews"])
    max_seconds: int | None = Field(default=None, ge=1, le=MAX_INT, description="The job fails with `timed_out` when it runs longer.")
    tasks: list[Task] = Field(min_length=1, max_length=32, description="What the heads learn, each from its own labels, over one backbone.")
    relationship: RelationshipName | None = Field(
        default=None, description="What the job has to do with what its backbone learnt; null: derived. It changes nothing of what is done."
    )
    method: Method = Field(
        default_factory=lambda: FeatureExtraction(type="feature-extraction"),
        description="What learns: the head alone, the backbone too, or adapters in it.",
    )
    training: Training = Field(default_factory=Training)
    evaluation: Evaluation = Field(default_factory=Evaluation)

    @property
    def pooling(self) -> Pooling:
        """The method's; where it is left open, what the tasks need."""
        return self.method.pooling or ("none" if all(task.reads == "words" for task in self.tasks) else "mean")

    def resolved(self) -> JobSpec:
        """The same with every default that depends on another field written out."""
        rate = self.training.learning_rate or LEARNING_RATES[self.method.type]
        return self.model_copy(
            update={
                "method": self.method.model_copy(update={"pooling": self.pooling}),
                "training": self.training.model_copy(update={"learning_rate": rate}),
            }
        )


class Progress(View):
    fraction: float = Field(description="0 to 1 over the whole job.", examples=[1.0])
    step: int = Field(examples=[285])
    steps: int = Field(examples=[285])
    epoch: int = Field(examples=[10])
    epochs: int = Field(examples=[10])


class Seconds(View):
    """Time in each state; `features` is the part of `preparing` spent running f, 0 when all came from the cache."""

    queued: float
    preparing: float
    features: float
    training: float
    evaluating: float
    publishing: float


class JobResult(View):
    model: str = Field(examples=["reviews"])
    version: int = Field(examples=[3])
    artifact: str = Field(examples=["art_01h455vb4pex5vsknk084sn02q"])
    metrics: dict[str, dict[str, float]] = Field(description="By task, on the test split.", examples=[{"sentiment": {"accuracy": 0.8825}}])
    baselines: dict[str, dict[str, dict[str, float]]] = Field(examples=[{"sentiment": {"majority": {"accuracy": 0.515}}}])


class Job(View):
    object: Literal["job"]
    id: str = Field(examples=["job_01h455vb4pex5vsknk084sn02q"])
    status: JobStatus
    spec: JobSpec
    plan: Plan
    attempt: int = Field(description="0 until a worker has claimed it.", examples=[1])
    max_attempts: int = Field(examples=[3])
    progress: Progress
    seconds: Seconds
    result: JobResult | None
    error: Failure | None
    created_at: Moment
    started_at: Moment | None
    finished_at: Moment | None


class Event(View):
    object: Literal["event"]
    seq: int = Field(description="Counts from 1 without gaps.", examples=[7])
    type: Literal["status", "progress", "metric", "warning", "attempt", "checkpoint"]
    attempt: int
    at: Moment
    data: dict[str, Any] = Field(examples=[{"from": "preparing", "to": "training"}])


LogLevel = Literal["info", "warning", "error"]


class LogLine(View):
    object: Literal["log"]
    seq: int = Field(description="Counts from 1 without gaps.", examples=[12])
    attempt: int = Field(description="The attempt that says it; 0 before the first.", examples=[1])
    at: Moment
    level: LogLevel
    message: str = Field(description="A sentence for people.", examples=["1,400 rows to train, 200 to validate, 400 to test."])


class Metric(View):
    object: Literal["metric"]
    task: str = Field(examples=["sentiment"])
    split: Literal["train", "validation", "test"]
    name: str = Field(examples=["accuracy"])
    value: float = Field(examples=[0.88])
    step: int = Field(examples=[120])
    epoch: int = Field(examples=[4])
