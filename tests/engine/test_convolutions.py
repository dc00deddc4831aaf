"""Convolutions of few channels in a group: right in 16 bits on every processor."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from headstart.engine.convolutions import keep_narrow_exact


def far(found: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((found.float() - wanted).norm() / wanted.norm())


@pytest.mark.parametrize("kernel", [3, 16, 19, 64, 128])
@pytest.mark.parametrize("channels", [1, 2, 3, 8, 16, 48])
@torch.no_grad()
def test_grouped_convolutions_agree_with_float32_in_sixteen_bits(channels, kernel):
    torch.manual_seed(kernel)
    exact = nn.Sequential(nn.Conv1d(4 * channels, 4 * channels, kernel, padding=kernel // 2, groups=4))
    short = copy.deepcopy(exact)
    keep_narrow_exact(short)
    x = torch.randn(2, 4 * channels, 49)
    wanted = exact(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert far(short(x), wanted) < 0.01
    found = short.to(torch.bfloat16)(x.bfloat16())
    assert found.dtype is torch.bfloat16
    assert far(found, wanted) < 0.01
