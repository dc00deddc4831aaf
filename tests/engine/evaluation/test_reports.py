"""A task's part of the report: every kind of task through one suite."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from headstart.engine.evaluation.baselines import Baseline, trivial_baseline
from headstart.engine.evaluation.baselines.words import word_baselines
from headstart.engine.evaluation.reports import (
    Trial,
    multi_label_report,
    regression_report,
    single_label_report,
    token_report,
)
from headstart.engine.evaluation.scoring import PLAIN, Scoring
from headstart.specs.reports import TaskReport

ROWS = 80
NUMBERS = np.arange(ROWS) * 2 + 1  # every second row of the file
TAGS = ["O", "B-LOC", "I-LOC"]


def _single(chance: np.random.Generator, **tested) -> TaskReport:
    targets = chance.integers(3, size=ROWS)
    logits = np.eye(3)[targets] * 2 + chance.normal(size=(ROWS, 3)) * 1.3
    return single_label_report(
        logits, targets, ["a", "b", "c"], Trial("test", NUMBERS, [trivial_baseline("single-label", targets, ROWS)], **tested), Scoring(1.5)
    )


def _several(chance: np.random.Generator, **tested) -> TaskReport:
    held = chance.random((ROWS, 4)) < 0.3
    logits = np.where(held, 1.0, -2.0) + chance.normal(size=(ROWS, 4))
    baselines = [trivial_baseline("multi-label", held, ROWS)]
    return multi_label_report(
        logits, held.astype(np.float32), list("abcd"), Trial("test", NUMBERS, baselines, **tested), Scoring(0.8, (0.4,) * 4)
    )


def _numbers(chance: np.random.Generator, **tested) -> TaskReport:
    targets = chance.normal(size=ROWS)
    predicted = (targets + chance.normal(size=ROWS) * 0.4)[:, None]
    return regression_report(
        predicted, targets, [], Trial("test", NUMBERS, [trivial_baseline("regression", targets, ROWS)], **tested), PLAIN
    )


def _tags(chance: np.random.Generator, **tested) -> TaskReport:
    targets = [chance.choice(3, p=[0.6, 0.3, 0.1], size=chance.integers(1, 9)) for _ in range(ROWS)]
    logits = [np.eye(3)[each] * 2 + chance.normal(size=(len(each), 3)) for each in targets]
    words = [[f"w{number}" for number in each] for each in targets]
    baselines = word_baselines(list(zip(words, targets, strict=True)), words, TAGS)
    return token_report(logits, targets, TAGS, Trial("test", NUMBERS, baselines, **tested), Scoring(1.1), of_entities=True)


MAKERS = {"single-label": _single, "multi-label": _several, "regression": _numbers, "token-classification": _tags}
every = pytest.mark.parametrize("problem", MAKERS)
Maker = Callable[..., TaskReport]


@every
def test_every_metric_lies_in_its_interval_and_stands_beside_that_of_each_baseline(problem: str):
    report = MAKERS[problem](np.random.default_rng(0))
    assert report.problem == problem
    assert set(report.intervals) == set(report.metrics)
    for metric, (low, high) in report.intervals.items():
        assert low <= report.metrics[metric] <= high, metric
    assert report.baselines.keys() == report.baseline_notes.keys() == report.gains.keys()
    for name, metrics in report.baselines.items():
        assert metrics.keys() <= report.metrics.keys()
        for metric, gain in report.gains[name].items():
            assert gain.value == pytest.approx(report.metrics[metric] - metrics[metric])
            assert gain.low <= gain.value <= gain.high, (name, metric)


@every
def test_the_most_confident_errors_are_rows_of_the_file(problem: str):
    report = MAKERS[problem](np.random.default_rng(1))
    errors = report.confident_errors
    assert 0 < len(errors) <= 20
    assert {each.row for each in errors} <= set(NUMBERS.tolist())
    assert [each.score for each in errors] == sorted((each.score for each in errors), reverse=True)
    assert all(each.label != each.predicted for each in errors)
    assert all((each.position is not None) == (problem == "token-classification") for each in errors)


@every
def test_a_report_survives_its_json(problem: str):
    report = MAKERS[problem](np.random.default_rng(2))
    assert TaskReport.model_validate_json(report.model_dump_json()) == report


@every
def test_calibration_is_told_of_all_but_numbers(problem: str):
    report = MAKERS[problem](np.random.default_rng(3))
    assert (report.calibration is None) == (problem == "regression")
    assert (report.thresholds is None) == (problem != "multi-label")
    if report.calibration is not None:
        assert report.calibration.temperature is not None
        assert report.calibration.bins != report.calibration.bins_before


@every
def test_without_resamples_there_are_no_intervals(problem: str):
    report = MAKERS[problem](np.random.default_rng(4), resamples=0)
    assert report.intervals == {}
    assert report.gains == {}


def test_temperature_changes_the_loss_and_no_answer():
    chance = np.random.default_rng(5)
    targets = chance.integers(3, size=ROWS)
    logits = 6 * (np.eye(3)[targets] + chance.normal(size=(ROWS, 3)))
    cold, warm = (
        single_label_report(logits, targets, list("abc"), Trial("test", NUMBERS, resamples=0), Scoring(each)) for each in (None, 4.0)
    )
    assert cold.confusion == warm.confusion
    assert cold.metrics["accuracy"] == warm.metrics["accuracy"]
    assert warm.metrics["log_loss"] < cold.metrics["log_loss"]


def test_a_baseline_of_some_rows_is_compared_on_those_alone():
    """The model errs on the first half only; beside a baseline that was asked about the second, it is all right."""
    targets = np.arange(ROWS) % 2
    said = np.where(np.arange(ROWS) < ROWS // 2, 1 - targets, targets)
    places = np.arange(ROWS // 2, ROWS)
    half = Baseline("tfidf", "Half.", np.tile([1.0, 0.0], (ROWS // 2, 1)), places)
    report = single_label_report(np.eye(2)[said] * 3, targets, ["a", "b"], Trial("test", NUMBERS, [half]), PLAIN)
    assert report.metrics["accuracy"] == 0.5
    assert report.baselines["tfidf"]["accuracy"] == 0.5
    gain = report.gains["tfidf"]["accuracy"]
    assert gain.value == 0.5
    assert 0.3 < gain.low < 0.5 < gain.high < 0.7
