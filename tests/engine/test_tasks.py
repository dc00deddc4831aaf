"""Every task of the table keeps the same promises."""

from __future__ import annotations

import numpy as np
import pytest

from headstart.engine.tasks import TASKS
from headstart.specs.jobs import TaskReport
from headstart.specs.predictions import Classification

CLASSES = ["neg", "neutral", "pos"]


@pytest.mark.parametrize("kind", list(TASKS))
def test_labels_become_class_numbers_and_missing_ones_minus_one(kind):
    assert TASKS[kind].encode(["pos", " neg ", None, "other", "neutral"], CLASSES).tolist() == [2, 0, -1, -1, 1]


@pytest.mark.parametrize("kind", list(TASKS))
def test_composed_and_decomposed_letters_are_one_label(kind):
    assert TASKS[kind].encode(["cafe\u0301"], ["caf\u00e9"]).tolist() == [0]


@pytest.mark.parametrize("kind", list(TASKS))
def test_answers_are_what_the_contract_says(kind):
    answers = TASKS[kind].decode(np.array([[0.0, 1.0, 3.0], [2.0, 2.0, -1.0]]), CLASSES, None)
    for answer in answers:
        assert Classification.model_validate(answer.model_dump()) == answer
        assert sum(score.score for score in answer.scores) == pytest.approx(1.0)
        assert answer.score == answer.scores[0].score == max(score.score for score in answer.scores)
    assert [score.label for score in answers[0].scores] == ["pos", "neutral", "neg"]
    assert answers[1].label == "neg"  # equal scores: the order of the classes


@pytest.mark.parametrize(("top_k", "count"), [(1, 1), (2, 2), (99, 3), (None, 3)])
@pytest.mark.parametrize("kind", list(TASKS))
def test_top_k_cuts_scores(kind, top_k, count):
    assert len(TASKS[kind].decode(np.zeros((1, 3)), CLASSES, top_k)[0].scores) == count


@pytest.mark.parametrize("kind", list(TASKS))
def test_report_is_the_contracts(kind):
    report = TASKS[kind].evaluate(np.eye(3), np.arange(3), CLASSES, np.arange(3), "test")
    assert isinstance(report, TaskReport)
    assert report.metrics["accuracy"] == 1.0
