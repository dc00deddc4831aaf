"""Learning rates by layer, and the pull back to where parameters began, each with an answer known beforehand."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from headstart.engine.optimizers import Optimiser, Rates
from headstart.specs.jobs import Training

PLAIN: dict[str, Any] = {"warmup": 0.0, "clip_norm": None, "weight_decay": 0.0}


def parameters(*names: str) -> dict[str, nn.Parameter]:
    return {name: nn.Parameter(torch.zeros(3, 2)) for name in names}


def read(row: int) -> torch.Tensor:
    """The gradient of a table of which one row was read."""
    return torch.sparse_coo_tensor(torch.tensor([[row]]), torch.ones(1, 2), (3, 2), check_invariants=True)


def step(made: dict[str, nn.Parameter], optimiser: Optimiser, times: int = 1, gradient: float = 1.0) -> None:
    for _ in range(times):
        for parameter in made.values():
            parameter.grad = torch.full_like(parameter, gradient)
        optimiser.step()
        optimiser.advance()


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
def test_parameters_move_by_their_share_of_the_learning_rate(optimizer):
    made = parameters("low", "high", "head/weight")
    optimiser = Optimiser(
        made, frozenset(), Training(optimizer=optimizer, **PLAIN), Rates(0.1, {"low": 0.25, "high": 0.5}), steps=1_000_000
    )
    assert optimiser.learning_rate == pytest.approx(0.1)
    step(made, optimiser)
    moved = [float(parameter.detach().abs().mean()) for parameter in made.values()]
    assert moved == pytest.approx([0.025, 0.05, 0.1], rel=1e-5)


def test_rows_of_a_table_move_by_their_share_too():
    made = parameters("table", "head/weight")
    optimiser = Optimiser(made, frozenset({"table"}), Training(**PLAIN), Rates(0.1, {"table": 0.5}), steps=1_000_000)
    made["table"].grad = read(1)
    made["head/weight"].grad = torch.ones(3, 2)
    optimiser.step()
    assert made["table"].detach().abs().tolist() == [[0.0, 0.0], pytest.approx([0.05, 0.05], rel=1e-5), [0.0, 0.0]]


def test_pull_is_the_proximal_step_on_the_squared_distance():
    made = parameters("w", "head/weight")
    anchor = torch.full((3, 2), 2.0)
    optimiser = Optimiser(made, frozenset(), Training(optimizer="sgd", **PLAIN), Rates(0.1, {}, {"w": anchor}, pull=5.0), steps=1_000_000)
    step(made, optimiser)
    # the step leads to −0.1; v minimises (v + 0.1)² / (2 · 0.1) + 5 / 2 · (v − 2)²
    assert made["w"].detach().flatten().tolist() == pytest.approx([(-0.1 + 0.5 * 2.0) / 1.5] * 6, rel=1e-5)
    assert made["head/weight"].detach().flatten().tolist() == pytest.approx([-0.1] * 6)


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
@pytest.mark.parametrize("pull", [1e3, 1e6])
def test_no_strength_makes_the_pull_unstable(optimizer, pull):
    made = parameters("w", "head/weight")
    options = Training(optimizer=optimizer, **PLAIN)
    optimiser = Optimiser(made, frozenset(), options, Rates(0.1, {}, {"w": torch.full((3, 2), 2.0)}, pull=pull), steps=200)
    step(made, optimiser, times=100)
    assert float((made["w"].detach() - 2).abs().max()) < 0.02


def test_pulled_parameters_do_not_decay_to_zero_besides():
    made = {name: nn.Parameter(torch.ones(3, 2)) for name in ("w", "head/weight")}
    options = Training(optimizer="adamw", **{**PLAIN, "weight_decay": 0.5})
    optimiser = Optimiser(made, frozenset(), options, Rates(0.1, {}, {"w": torch.ones(3, 2)}, pull=1e-6), steps=1_000_000)
    step(made, optimiser, gradient=0.0)
    assert torch.equal(made["w"].detach(), torch.ones(3, 2))
    assert float(made["head/weight"].detach().max()) < 1


def test_row_of_a_table_is_pulled_when_it_is_read():
    made = parameters("table", "head/weight")
    rates = Rates(0.1, {}, {"table": torch.full((3, 2), 2.0)}, pull=1e6)
    optimiser = Optimiser(made, frozenset({"table"}), Training(**PLAIN), rates, steps=1_000_000)
    made["table"].grad = read(1)
    made["head/weight"].grad = torch.ones(3, 2)
    optimiser.step()
    assert made["table"].detach().tolist() == [[0.0, 0.0], pytest.approx([2.0, 2.0], rel=1e-4), [0.0, 0.0]]
