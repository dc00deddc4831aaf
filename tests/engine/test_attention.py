"""Short attention gives what attention gives in float32, but for the rounding of 16 bits, and trains."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from headstart.engine import attention
from headstart.engine.attention import attend, use_short_attention

HALF = torch.bfloat16


def vectors(tokens: int, dtype: torch.dtype = HALF) -> tuple[Tensor, Tensor, Tensor]:
    """Query, key and value."""
    generator = torch.Generator().manual_seed(tokens)
    query, key, value = torch.randn(3, 3, 4, tokens, 16, generator=generator).to(dtype)
    return query, key, value


def padding(tokens: int) -> torch.Tensor:
    mask = torch.ones(3, 1, 1, tokens, dtype=torch.bool)
    mask[1, :, :, tokens - tokens // 3 :] = False
    return mask


@pytest.mark.parametrize("tokens", [1, 7, 64, 256])
@pytest.mark.parametrize("mask", ["none", "bool", "additive"])
def test_it_is_attention_in_float32_but_for_rounding(tokens: int, mask: str):
    query, key, value = vectors(tokens)
    given = {"none": None, "bool": padding(tokens), "additive": torch.zeros(3, 1, 1, tokens).masked_fill(~padding(tokens), -1e9)}[mask]
    wide = None if given is None else given.expand(3, 1, tokens, tokens)
    exact = scaled_dot_product_attention(query.float(), key.float(), value.float(), wide).transpose(1, 2)
    ours, weights = attend(nn.Module(), query, key, value, given)
    assert weights is None
    assert ours.dtype is HALF
    assert (ours.float() - exact).norm() < 0.006 * exact.norm()


def test_gradients_are_those_of_float32_but_for_rounding():
    half = tuple(each.detach().requires_grad_() for each in vectors(20))
    full = tuple(each.detach().float().requires_grad_() for each in half)
    attend(nn.Module(), half[0], half[1], half[2], padding(20))[0].float().square().sum().backward()
    scaled_dot_product_attention(full[0], full[1], full[2], padding(20).expand(3, 1, 20, 20)).square().sum().backward()
    for ours, theirs in zip(half, full, strict=True):
        assert ours.grad is not None
        assert theirs.grad is not None
        assert (ours.grad.float() - theirs.grad).norm() < 0.02 * theirs.grad.norm()


def test_padding_is_not_attended_to():
    query, key, value = vectors(12)
    before, _ = attend(nn.Module(), query, key, value, padding(12))
    key[1, :, 8:], value[1, :, 8:] = 7.0, 7.0
    after, _ = attend(nn.Module(), query, key, value, padding(12))
    assert torch.equal(before[1], after[1])


@pytest.mark.parametrize("case", ["long", "float32", "causal"])
def test_what_is_long_exact_or_causal_goes_to_the_fused_kernel(case: str, monkeypatch: pytest.MonkeyPatch):
    asked: list[int] = []
    monkeypatch.setattr(attention, "sdpa_attention_forward", lambda *_, **__: asked.append(1))
    query, key, value = vectors(300 if case == "long" else 8, torch.float32 if case == "float32" else HALF)
    attend(nn.Module(), query, key, value, None, is_causal=case == "causal")
    assert asked


def test_model_that_attends_in_its_own_way_is_left_alone(backbones):
    import copy

    module = copy.deepcopy(backbones("mpnet").module)
    config: Any = module.config
    before = config._attn_implementation
    use_short_attention(module)
    assert config._attn_implementation == before != "sdpa"
    assert module(input_ids=torch.ones((1, 3), dtype=torch.int64)).last_hidden_state.shape == (1, 3, 32)
