"""Scores are brought nearer to what they say, on rows that the temperature has not seen."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, softmax

from headstart.engine.evaluation.calibration import (
    calibration,
    expected_error,
    multi_label_decisions,
    multi_label_temperature,
    reliability,
    single_label_decisions,
    single_label_temperature,
)
from headstart.engine.evaluation.thresholds import HALF, chosen_thresholds


def _overconfident(chance: np.random.Generator, rows: int, factor: float):
    """Labels drawn from what honest logits say, and logits that say it so many times too loud."""
    honest = chance.normal(size=(rows, 4)) * 1.5
    targets = (softmax(honest, axis=1).cumsum(axis=1) > chance.random((rows, 1))).argmax(axis=1)
    return honest * factor, targets


@pytest.mark.parametrize("factor", [3.0, 0.4])
def test_temperature_undoes_what_is_too_loud_or_too_shy(factor: float):
    chance = np.random.default_rng(0)
    temperature = single_label_temperature(*_overconfident(chance, 1_500, factor))
    assert temperature == pytest.approx(factor, rel=0.12)
    logits, targets = _overconfident(chance, 3_000, factor)
    made = calibration(lambda z: single_label_decisions(z, targets), logits, temperature)
    assert made.ece_before > 0.1
    assert made.ece_after < 0.03
    assert sum(each.count for each in made.bins) == 3_000


def test_temperature_of_several_labels_undoes_what_is_too_loud():
    chance = np.random.default_rng(1)
    honest = chance.normal(size=(2_000, 5)) - 1
    held = expit(honest) > chance.random((2_000, 5))
    temperature = multi_label_temperature(3 * honest[:1_000], held[:1_000])
    assert temperature == pytest.approx(3.0, rel=0.1)
    made = calibration(lambda z: multi_label_decisions(z, held[1_000:]), 3 * honest[1_000:], temperature)
    assert made.ece_after < made.ece_before / 3


def test_a_few_rows_that_are_all_right_do_not_make_the_model_certain():
    targets = np.arange(20) % 2
    temperature = single_label_temperature(np.eye(2)[targets] * 2, targets)
    assert temperature is not None
    assert 0.3 < temperature < 1.0


def test_fewer_than_twenty_rows_leave_the_logits_alone():
    targets = np.arange(19) % 2
    assert single_label_temperature(np.eye(2)[targets], targets) is None
    made = calibration(lambda z: single_label_decisions(z, targets), np.eye(2)[targets], None)
    assert made.ece_before == made.ece_after
    assert made.temperature is None


def test_bins_have_equal_mass_and_equal_scores_share_one():
    chance = np.random.default_rng(2)
    scores = chance.random(1_500)
    assert [each.count for each in reliability(scores, scores > 0.5)] == [100] * 15
    alike = reliability(np.full(50, 0.7), np.arange(50) < 30)
    assert [each.model_dump() for each in alike] == [{"count": 50, "confidence": pytest.approx(0.7), "accuracy": 0.6}]
    assert expected_error(alike) == pytest.approx(0.1)


def test_expected_error_is_the_mean_distance_by_a_second_count():
    chance = np.random.default_rng(3)
    scores, right = np.sort(chance.random(300)), chance.random(300) < 0.5
    by_hand = sum(20 * abs(scores[at : at + 20].mean() - right[at : at + 20].mean()) for at in range(0, 300, 20)) / 300
    assert expected_error(reliability(scores, right)) == pytest.approx(by_hand)


def test_thresholds_have_the_best_f1_of_all_there_are():
    chance = np.random.default_rng(4)
    scores = chance.random((200, 2)).round(2)
    held = scores + chance.normal(size=(200, 2)) * 0.2 > np.array([0.3, 0.8])

    def f1(threshold: float, number: int) -> float:
        said = scores[:, number] >= threshold
        return float(2 * (said & held[:, number]).sum() / (said.sum() + held[:, number].sum()))

    for number, threshold in enumerate(chosen_thresholds(scores, held)):
        assert f1(threshold, number) == pytest.approx(max(f1(each, number) for each in np.arange(0, 1.005, 0.005)))


def test_a_class_with_few_positives_takes_the_threshold_of_all_together():
    chance = np.random.default_rng(5)
    scores = np.clip(chance.random((300, 3)), 0.02, 0.98)
    held = scores > np.array([0.3, 0.6, 2.0])
    held[:3, 2] = True
    low, high, few = chosen_thresholds(scores, held)
    assert [low, high] == pytest.approx([0.3, 0.6], abs=0.02)
    assert low < few < high
    assert chosen_thresholds(scores[:5], held[:5] & False) == [HALF] * 3


def test_thresholds_of_scores_that_are_all_nought_are_numbers():
    assert chosen_thresholds(np.zeros((12, 1)), np.ones((12, 1), bool)) == [0.0]
