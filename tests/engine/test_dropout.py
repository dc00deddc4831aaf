"""Cheap dropout drops as much as it says, scales what stays, and repeats itself by the seed."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from headstart.engine.dropout import ByteDropout, drop, use_byte_dropout


@pytest.mark.parametrize("p", [0.1, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_share_and_scale(p: float, dtype: torch.dtype):
    torch.manual_seed(0)
    out = drop(torch.ones(1000, 1001, dtype=dtype), p).float()
    share = float((out == 0).float().mean())
    assert share == pytest.approx(round(256 * p) / 256, abs=0.003)
    assert len(out.unique()) == 2
    assert float(out.mean()) == pytest.approx(1.0, abs=0.02)


def test_elements_are_independent_of_their_neighbours():
    torch.manual_seed(0)
    kept = (drop(torch.ones(800_000), 0.5) > 0).float()
    for apart in (1, 2, 7, 8, 9, 64):
        together = float((kept[:-apart] * kept[apart:]).mean())
        assert together == pytest.approx(0.25, abs=0.003), apart


def test_gradient_passes_where_the_value_did():
    torch.manual_seed(0)
    x = torch.randn(50, 50, requires_grad=True)
    y = drop(x, 0.3)
    y.sum().backward()
    assert x.grad is not None
    assert torch.allclose(x.grad * x.detach(), y.detach())


def test_the_seed_repeats_it():
    made = []
    for _ in range(2):
        torch.manual_seed(5)
        made.append(drop(torch.ones(100, 3), 0.4))
    assert torch.equal(*made)
    assert not torch.equal(made[0], drop(torch.ones(100, 3), 0.4))


def test_nothing_is_dropped_outside_of_training_or_at_rate_zero():
    x = torch.randn(10, 10)
    assert ByteDropout(0.5).eval()(x) is x
    assert drop(x, 0.0) is x
    assert not torch.equal(ByteDropout(0.5).train()(x), x)


def test_every_dropout_of_a_module_is_replaced():
    inner = nn.Sequential(nn.Dropout(0.2), nn.Dropout1d(0.3))
    use_byte_dropout(nn.Sequential(nn.Linear(4, 4), inner))
    assert isinstance(inner[0], ByteDropout)
    assert inner[0].p == 0.2
    assert isinstance(inner[1], nn.Dropout1d)  # it drops whole channels, which is something else
