"""The solved head is the minimum, is chosen on validation rows alone, and comes out the same each time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, Ridge

from headstart.engine.heads import linear
from headstart.engine.losses import Sigmoid, Softmax, Squares, log_loss


def blobs(rows: int, width: int, classes: int, *, noise: float = 2.0, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    chance = np.random.default_rng(seed)
    centres = np.zeros((classes, width))
    centres[:, : width // 4] = chance.normal(size=(classes, width // 4))
    targets = chance.integers(0, classes, rows)
    features = centres[targets] + noise * chance.normal(size=(rows, width))
    return (features * chance.uniform(0.1, 3, width) + chance.normal(size=width)).astype(np.float32), targets


def probabilities(logits: NDArray[np.float64]) -> Any:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(("weighted", "smoothing"), [(False, 0.0), (True, 0.0), (False, 0.2), (True, 0.2)])
def test_gradient_is_that_of_the_objective(weighted, smoothing):
    x, targets = blobs(30, 4, 3)
    weights = np.linspace(0.2, 3, 3).astype(np.float32) if weighted else None
    data = linear._Data(x, targets, 3, Softmax(weights, smoothing))
    at = np.random.default_rng(1).normal(size=data.size)
    steps = np.eye(data.size) * 1e-2  # large steps: products are in float32
    numeric = [(data.lowered(at + step, 0.1)[0] - data.lowered(at - step, 0.1)[0]) / 2e-2 for step in steps]
    assert np.allclose(numeric, data.lowered(at, 0.1)[1], atol=2e-3)


def test_validation_rows_that_cannot_be_judged_choose_nothing():
    x, targets = blobs(200, 8, 2)
    solved = linear.solve(x, targets, np.full((20, 8), np.nan, np.float32), targets[:20], 2, Softmax())
    assert not solved.weight.any()


@pytest.mark.parametrize("classes", [2, 3, 7])
def test_solution_is_that_of_scikit_learn_at_the_same_strength(classes):
    x, targets = blobs(400, 20, classes)
    solved = linear.solve(x, targets, x[:0], targets[:0], classes, Softmax())
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    reference = LogisticRegression(C=1 / (linear.WITHOUT_VALIDATION * len(x)), tol=1e-8, max_iter=2000).fit(z, targets)
    ours = probabilities(linear.logits(solved.weight, solved.bias, x))
    if classes > 2:  # for two classes it fits one vector, which halves the penalty
        assert np.abs(ours - reference.predict_proba(z)).max() < 0.02
    assert (ours.argmax(axis=1) == reference.predict(z)).mean() > 0.97


def test_solution_with_class_weights_is_that_of_scikit_learn():
    x, targets = blobs(400, 20, 3)
    weights = np.array([3.0, 0.5, 1.0])
    weights *= len(targets) / weights[targets].sum()
    solved = linear.solve(x, targets, x[:0], targets[:0], 3, Softmax(weights.astype(np.float32)))
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    regression = LogisticRegression(
        C=1 / (linear.WITHOUT_VALIDATION * len(x)), tol=1e-8, max_iter=2000, class_weight=dict(enumerate(weights))
    )
    expected = regression.fit(z, targets).predict_proba(z)
    assert np.abs(probabilities(linear.logits(solved.weight, solved.bias, x)) - expected).max() < 0.02


def test_smoothed_labels_give_less_certain_scores():
    x, targets = blobs(400, 20, 3, noise=0.5)
    plain, smooth = (linear.solve(x, targets, x[:0], targets[:0], 3, Softmax(smoothing=smoothing)) for smoothing in (0.0, 0.3))
    certain, less = (probabilities(linear.logits(head.weight, head.bias, x)).max(axis=1).mean() for head in (plain, smooth))
    assert less < certain - 0.05


def test_strength_is_the_one_with_the_least_validation_loss():
    x, targets = blobs(600, 40, 3)
    train, validation = slice(0, 400), slice(400, 600)
    solved = linear.solve(x[train], targets[train], x[validation], targets[validation], 3, Softmax())
    mean, scale = linear._standardisation(x[train])
    data = linear._Data(((x[train] - mean) / scale).astype(np.float32), targets[train], 3, Softmax())
    losses = {}
    for strength, parameters in linear._path(data):
        weight, bias = linear._unpack(parameters, 3)
        losses[strength] = log_loss((x[validation] - mean) / scale @ weight.T + bias, targets[validation])
    assert solved.strength == min(losses, key=losses.__getitem__)
    assert log_loss(linear.logits(solved.weight, solved.bias, x[validation]), targets[validation]) == pytest.approx(
        min(losses.values()), abs=1e-4
    )


def test_same_rows_give_the_same_bits():
    x, targets = blobs(300, 20, 3)
    one, two = (linear.solve(x[:200], targets[:200], x[200:], targets[200:], 3, Softmax()) for _ in range(2))
    assert np.array_equal(one.weight, two.weight)
    assert np.array_equal(one.bias, two.bias)


def test_features_that_never_change_are_harmless():
    x, targets = blobs(300, 20, 3, noise=0.5)
    x[:, 5] = 7.0
    x[:, 6] = 1e-7 * np.random.default_rng(0).normal(size=300)
    solved = linear.solve(x[:200], targets[:200], x[200:], targets[200:], 3, Softmax())
    assert np.isfinite(solved.weight).all()
    assert (linear.logits(solved.weight, solved.bias, x).argmax(axis=1) == targets).mean() > 0.8


def test_class_without_training_rows_is_never_the_answer():
    x, targets = blobs(200, 10, 2)
    solved = linear.solve(x, targets, x[:0], targets[:0], 3, Softmax())
    assert (linear.logits(solved.weight, solved.bias, x).argmax(axis=1) != 2).all()


def test_all_features_equal_still_gives_a_head():
    solved = linear.solve(
        np.ones((6, 4), np.float32), np.array([0, 0, 0, 0, 1, 1]), np.ones((2, 4), np.float32), np.array([0, 1]), 2, Softmax()
    )
    assert linear.logits(solved.weight, solved.bias, np.ones((1, 4), np.float32)).argmax() == 0


def test_a_long_solve_is_seen_to_live():
    x, targets = blobs(400, 20, 3)
    ticks: list[int] = []
    linear.solve(x[:300], targets[:300], x[300:], targets[300:], 3, Softmax(), lambda: ticks.append(1))
    assert len(ticks) >= 10


def test_solution_of_any_labels_is_that_of_a_regression_for_each():
    x, targets = blobs(400, 20, 4, noise=1.0)
    switches = np.stack([targets == 0, targets >= 2], axis=1).astype(np.float32)
    solved = linear.solve(x, switches, x[:0], switches[:0], 2, Sigmoid())
    ours = 1 / (1 + np.exp(-linear.logits(solved.weight, solved.bias, x)))
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    for label in range(2):  # the mean over labels halves the loss beside the penalty
        reference = LogisticRegression(C=1 / (2 * linear.WITHOUT_VALIDATION * len(x)), tol=1e-8, max_iter=2000)
        assert np.abs(ours[:, label] - reference.fit(z, switches[:, label]).predict_proba(z)[:, 1]).max() < 0.02


def test_few_rows_of_wide_features_do_no_worse_than_their_mean():
    chance = np.random.default_rng(4)
    x, numbers = chance.normal(size=(260, 1000)).astype(np.float32), chance.normal(size=260) + 5
    train, validation, test = slice(0, 100), slice(100, 160), slice(160, 260)
    objective = Squares(float(numbers[train].mean()), float(numbers[train].std()))
    solved = linear.solve(x[train], numbers[train], x[validation], numbers[validation], 1, objective)
    errors = linear.logits(solved.weight, solved.bias, x[test])[:, 0] - numbers[test]
    assert np.square(errors).mean() < 1.1 * np.square(numbers[test] - numbers[train].mean()).mean()


def test_solution_of_a_number_is_ridge_regression_in_the_unit_that_is_meant():
    x, _ = blobs(400, 20, 3)
    chance = np.random.default_rng(3)
    numbers = 1000.0 + 50 * (x @ chance.normal(size=20)) + chance.normal(size=400)
    solved = linear.solve(x, numbers, x[:0], numbers[:0], 1, Squares(float(numbers.mean()), float(numbers.std())))
    z = (x - x.mean(axis=0)) / x.std(axis=0)
    reference = Ridge(alpha=linear.WITHOUT_VALIDATION * len(x) / 2).fit(z, numbers).predict(z)
    assert np.abs(linear.logits(solved.weight, solved.bias, x)[:, 0] - reference).max() < 0.01 * numbers.std()
