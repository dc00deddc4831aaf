"""What it costs to compare a model: resampled metrics, the small model of raw inputs that is trained beside it, and trainings beside its own."""

from __future__ import annotations

from collections.abc import Sequence

from headstart.specs.backbones import Modality
from headstart.specs.evaluation import Evaluation
from headstart.specs.plans import Estimate, RowsPlan, TaskPlan

MOST_ROWS: dict[Modality, int] = {"text": 10_000, "image": 1_000, "audio": 1_000}
"""Rows that a baseline of raw inputs trains on at most, and as many that it is tested on; of more a random part is taken."""

RESAMPLED_SECONDS = 6e-5
"""Of a test row that counts in a thousand resamples, for the model and two baselines. Measured: 0.2 s for 10,000 rows of 77 classes, each."""

READ_SECONDS: dict[Modality, float] = {"text": 7e-5, "image": 6e-4, "audio": 9e-4}
"""Of an example that becomes numbers. Measured on sentences, on photos of 200 × 150 pixels, and on recordings of half a second."""

FIT_SECONDS: dict[str, float] = {"single-label": 4.3e-6, "multi-label": 2.3e-5, "regression": 6e-5}
"""Of a training row and class. Measured: 3.3 s for 10,000 sentences of 77 classes; 6.5 s for 28 labels, each solved by itself."""


def comparing_seconds(tasks: Sequence[TaskPlan], rows: RowsPlan, modality: Modality, *, baselines: bool) -> float:
    """Seconds beyond scoring; a baseline that was trained before on the same rows is not known here."""
    most = MOST_ROWS[modality]
    train, tested = min(rows.train, most), min(rows.validation, most // 5) + min(rows.test, most)
    seconds = 0.0
    for task in tasks:
        seconds += rows.test * RESAMPLED_SECONDS
        if baselines:
            fit = FIT_SECONDS.get(task.problem, 0.0)
            seconds += (train + tested) * READ_SECONDS[modality] + train * max(1, len(task.classes)) * fit
    return seconds


def with_comparing(estimate: Estimate, seconds: float) -> Estimate:
    return estimate.model_copy(update={"evaluating_seconds": round(estimate.evaluating_seconds + seconds, 3)})


def with_trials(whole: Estimate, plain: Estimate, evaluation: Evaluation, shares: Sequence[float], *, anew: bool) -> Estimate:
    """With the trainings of the other folds, and of each task alone, which come after the job's own.

    Args:
        whole: of the job's own training, with all that is compared.
        plain: the same without baselines of raw inputs.
        shares: of each task, the part of the training rows that are of its dataset.
        anew: whether each of them makes its features itself, because they are not kept.
    """
    features = whole.preparing_seconds if anew else 0.0
    others = (evaluation.folds or 1) - 1
    # by time the first fold trains on one block of rows, and each other on a block more than the one before
    lengths = range(2, others + 2) if evaluation.time_column is not None else [1] * others
    seconds = whole.evaluating_seconds + sum(lengths) * whole.training_seconds + others * (whole.evaluating_seconds + features)
    if evaluation.single_task and len(shares) > 1:
        seconds += sum(shares) * (plain.training_seconds + plain.evaluating_seconds) + len(shares) * features
    return whole.model_copy(update={"evaluating_seconds": round(seconds, 3)})
