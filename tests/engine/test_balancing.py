"""Each balancer does what its paper says where the answer is known, however a batch comes: whole, in parts, or in two processes."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn

from headstart.engine.balancing import BALANCERS, Balancer, Total, Weighed, make_balancer, task_cosines, task_gradients
from headstart.engine.group import ALONE
from headstart.specs.balancing import Balancing

SPECS: dict[str, dict[str, Any]] = {
    "fixed": {"type": "fixed"},
    "uncertainty": {"type": "uncertainty"},
    "gradnorm": {"type": "gradnorm"},
    "famo": {"type": "famo"},
    "famo, second look": {"type": "famo", "second_look": True},
}
every = pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS.keys())


def made(
    spec: dict[str, Any], tasks: Sequence[Weighed] = (Weighed(2.0), Weighed(0.5, regression=True)), total: Total | None = None
) -> Balancer:
    parsed: Any = TypeAdapter(Balancing).validate_python(spec)
    return make_balancer(parsed, tasks, total or ALONE.total)


class Two:
    """Two tasks on one shared layer: rows with NaN have no label of the task."""

    def __init__(self, rows: int = 12, scales: Sequence[float] = (1.0, 1.0), *, missing: bool = True) -> None:
        chance = torch.Generator().manual_seed(3)
        self.inputs = torch.randn(rows, 4, generator=chance)
        self.targets = torch.randn(rows, 2, generator=chance)
        if missing:
            self.targets[::3, 0] = self.targets[:2, 1] = torch.nan
        self.scales = scales
        self.body = nn.Parameter(torch.randn(4, 3, generator=chance) / 2)
        self.heads = nn.Parameter(torch.randn(3, 2, generator=chance) / 2)
        self.sizes = (~self.targets.isnan()).sum(0).tolist()

    def losses(self, rows: slice) -> tuple[list[Tensor | None], Tensor]:
        """The losses of a part, ÷ the labelled rows of the whole, and its pooled vectors."""
        pooled = self.inputs[rows] @ self.body
        targets = self.targets[rows]
        kept = ~targets.isnan()
        errors = (pooled @ self.heads - targets.nan_to_num()).square()  # [B, K]
        told: list[Tensor | None] = [
            self.scales[task] * errors[kept[:, task], task].sum() / self.sizes[task] if kept[:, task].any() else None for task in (0, 1)
        ]
        return told, pooled

    def again(self, rows: Sequence[slice]) -> Callable[[], list[float | None]]:
        def look() -> list[float | None]:
            with torch.no_grad():
                parts = [self.losses(part)[0] for part in rows]
            told = [[float(part[task]) for part in parts if part[task] is not None] for task in (0, 1)]  # type: ignore[arg-type] # not None
            return [sum(losses) if losses else None for losses in told]

        return look

    def step(self, balancer: Balancer, parts: Sequence[slice] = (slice(None),), rate: float = 0.05) -> list[Tensor]:
        """Gradients of a step, which is then taken; an own share of the rows is stepped by nobody."""
        for parameter in (self.body, self.heads):
            parameter.grad = None
        balancer.begin(self.again(parts))
        for part in parts:
            losses, pooled = self.losses(part)
            balancer.backward(losses, [pooled])
        found = [parameter.grad.clone() for parameter in (self.body, self.heads) if parameter.grad is not None]
        with torch.no_grad():
            for parameter, gradient in zip((self.body, self.heads), found, strict=True):
                parameter.sub_(rate * gradient)
        balancer.after_step(self.again(parts))
        return found


def test_every_balancer_that_a_spec_can_name_is_there_and_no_other():
    assert {spec["type"] for spec in SPECS.values()} == set(BALANCERS)


@every
def test_parts_of_a_batch_come_to_the_same_as_the_whole(spec):
    whole, parted = made(spec), made(spec)
    one, other = Two(), Two()
    for _ in range(4):
        gradients = one.step(whole)
        gathered = other.step(parted, [slice(0, 2), slice(2, 7), slice(7, 12)])
        assert all(torch.allclose(left, right, atol=1e-5) for left, right in zip(gradients, gathered, strict=True))
        assert parted.weights() == pytest.approx(whole.weights(), rel=1e-4)


@every
def test_a_batch_that_is_tried_again_counts_once(spec):
    straight, retried = made(spec), made(spec)
    one, other = Two(), Two()
    for _ in range(2):
        one.step(straight)
        losses, pooled = other.losses(slice(0, 5))
        retried.begin(other.again([slice(None)]))
        retried.backward(losses, [pooled])  # here memory runs out
        other.step(retried)
    assert retried.weights() == pytest.approx(straight.weights(), rel=1e-6)


@every
def test_two_processes_with_half_the_rows_each_find_the_weights_of_one_with_all(spec):
    alone = made(spec)
    whole = Two()
    for _ in range(3):
        whole.step(alone)

    meeting, told = threading.Barrier(2, timeout=20), [[0.0], [0.0]]
    ends: list[list[float]] = [[], []]

    def total_of(rank: int) -> Total:
        def total(*numbers: float) -> list[float]:
            told[rank] = list(numbers)
            meeting.wait()
            summed = [one + other for one, other in zip(*told, strict=True)]
            meeting.wait()
            return summed

        return total

    def process(rank: int) -> None:
        balancer, own, reference = made(spec, total=total_of(rank)), Two(), Two()
        rows = slice(6 * rank, 6 * rank + 6)
        leading = made(spec)
        for _ in range(3):
            balancer.begin(own.again([rows]))
            losses, pooled = own.losses(rows)
            balancer.backward(losses, [pooled])
            reference.step(leading)  # the step of all rows, which the loop would take with gradients of both
            with torch.no_grad():
                own.body.copy_(reference.body)
                own.heads.copy_(reference.heads)
            balancer.after_step(own.again([rows]))
        ends[rank] = balancer.weights()

    threads = [threading.Thread(target=process, args=(rank,)) for rank in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ends[0] == ends[1] == pytest.approx(alone.weights(), rel=1e-4)


@every
def test_a_task_without_labels_in_a_batch_is_no_hindrance(spec):
    balancer, world = made(spec), Two()
    for _ in range(3):
        world.step(balancer, [slice(0, 2)])  # no row of the second task
    gradients = world.step(balancer, [slice(0, 2)])
    assert gradients[1][:, 0].any()
    assert not gradients[1][:, 1].any()
    assert all(math.isfinite(weight) and weight > 0 for weight in balancer.weights())


def test_fixed_weights_give_exactly_the_weighted_sum():
    balancer, world = made(SPECS["fixed"]), Two()
    losses, _ = world.losses(slice(None))
    assert losses[0] is not None
    assert losses[1] is not None
    expected = torch.autograd.grad(2.0 * losses[0] + 0.5 * losses[1], [world.body, world.heads])
    assert all(torch.equal(*pair) for pair in zip(world.step(balancer), expected, strict=True))
    assert balancer.weights() == [2.0, 0.5]
    assert balancer.parameters == []


def test_uncertainty_learns_how_noisy_two_regressions_are():
    """Targets with noise of standard deviation 1 and 10 around what is predicted already."""
    balancer = made(SPECS["uncertainty"], [Weighed(regression=True), Weighed(regression=True)])
    chance = torch.Generator().manual_seed(0)
    prediction = nn.Parameter(torch.zeros(2))
    for _ in range(600):
        noise = torch.randn(256, 2, generator=chance) * torch.tensor([1.0, 10.0])
        errors = (prediction - noise).square().mean(0)
        balancer.backward(list(errors), [prediction])
        balancer.after_step()
    sigmas = [math.exp(each.item() / 2) for each in balancer.parameters]
    assert sigmas == pytest.approx([1.0, 10.0], rel=0.1)
    assert balancer.weights() == pytest.approx([0.5, 0.005], rel=0.2)


def test_uncertainty_of_a_classification_settles_at_half_its_weight_by_its_loss():
    """The least of exp(−s) L + ½ s is where exp(s) = 2 L."""
    balancer = made(SPECS["uncertainty"], [Weighed(), Weighed()])
    losses = torch.tensor([0.05, 2.0])
    anything = nn.Parameter(torch.ones(2))
    for _ in range(400):
        balancer.backward(list(losses * anything), [anything])
        balancer.after_step()
    assert balancer.weights() == pytest.approx([10.0, 0.25], rel=0.05)


def test_uncertainty_of_a_task_that_is_learnt_to_the_last_row_stays_bounded():
    balancer = made(SPECS["uncertainty"], [Weighed(), Weighed(regression=True)])
    anything = nn.Parameter(torch.ones(2))
    for _ in range(1500):
        balancer.backward(list(torch.zeros(2) * anything), [anything])
        balancer.after_step()
    assert balancer.weights() == pytest.approx([500.0, 500.0], rel=0.1)


def test_gradnorm_makes_two_tasks_of_scales_1_and_100_pull_alike():
    """The same regression twice, so that rates of training are equal and only the scale differs."""
    balancer = made(SPECS["gradnorm"], [Weighed(), Weighed()])
    world = Two(scales=(1.0, 100.0), missing=False)
    with torch.no_grad():
        world.targets[:, 1] = world.targets[:, 0]
        world.heads[:, 1] = world.heads[:, 0]
    for _ in range(250):
        world.step(balancer, rate=0.0)
    weights = balancer.weights()
    assert sum(weights) == pytest.approx(2.0)
    assert weights[0] / weights[1] == pytest.approx(100, rel=0.15)
    losses, pooled = world.losses(slice(None))
    norms = [
        float(gradient.norm()) * weight
        for gradient, weight in zip(task_gradients(losses, [pooled]), weights, strict=True)
        if gradient is not None
    ]
    assert norms[0] == pytest.approx(norms[1], rel=0.15)


@pytest.mark.parametrize(("alpha", "ratio"), [(0.0, 1.0), (1.0, 3.0), (2.0, 9.0)])
def test_gradnorm_has_a_task_that_learns_slower_pull_harder(alpha, ratio):
    """Of one task three times as much of the first loss is left as of the other: norms shall be as 3 to the power of alpha."""
    balancer = made({"type": "gradnorm", "alpha": alpha}, [Weighed(), Weighed()])
    pooled = nn.Parameter(torch.ones(2))
    for left in [1.0] + [1 / 3] * 300:
        balancer.backward([pooled[0], pooled[1] * left], [pooled])
        balancer.after_step()
    slow, fast = balancer.weights()
    assert slow * 1 / (fast * 1 / 3) == pytest.approx(ratio, rel=0.15)


def paper_famo(world: Two, gamma: float, rate: float, steps: int) -> list[list[float]]:
    """Algorithm 1 with Adam for the logits: weights of each step, over their mean."""
    logits = torch.zeros(2, requires_grad=True)
    optimizer = torch.optim.Adam([logits], lr=rate, weight_decay=gamma)
    told = []
    for _ in range(steps):
        losses = torch.stack([loss for loss in world.losses(slice(None))[0] if loss is not None])
        z = logits.softmax(0).detach()
        weights = z / losses.detach()
        weights = 2 * weights / weights.sum()
        told.append(weights.tolist())
        gradients = torch.autograd.grad((weights * losses).sum(), [world.body, world.heads])
        with torch.no_grad():
            world.body.sub_(0.05 * gradients[0])
            world.heads.sub_(0.05 * gradients[1])
            after = torch.stack([loss for loss in world.losses(slice(None))[0] if loss is not None])
        delta = losses.detach().log() - after.log()
        logits.grad = torch.autograd.grad(logits.softmax(0), logits, grad_outputs=delta)[0]
        optimizer.step()
    return told


def test_famo_that_looks_again_is_the_algorithm_of_the_paper():
    balancer, world = made({"type": "famo", "second_look": True, "gamma": 0.05}), Two(scales=(1.0, 30.0))
    told = []
    for _ in range(12):
        balancer.begin(world.again([slice(None)]))
        told.append(balancer.weights())
        world.step(balancer)
    for found, expected in zip(told, paper_famo(Two(scales=(1.0, 30.0)), 0.05, 0.025, 12), strict=True):
        assert found == pytest.approx(expected, rel=1e-3)


def conflict(spec: dict[str, Any]) -> list[float]:
    """What is left of two losses, in shares of the first, where one is 1,000 times the other and they want different things of one vector.

    Neither can fall below 3/8 of what it is at first; then the other has 7/8 left.
    """
    wanted, scales = torch.tensor([[2.0, 0.0], [0.0, 2.0]]), torch.tensor([1000.0, 1.0])
    shared = nn.Parameter(torch.tensor([-1.0, -1.0]))

    def losses() -> Tensor:
        return scales * ((shared - wanted).square().sum(1) + 6) / 16

    balancer, optimizer = made(spec, [Weighed(), Weighed()]), torch.optim.Adam([shared], lr=0.02)
    for _ in range(600):
        optimizer.zero_grad()
        balancer.begin(lambda: losses().tolist())
        balancer.backward(list(losses()), [shared])
        optimizer.step()
        balancer.after_step(lambda: losses().tolist())
    left: list[float] = (losses() / scales).tolist()
    return left


def test_fixed_weights_let_the_small_loss_starve():
    assert conflict(SPECS["fixed"]) == pytest.approx([3 / 8, 7 / 8], abs=0.01)


@pytest.mark.parametrize("name", ["famo", "famo, second look"])
def test_famo_lowers_both_losses_alike_up_to_the_pareto_front(name):
    """That is the line between what the two want; in its middle both have half of their losses left."""
    assert conflict(SPECS[name]) == pytest.approx([1 / 2, 1 / 2], abs=0.03)


@pytest.mark.parametrize(
    ("gradients", "expected"),
    [
        ([[3.0, 0.0], [1.0, 0.0], [0.0, 2.0], [-1.0, 0.0]], [[1, 1, 0, -1], [1, 1, 0, -1], [0, 0, 1, 0], [-1, -1, 0, 1]]),
        ([[1.0, 1.0], None, [0.0, 0.0], [1.0, 0.0]], [[1, None, None, 0.7071], [None] * 4, [None] * 4, [0.7071, None, None, 1]]),
    ],
)
def test_cosines_say_how_far_tasks_agree(gradients, expected):
    found = task_cosines([None if each is None else torch.tensor(each) for each in gradients])
    for line, wanted in zip(found, expected, strict=True):
        assert [cell if cell is None else round(cell, 4) for cell in line] == wanted


def test_gradients_are_those_of_each_loss_and_the_graph_stays():
    world = Two()
    losses, pooled = world.losses(slice(2, 6))
    found = task_gradients([losses[0], None], [pooled, world.heads])
    assert losses[0] is not None
    expected = torch.autograd.grad(losses[0], [pooled, world.heads], retain_graph=True)
    assert found[0] is not None
    assert found[1] is None
    assert torch.equal(found[0], torch.cat([each.reshape(-1) for each in expected]))
