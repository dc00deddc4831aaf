"""What finished jobs took, beside what was expected of them."""

from __future__ import annotations

from typing import Literal

from headstart.specs.fields import View
from headstart.specs.jobs import FeatureExtraction, Method
from headstart.specs.plans import Correction, Estimate


class Kind(View):
    """Jobs whose estimates err alike."""

    learns: Literal["solved-head", "stepped-head", "suffix"]
    modality: str


def kind_of(method: Method, task_type: str) -> Kind:
    modality = task_type.partition("-")[0]
    if not isinstance(method, FeatureExtraction):
        return Kind(learns="suffix", modality=modality)
    return Kind(learns="stepped-head" if method.head.stepped else "solved-head", modality=modality)


class PastJob(View):
    """A job that has succeeded: its plan's estimate, how that was corrected, and what it took."""

    estimate: Estimate
    correction: Correction | None
    actual: Estimate
    rows_computed: int
    rows_reused: int
