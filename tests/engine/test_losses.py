"""Losses: beside torch's own, and what each is for, seen on a small problem."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from headstart.engine.losses import Sigmoid, Softmax, Squares, sigmoid_objective, softmax_objective, squared_objective
from headstart.specs.jobs import Training
from tests.engine.conftest import Listener, reviews

CLASSES = ["neg", "pos", "rare"]
TARGETS = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 2])


def scores(seed: int = 0) -> torch.Tensor:
    return torch.randn(len(TARGETS), 3, generator=torch.Generator().manual_seed(seed))


def of(options: dict[str, Any]) -> Softmax:
    return softmax_objective(Training(**options), CLASSES, TARGETS)


def test_plain_and_smoothed_losses_are_those_of_torch():
    for smoothing in (0.0, 0.1):
        ours = of({"label_smoothing": smoothing}).of(scores(), torch.from_numpy(TARGETS))
        assert torch.equal(ours, functional.cross_entropy(scores(), torch.from_numpy(TARGETS), reduction="none", label_smoothing=smoothing))


@pytest.mark.parametrize("asked", ["balanced", {"rare": 7.5, "neg": 0.5}])
def test_weights_count_by_class_and_are_1_in_the_mean(asked):
    weights = of({"class_weights": asked}).weights
    assert weights is not None
    assert weights[TARGETS].mean() == pytest.approx(1.0)
    ratios = [1 / 5, 1 / 4, 1.0] if asked == "balanced" else [0.5, 1.0, 7.5]
    assert np.allclose(weights / weights[1], np.array(ratios) / ratios[1])
    ours = of({"class_weights": asked}).of(scores(), torch.from_numpy(TARGETS)).mean()
    theirs = functional.cross_entropy(scores(), torch.from_numpy(TARGETS), weight=torch.from_numpy(weights))
    assert float(ours) == pytest.approx(float(theirs), rel=1e-6)


def test_focal_loss_is_the_formula_and_lets_alone_what_is_right_already():
    gamma, targets = 1.5, torch.from_numpy(TARGETS)
    of_target = torch.softmax(scores().double(), dim=1).gather(1, targets[:, None])[:, 0]
    expected = -((1 - of_target) ** gamma) * of_target.log()
    ours = of({"loss": "focal", "focal_gamma": gamma}).of(scores(), targets)
    assert torch.allclose(ours.double(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_focal_loss_of_a_row_that_is_surely_right_or_wrong_has_a_finite_gradient(gamma):
    values = torch.tensor([[60.0, -60.0], [-60.0, 60.0]], requires_grad=True)
    Softmax(gamma=gamma).of(values, torch.tensor([0, 0])).sum().backward()
    assert values.grad is not None
    assert torch.isfinite(values.grad).all()


SWITCHES = np.array([[1, 0, 1], [0, 0, 1], [1, 1, 0], [0, 0, 0]], np.float32)
NUMBERS = np.array([3.0, 5.0, 10.0, 102.0])


def test_loss_of_any_labels_is_torchs_and_focal_and_weights_are_the_formula():
    values = torch.randn(4, 3, generator=torch.Generator().manual_seed(1))
    plain = Sigmoid().of(values, torch.from_numpy(SWITCHES))
    assert torch.allclose(
        plain, functional.binary_cross_entropy_with_logits(values, torch.from_numpy(SWITCHES), reduction="none").mean(dim=1)
    )
    right = torch.where(torch.from_numpy(SWITCHES) > 0, torch.sigmoid(values), 1 - torch.sigmoid(values))
    weights = np.array([1.0, 2.0, 0.5], np.float32)
    expected = (torch.from_numpy(weights) * (1 - right) ** 2 * -right.log()).mean(dim=1)
    assert torch.allclose(Sigmoid(weights, gamma=2.0).of(values, torch.from_numpy(SWITCHES)), expected, rtol=1e-5)
    balanced = sigmoid_objective(Training(class_weights="balanced"), CLASSES, SWITCHES).weights
    assert balanced is not None
    assert np.allclose(balanced / balanced[0], [1, 2, 1])


def test_loss_of_a_number_does_not_depend_on_its_unit():
    one, other = (squared_objective(Training(), [], NUMBERS * unit + shift) for unit, shift in ((1, 0), (1000, -7)))
    scores = torch.randn(4, 1, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(one.of(scores, torch.from_numpy(NUMBERS)), other.of(scores, torch.from_numpy(NUMBERS * 1000 - 7)))
    scale, shift = one.unit
    assert (scale, shift) == (NUMBERS.std(), NUMBERS.mean())


@pytest.mark.parametrize(
    ("objective", "targets"),
    [(Softmax(smoothing=0.1), TARGETS[:4]), (Sigmoid(smoothing=0.1), SWITCHES), (Squares(30.0, 40.0), NUMBERS)],
    ids=["one label", "any labels", "a number"],
)
def test_what_a_solver_lowers_is_what_steps_lower(objective, targets):
    outputs = 1 if isinstance(objective, Squares) else 3
    values = torch.randn(4, outputs, generator=torch.Generator().manual_seed(2)).requires_grad_()
    loss = objective.of(values, torch.from_numpy(targets)).mean()
    loss.backward()
    solved, slopes = objective.solvable(values.detach().numpy().copy(), targets)
    assert solved == pytest.approx(float(loss.detach()), rel=1e-5)
    assert values.grad is not None
    assert np.allclose(slopes / 4, values.grad.numpy(), atol=1e-6)


def rare_reviews() -> list[tuple[str, str]]:
    """Two hundred rows, one in eight of them positive, some with the words of the other label."""
    rows, kept = reviews(800), []
    for number, (text, label) in enumerate(row for row in rows if row[1] == "neg"):
        kept.append((text, label))
        if number == 174:
            break
    positive = [(text, label) for text, label in rows if label == "pos"][:25]
    blurred = [(f"{text} good", "neg") for text, _ in kept[:40]]
    return [*kept[40:], *blurred, *positive]


@pytest.mark.parametrize("head", [{"type": "linear"}, {"type": "linear", "solver": None}])
def test_balanced_class_weights_find_more_of_a_rare_class(world, tiny, head):
    def recall(**options: Any) -> float:
        training = {"dtype": "float32", "epochs": 15, "learning_rate": 0.02, **options}
        method = {"type": "feature-extraction", "layer": "embeddings", "head": head}
        outcome, _ = world.run(tiny, rare_reviews(), method=method, training=training, evaluation={"test_size": 0.4})
        return float(next(each.recall for each in outcome.report_tasks["sentiment"].per_class if each.label == "pos"))

    assert recall(class_weights="balanced") > recall() + 0.2
    assert recall(class_weights={"pos": 7.0}) > recall() + 0.2


def test_metric_of_another_loss_is_not_called_log_loss(world, tiny):
    listener = Listener()
    method = {"type": "feature-extraction", "head": {"type": "linear", "solver": None}}
    world.run(tiny, reviews(60), method=method, training={"dtype": "float32", "epochs": 2, "loss": "focal"}, reporter=listener)
    told = [data for kind, data in listener.events if kind == "metric" and data["split"] == "train"]
    assert [data["name"] for data in told] == ["loss", "loss"]
