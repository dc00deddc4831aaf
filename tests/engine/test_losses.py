"""Losses: beside torch's own, and what each is for, seen on a small problem."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from headstart.engine.losses import Objective, objective_of
from headstart.specs.jobs import Training
from tests.engine.conftest import Listener, reviews

CLASSES = ["neg", "pos", "rare"]
TARGETS = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 2])


def scores(seed: int = 0) -> torch.Tensor:
    return torch.randn(len(TARGETS), 3, generator=torch.Generator().manual_seed(seed))


def of(options: dict[str, Any]) -> Objective:
    return objective_of(Training(**options), CLASSES, TARGETS)


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
    Objective(gamma=gamma).of(values, torch.tensor([0, 0])).sum().backward()
    assert values.grad is not None
    assert torch.isfinite(values.grad).all()


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
