"""Corrections: what earlier jobs took moves the estimates of later ones."""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstart.planning.history import LEAST_FACTOR, LEAST_JOBS, MOST_FACTOR, corrected, correction_by, uncorrected
from headstart.planning.plan import make_plan
from headstart.specs.history import PastJob, kind_of
from headstart.specs.plans import Correction, Estimate
from tests.planning import factories

TOLD = Estimate(preparing_seconds=10.0, training_seconds=20.0, evaluating_seconds=1.0, peak_memory_bytes=1000, artifact_bytes=5)


def past(preparing: float = 10.0, training: float = 20.0, memory: int = 1000, *, told: Estimate = TOLD, **overrides: Any) -> PastJob:
    actual = told.model_copy(update={"preparing_seconds": preparing, "training_seconds": training, "peak_memory_bytes": memory})
    return PastJob(**{"estimate": told, "correction": None, "actual": actual, "rows_computed": 100, "rows_reused": 0, **overrides})


seconds = st.floats(0, 1e6)
jobs = st.builds(past, seconds, seconds, st.integers(0, 2**40), rows_reused=st.integers(0, 200))
factors = st.floats(LEAST_FACTOR, MOST_FACTOR)
corrections = st.builds(Correction, jobs=st.integers(3, 50), preparing=factors, training=factors, memory=factors)
estimates = st.builds(
    Estimate,
    preparing_seconds=st.floats(0.1, 1e6),
    training_seconds=st.floats(0.1, 1e6),
    evaluating_seconds=seconds,
    peak_memory_bytes=st.integers(10**6, 10**13),
    artifact_bytes=st.integers(0, 10**12),
)


def test_factors_are_medians_of_actual_by_estimate():
    made = correction_by([past(20, 10, 3000), past(30, 20, 1000), past(100, 60, 2000)])
    assert made == Correction(jobs=3, preparing=3.0, training=1.0, memory=2.0)


@given(st.lists(jobs, max_size=LEAST_JOBS - 1))
def test_fewer_than_three_jobs_correct_nothing(few: list[PastJob]):
    assert correction_by(few) is None
    assert corrected(TOLD, None) == TOLD


@given(st.lists(jobs, min_size=LEAST_JOBS, max_size=50))
def test_no_history_moves_an_estimate_more_than_tenfold(many: list[PastJob]):
    made = correction_by(many)
    assert made is not None
    assert made.jobs == len(many)
    assert all(LEAST_FACTOR <= factor <= MOST_FACTOR for factor in (made.preparing, made.training, made.memory))


@given(st.lists(st.tuples(seconds, seconds), min_size=LEAST_JOBS, max_size=20))
def test_jobs_that_took_longer_never_make_a_smaller_factor(pairs: list[tuple[float, float]]):
    quick, slow = ([past(pick(pair), pick(pair), round(pick(pair))) for pair in pairs] for pick in (min, max))
    low, high = correction_by(quick), correction_by(slow)
    assert low is not None
    assert high is not None
    assert (low.preparing <= high.preparing, low.training <= high.training, low.memory <= high.memory) == (True, True, True)


@given(estimates, estimates, corrections)
def test_a_correction_keeps_the_order_of_estimates(one: Estimate, other: Estimate, correction: Correction):
    for measure in ("preparing_seconds", "training_seconds", "peak_memory_bytes"):
        low, high = sorted((one, other), key=attrgetter(measure))
        assert getattr(corrected(low, correction), measure) <= getattr(corrected(high, correction), measure)


@given(estimates, corrections)
def test_what_the_estimate_was_before_can_be_told_from_the_plan(estimate: Estimate, correction: Correction):
    job = PastJob(estimate=corrected(estimate, correction), correction=correction, actual=TOLD, rows_computed=0, rows_reused=0)
    before = uncorrected(job)
    assert before.preparing_seconds == pytest.approx(estimate.preparing_seconds, rel=1e-6, abs=0.006)  # half a millisecond, tenfold
    assert before.training_seconds == pytest.approx(estimate.training_seconds, rel=1e-6, abs=0.006)
    assert before.peak_memory_bytes == pytest.approx(estimate.peak_memory_bytes, abs=6)
    assert (before.evaluating_seconds, before.artifact_bytes) == (estimate.evaluating_seconds, estimate.artifact_bytes)


def test_corrections_do_not_pile_up():
    plain = [past(20, 40, 3000)] * 5
    first = correction_by(plain)
    again = correction_by([*plain, *(past(20, 40, 3000, told=corrected(TOLD, first), correction=first) for _ in range(20))])
    assert first is not None
    assert again == first.model_copy(update={"jobs": 25})


def test_preparing_is_compared_only_where_nearly_all_rows_were_computed():
    reused = past(0.01, 40, rows_computed=80, rows_reused=20)
    assert correction_by([reused] * 5) == Correction(jobs=5, preparing=1.0, training=2.0, memory=1.0)
    nearly_all = past(20, 40, rows_computed=90, rows_reused=10)
    made = correction_by([*[reused] * 5, *[nearly_all] * 3])
    assert made is not None
    assert made.preparing == 2.0


def test_preparing_is_compared_where_there_is_no_cache():
    made = correction_by([past(20, rows_computed=0)] * 3)
    assert made is not None
    assert made.preparing == 2.0


def test_a_plan_says_how_its_estimate_was_corrected():
    inputs = (factories.spec(), factories.dataset(), factories.anatomy(), factories.HARDWARE)
    plain = make_plan(*inputs, cache_budget_bytes=2**30)
    made = make_plan(*inputs, cache_budget_bytes=2**30, history=[past(20, 10, 2000)] * 3)
    assert plain.correction is None
    assert made.correction == Correction(jobs=3, preparing=2.0, training=0.5, memory=2.0)
    assert made.estimate.preparing_seconds == pytest.approx(2 * plain.estimate.preparing_seconds, abs=0.001)
    assert made.estimate.training_seconds == pytest.approx(plain.estimate.training_seconds / 2, abs=0.001)
    assert made.estimate.peak_memory_bytes == 2 * plain.estimate.peak_memory_bytes
    assert made.model_copy(update={"estimate": plain.estimate, "correction": None}) == plain


@pytest.mark.parametrize(
    ("method", "learns"),
    [
        ({}, "solved-head"),
        ({"head": {"type": "knn"}}, "solved-head"),
        ({"head": {"type": "linear", "solver": None}}, "stepped-head"),
        ({"head": {"type": "mlp"}}, "stepped-head"),
        ({"type": "fine-tuning", "top_layers": 2}, "suffix"),
        ({"type": "lora"}, "suffix"),
    ],
)
def test_jobs_are_alike_by_what_learns_and_by_modality(method: dict[str, Any], learns: str):
    kind = kind_of(factories.spec(method=method).method, "image-classification")
    assert (kind.learns, kind.modality) == (learns, "image")
