"""Intervals hold what they promise, and resamples are those of rows."""

from __future__ import annotations

import time

import numpy as np
import pytest

from headstart.engine.evaluation import regression, single_label
from headstart.engine.evaluation.resampling import interval, intervals, resampled, values


def _answers(chance: np.random.Generator, rows: int, right: float, classes: int = 3):
    """Logits and targets of a model that is right about a share of the rows."""
    targets = chance.integers(classes, size=rows)
    said = np.where(chance.random(rows) < right, targets, (targets + chance.integers(1, classes, size=rows)) % classes)
    return np.eye(classes)[said] * 3.0, targets


def test_intervals_hold_the_truth_as_often_as_they_say():
    """A model that is right about 80 % of all rows there are, judged on 150 of them, again and again."""
    chance = np.random.default_rng(0)
    held, times = 0, 300
    for number in range(times):
        logits, targets = _answers(chance, 150, 0.8)
        measure = single_label.measure(logits, targets)
        drawn = resampled({"": measure}, 150, seed=number)[""]
        low, high = intervals(drawn, values(measure, 150), 150)["accuracy"]
        held += low <= 0.8 <= high
    assert 0.915 <= held / times <= 0.985


def test_intervals_of_a_difference_are_narrower_than_those_of_its_parts_say():
    """Two models that err on the same rows differ less by chance than each varies."""
    chance = np.random.default_rng(1)
    logits, targets = _answers(chance, 400, 0.8)
    other = logits.copy()
    other[:12] = np.eye(3)[(targets[:12] + 1) % 3] * 3.0
    drawn = resampled({"one": single_label.measure(logits, targets), "other": single_label.measure(other, targets)}, 400, seed=0)
    between = interval(drawn["one"]["accuracy"] - drawn["other"]["accuracy"])
    one = interval(drawn["one"]["accuracy"])
    assert one is not None
    assert between is not None
    assert 0 < between[0] < between[1]
    assert between[1] - between[0] < (one[1] - one[0]) / 2


def test_the_same_seed_gives_the_same_intervals():
    logits, targets = _answers(np.random.default_rng(2), 60, 0.7)
    first, again, other = (resampled({"": single_label.measure(logits, targets)}, 60, seed=seed, resamples=50)[""] for seed in (5, 5, 6))
    assert np.array_equal(first["macro_f1"], again["macro_f1"])
    assert not np.array_equal(first["macro_f1"], other["macro_f1"])


def test_a_model_without_an_error_on_few_rows_is_not_said_to_be_perfect():
    """Clopper & Pearson: of 20 rows that are all right, the share that is right may well be 0.832."""
    logits, targets = np.eye(2)[np.arange(20) % 2] * 4.0, np.arange(20) % 2
    measure = single_label.measure(logits, targets)
    made = intervals(resampled({"": measure}, 20, seed=0)[""], values(measure, 20), 20)
    assert made["accuracy"] == pytest.approx((0.8316, 1.0), abs=1e-4)
    assert made["macro_f1"] == made["accuracy"]


def test_a_metric_that_few_resamples_define_has_no_interval():
    measure = regression.measure(np.zeros(40), np.arange(40.0))
    drawn = resampled({"": measure}, 40, seed=0, resamples=50)[""]
    assert "pearson" not in values(measure, 40)
    assert interval(drawn["pearson"]) is None


def test_the_mean_over_rare_classes_lies_in_the_middle_of_its_interval():
    """Rare classes that are always missed would be absent from many resamples of whole rows, and the intervals lie above the value itself."""
    targets = np.concatenate([np.repeat(np.arange(3), 60), np.arange(3, 13)])
    logits = np.eye(13)[np.where(targets < 3, targets, 0)] * 3.0
    measure = single_label.measure(logits, targets)
    drawn, point = resampled({"": measure}, len(targets), seed=0)[""], values(measure, len(targets))
    low, high = intervals(drawn, point, len(targets))["macro_f1"]
    assert low < point["macro_f1"] < high
    assert 0.3 < (drawn["macro_f1"] > point["macro_f1"]).mean() < 0.7


def test_ten_thousand_rows_of_77_classes_cost_about_a_second():
    logits, targets = _answers(np.random.default_rng(3), 10_000, 0.9, classes=77)
    measure = single_label.measure(logits, targets)
    began = time.process_time()
    resampled({"": measure}, 10_000, seed=0)
    assert time.process_time() - began < 3.0  # of one core, on a busy machine
