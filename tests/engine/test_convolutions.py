"""Convolutions of few channels: right in 16 bits on every processor."""

from __future__ import annotations

import copy
from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from headstart.engine.activations import InputFeeder
from headstart.engine.convolutions import keep_narrow_exact
from headstart.engine.sources import SuffixSource
from headstart.specs.plans import INPUT
from tests.engine.samples import encoded_for
from tests.engine.test_families import suffix_above


def far(found: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((found.float() - wanted).norm() / wanted.norm())


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 8, 14, 16])
@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize(("kind", "kernel"), [*product([nn.Conv1d, nn.Conv2d], [3, 8, 16]), (nn.Conv1d, 19), (nn.Conv1d, 64)])
@torch.no_grad()
def test_convolutions_agree_with_float32_in_sixteen_bits(kind, groups, channels, kernel):
    torch.manual_seed(kernel)
    exact = nn.Sequential(kind(groups * channels, groups * 8, kernel, groups=groups))
    short = copy.deepcopy(exact)
    keep_narrow_exact(short)
    x = torch.randn(1, groups * channels, *([70] if kind is nn.Conv1d else [18, 18]))
    wanted = exact(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert far(short(x), wanted) < 0.01
    found = short.to(torch.bfloat16)(x.bfloat16())
    assert found.dtype is torch.bfloat16
    assert far(found, wanted) < 0.01


@pytest.mark.parametrize("model_type", ["wav2vec2", "hubert", "wavlm"])
@torch.no_grad()
def test_recordings_are_judged_in_sixteen_bits_as_in_float32(backbones, model_type):
    backbone = backbones(model_type)
    suffix, feeder = suffix_above(backbone, INPUT, []), InputFeeder(encoded_for(backbone))
    exact, short = (
        SuffixSource(suffix, feeder, dtype, alike=True).embed(np.arange(1))["example"] for dtype in (torch.float32, torch.bfloat16)
    )
    assert far(short, exact) < 0.03
