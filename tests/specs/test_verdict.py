"""The sentence on what the transfer was worth says no more than its numbers do."""

from __future__ import annotations

import math

import pytest

from headstart.specs.reports import TaskReport, bounds
from headstart.specs.verdict import METRICS, verdict
from tests.rendering.reports import numbers, several, tags, task


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            task(),
            (
                "With transfer, accuracy is 0.883 (95 % interval 0.850 to 0.912) on 400 rows of the test split; a linear model of words and "
                "characters (TF-IDF) reaches 0.791 without it: the transfer was worth 0.092 (0.052 to 0.131)."
            ),
        ),
        (
            several(),
            (
                "With transfer, micro-F1 is 0.520 (95 % interval 0.500 to 0.540) on 400 rows of the test split; a linear model of words and "
                "characters (TF-IDF) reaches 0.515 without it: the difference of +0.005 may be chance (its interval, -0.011 to +0.021, holds 0), "
                "so these rows do not show that the transfer was worth anything."
            ),
        ),
        (
            numbers(),
            (
                "With transfer, mean absolute error is 0.610 (95 % interval 0.570 to 0.660) on 400 rows of the test split; a linear model of words "
                "and characters (TF-IDF) reaches 0.550 without it: the transfer was not worth it, the baseline is better by 0.060 (0.020 to 0.100)."
            ),
        ),
        (
            tags(),
            (
                "With transfer, F1 of entities is 0.500 on 400 rows of the test split; always saying what is commonest reaches 0.000 without it "
                "(no model of the raw inputs was tried); no interval says whether more than chance lies between them."
            ),
        ),
        (
            task(baselines={}, gains={}),
            (
                "With transfer, accuracy is 0.883 (95 % interval 0.850 to 0.912) on 400 rows of the test split; there is no baseline to compare "
                "it with, so what the transfer was worth is not known."
            ),
        ),
    ],
)
def test_verdict(given, said: str):
    assert verdict(TaskReport.model_validate(given)) == said


def test_a_guess_that_beats_the_raw_model_is_what_counts():
    """The best baseline is the measure, whichever it is."""
    given = task(
        baselines={"majority": {"accuracy": 0.87}, "tfidf": {"accuracy": 0.7}},
        gains={"majority": {"accuracy": {"value": 0.0131, "low": -0.01, "high": 0.03}}},
    )
    assert "always saying what is commonest reaches 0.870 without it: the difference of +0.013 may be chance" in verdict(
        TaskReport.model_validate(given)
    )


def test_the_verdict_of_cross_validation_speaks_of_the_mean_over_the_folds():
    told = verdict(TaskReport.model_validate(task(folds=[{"accuracy": 0.873}, {"accuracy": 0.893}])))
    assert told.startswith("With transfer, accuracy is 0.883 (95 % interval 0.850 to 0.912) in the mean of 2 folds; a linear model")


def test_every_metric_that_has_a_name_has_bounds():
    assert [name for name in METRICS if bounds(name) == (-math.inf, math.inf)] == []
