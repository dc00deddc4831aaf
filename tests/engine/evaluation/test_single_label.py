"""The numbers of a report are those that scikit-learn gives."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from headstart.engine.evaluation.baselines import trivial_baseline
from headstart.engine.evaluation.reports import Trial, single_label_report
from headstart.engine.evaluation.scoring import PLAIN
from headstart.specs.reports import TaskReport


def report_on(logits: np.ndarray, targets: np.ndarray, classes: list[str], train: np.ndarray) -> TaskReport:
    trial = Trial("test", np.arange(1, len(targets) + 1), [trivial_baseline("single-label", train, len(targets))], resamples=0)
    return single_label_report(logits, targets, classes, trial, PLAIN)


@given(st.integers(0, 10_000), st.integers(2, 6), st.integers(1, 80))
def test_report_equals_scikit_learn(seed, classes, rows):
    chance = np.random.default_rng(seed)
    targets = chance.integers(0, classes, rows)
    logits = chance.normal(size=(rows, classes)) * 3
    train = chance.integers(0, classes, 50)
    report = report_on(logits, targets, [f"c{number}" for number in range(classes)], train)
    predicted, labels = logits.argmax(axis=1), list(range(classes))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert report.metrics == pytest.approx(
        {
            "accuracy": metrics.accuracy_score(targets, predicted),
            "macro_f1": metrics.f1_score(targets, predicted, average="macro", zero_division=0),
            "log_loss": metrics.log_loss(targets, probabilities, labels=labels),
        }
    )
    assert report.confusion == metrics.confusion_matrix(targets, predicted, labels=labels).tolist()
    precision, recall, f1, support = metrics.precision_recall_fscore_support(targets, predicted, labels=labels, zero_division=0)
    assert [each.precision for each in report.per_class] == pytest.approx(precision)
    assert [each.recall for each in report.per_class] == pytest.approx(recall)
    assert [each.f1 for each in report.per_class] == pytest.approx(f1)
    assert [each.support for each in report.per_class] == support.tolist()


def test_majority_is_the_commonest_class_of_the_training_rows():
    targets, train = np.array([0, 0, 0, 1]), np.array([1, 1, 0])
    report = report_on(np.eye(2)[targets], targets, ["neg", "pos"], train)
    assert report.baselines["majority"]["accuracy"] == 0.25
    assert report.metrics["accuracy"] == 1.0


def test_sure_and_wrong_still_gives_finite_numbers():
    report = report_on(np.array([[1e4, -1e4]]), np.array([1]), ["a", "b"], np.array([0]))
    assert np.isfinite(report.metrics["log_loss"])
