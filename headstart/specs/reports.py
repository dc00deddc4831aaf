"""Reports: what the transfer was worth, in numbers that say how sure they are."""

from __future__ import annotations

from math import inf
from typing import Any, Literal

from pydantic import Field

from headstart.specs.fields import View
from headstart.specs.plans import Estimate

Interval = tuple[float, float]
"""Lower and upper end, 95 %."""

LESS_IS_BETTER = frozenset({"log_loss", "hamming_loss", "mae", "rmse"})
_BOUNDS: dict[str, Interval] = {
    **dict.fromkeys(("accuracy", "token_accuracy", "subset_accuracy", "hamming_loss", "precision", "recall"), (0.0, 1.0)),
    **dict.fromkeys(("f1", "macro_f1", "micro_f1", "samples_f1", "mean_average_precision"), (0.0, 1.0)),
    **dict.fromkeys(("log_loss", "mae", "rmse"), (0.0, inf)),
    **dict.fromkeys(("pearson", "spearman"), (-1.0, 1.0)),
    "r2": (-inf, 1.0),
}
HEADLINES = ("f1", "micro_f1", "accuracy", "token_accuracy", "mae")
"""The metric that speaks for a task: the first of these that it has."""
TRIVIAL = frozenset({"majority", "mean"})
"""Baselines that look at no input."""


def bounds(metric: str) -> Interval:
    """The least and the most that a metric can be."""
    return _BOUNDS.get(metric, (-inf, inf))


class ClassReport(View):
    label: str = Field(description="A class; of token classification, the type of an entity or a tag.")
    precision: float
    recall: float
    f1: float
    support: int = Field(description="Rows (entities, tokens) that truly are of it.")


class Bin(View):
    """A part of a reliability diagram: answers that are about equally sure."""

    count: int
    confidence: float = Field(description="Mean score of the answers in it.", examples=[0.93])
    accuracy: float = Field(description="Share of them that is right.", examples=[0.9])


class Calibration(View):
    """Whether scores are shares: of the answers with a score of 0.9, nine of ten should be right."""

    temperature: float | None = Field(
        description="What logits are divided by, found on the validation rows (Guo et al. 2017); null: too few of them, the logits stay.",
        examples=[1.31],
    )
    ece_before: float = Field(description="Expected calibration error on this split without the temperature.", examples=[0.061])
    ece_after: float = Field(description="With it, as predictions are made: 15 bins of equal mass.", examples=[0.018])
    bins: list[Bin] = Field(description="With the temperature, from the least sure to the surest.")
    bins_before: list[Bin] = Field(description="Without it.")


class ConfidentError(View):
    """A row of this split that the model is wrong about, and sure."""

    row: int = Field(description="In the file; 1 = first data row.", examples=[17])
    label: str | float = Field(description="What the file says; several labels are joined by ` | `.", examples=["pos"])
    predicted: str | float = Field(examples=["neg"])
    score: float = Field(description="How sure of what is wrong, 0 to 1; of a regression, how far off.", examples=[0.98])
    position: int | None = Field(default=None, description="Of the token in the row, from 1; null where the whole row is classified.")


class Gain(View):
    """This model's metric minus a baseline's, on the same rows."""

    value: float = Field(examples=[0.0915])
    low: float = Field(description="Lower end of the 95 % interval, from the same resamples for both, or the same folds.", examples=[0.052])
    high: float = Field(description="Upper end. An interval that holds 0 decides nothing.", examples=[0.131])


class TaskReport(View):
    # what was added later has a default, so that reports which were stored before can be read
    problem: Literal["single-label", "multi-label", "regression", "token-classification"] = "single-label"
    dataset: str | None = Field(default=None, description="What the task learnt from, with its version.", examples=["reviews:2"])
    split: Literal["validation", "test"]
    rows: int
    classes: list[str] = Field(description="Empty for a regression.")
    metrics: dict[str, float] = Field(examples=[{"accuracy": 0.8825, "macro_f1": 0.8819, "log_loss": 0.31}])
    intervals: dict[str, Interval] = Field(
        default={},
        description="95 % intervals of the metrics: percentiles of 1,000 resamples of the rows (of the sentences, where tokens are "
        "classified), by the Bayesian bootstrap. They say what another test set of this size could have given, not what another training would.",
        examples=[{"accuracy": [0.85, 0.912]}],
    )
    baselines: dict[str, dict[str, float]] = Field(
        description="The same metrics of models that need no transfer: `majority` or `mean`, and `tfidf`, `pixels`, `mfcc` or `word`.",
        examples=[{"majority": {"accuracy": 0.515}, "tfidf": {"accuracy": 0.791}}],
    )
    baseline_notes: dict[str, str] = Field(default={}, description="What each baseline is, and on how many rows it was trained and tested.")
    gains: dict[str, dict[str, Gain]] = Field(
        default={},
        description="What the model's metrics are above each baseline's, by baseline and metric.",
        examples=[{"tfidf": {"accuracy": {"value": 0.0915, "low": 0.052, "high": 0.131}}}],
    )
    single_task: dict[str, float] | None = Field(
        default=None,
        description="With several tasks, if asked for: the metrics of a model that learnt this task alone, on the same rows; of "
        "cross-validation, in the first fold.",
    )
    folds: list[dict[str, float]] = Field(
        default=[],
        description="Of cross-validation: the metrics of each fold. `metrics` and `baselines` are then means over the folds, `intervals` and "
        "`gains` are of these means (Student's t; folds share training rows, so that they are somewhat too narrow); all else is of the first "
        "fold, and so is the artifact.",
    )
    per_class: list[ClassReport]
    confusion: list[list[int]] = Field(
        description="Rows are true, columns predicted, in the order of `classes`; empty for regression and multi-label."
    )
    calibration: Calibration | None = Field(default=None, description="Null for a regression.")
    thresholds: list[float] | None = Field(
        default=None, description="Multi-label: the score from which on each class is given, chosen on the validation rows."
    )
    confident_errors: list[ConfidentError] = Field(default=[], description="At most 20, the surest first.")


class Report(View):
    """What the transfer was worth."""

    object: Literal["report"]
    job: str
    method: str
    trainable_parameters: int
    artifact_bytes: int
    tasks: dict[str, TaskReport]
    estimate: Estimate
    actual: Estimate
    cache: dict[str, int] = Field(description="`rows_computed` and `rows_reused` of the feature cache.")
    precision: dict[str, Any] = Field(description="The prefix's dtype, why, and how far it is from float32.")
