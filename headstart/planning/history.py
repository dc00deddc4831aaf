"""Estimates, corrected by what earlier jobs of the same kind took."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from headstart.specs.history import PastJob
from headstart.specs.plans import Correction, Estimate

LEAST_JOBS = 3
"""One job or two may have met a busy machine."""

LEAST_FACTOR, MOST_FACTOR = 0.1, 10.0

MOST_REUSED = 0.1
"""Preparing is compared only for jobs that found no larger share of their rows in the cache: the estimate is of computing all of them."""


def correction_by(history: Sequence[PastJob]) -> Correction | None:
    """Medians of actual by uncorrected estimate; None while there are too few jobs.

    Args:
        history: jobs of the kind of the one that is planned.
    """
    if len(history) < LEAST_JOBS:
        return None
    computed = [job for job in history if job.rows_reused <= MOST_REUSED * (job.rows_computed + job.rows_reused)]
    return Correction(
        jobs=len(history),
        preparing=_factor([(job.actual.preparing_seconds, uncorrected(job).preparing_seconds) for job in computed]),
        training=_factor([(job.actual.training_seconds, uncorrected(job).training_seconds) for job in history]),
        memory=_factor([(job.actual.peak_memory_bytes, uncorrected(job).peak_memory_bytes) for job in history]),
    )


def corrected(estimate: Estimate, correction: Correction | None) -> Estimate:
    if correction is None:
        return estimate
    return _times(estimate, correction.preparing, correction.training, correction.memory)


def uncorrected(job: PastJob) -> Estimate:
    """What arithmetic alone gave, so that corrections do not pile up."""
    past = job.correction
    return job.estimate if past is None else _times(job.estimate, 1 / past.preparing, 1 / past.training, 1 / past.memory)


def _times(estimate: Estimate, preparing: float, training: float, memory: float) -> Estimate:
    update = {
        "preparing_seconds": round(estimate.preparing_seconds * preparing, 3),
        "training_seconds": round(estimate.training_seconds * training, 3),
        "peak_memory_bytes": round(estimate.peak_memory_bytes * memory),
    }
    return estimate.model_copy(update=update)


def _factor(pairs: Sequence[tuple[float, float]]) -> float:
    """The median of actual by estimate, within bounds; 1 while there are too few."""
    ratios = [actual / estimate for actual, estimate in pairs if estimate > 0]
    if len(ratios) < LEAST_JOBS:
        return 1.0
    return round(min(max(median(ratios), LEAST_FACTOR), MOST_FACTOR), 4)
