"""Pooling reads the tokens of the text, never the padding."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from headstart.engine.pooling import POOLINGS, pool_with
from headstart.errors import BadInput
from headstart.specs.jobs import Pooling

HIDDEN = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0]])
ROWS = [HIDDEN[row, : int(MASK[row].sum())] for row in range(3)]


def test_every_pooling_of_a_spec_is_in_the_table():
    assert set(POOLINGS) == set(get_args(Pooling))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mean", [row.mean(dim=0) for row in ROWS]),
        ("first", [row[0] for row in ROWS]),
        ("max", [row.max(dim=0).values for row in ROWS]),
    ],
)
def test_pooling_equals_pooling_each_row_alone(tiny, name, expected):
    assert torch.allclose(pool_with(name, tiny.module)(HIDDEN, MASK), torch.stack(expected), atol=1e-6)


@pytest.mark.parametrize("name", list(POOLINGS))
def test_padding_changes_nothing(tiny, name):
    width = tiny.anatomy.width
    hidden = torch.randn(2, 6, width, generator=torch.Generator().manual_seed(1))
    mask = torch.tensor([[1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 0, 0]])
    other = hidden.clone()
    other[mask == 0] = 1e4
    pool = pool_with(name, tiny.module)
    with torch.inference_mode():
        assert torch.equal(pool(hidden, mask), pool(other, mask))


def test_sums_are_taken_in_float32(tiny):
    ones = torch.ones(1, 1000, 2, dtype=torch.bfloat16)
    pooled = pool_with("mean", tiny.module)(ones, torch.ones(1, 1000))
    assert pooled.dtype is torch.float32
    assert torch.equal(pooled, torch.ones(1, 2))


@pytest.mark.parametrize("name", list(POOLINGS))
def test_layer_with_one_vector_for_each_text_passes_as_it_is(tiny, name):
    vectors = torch.randn(3, 7)
    assert torch.equal(pool_with(name, tiny.module)(vectors, MASK), vectors)


def test_pooler_is_the_models_own(tiny):
    from headstart.engine.batches import collate, tokenise
    from headstart.engine.prefix import Prefix

    batch = collate(tokenise(tiny.tokenizer, ["good film", "dull"], 16).ids, 1)
    pooled = Prefix(tiny.module, tiny.anatomy.default_layer, "pooler", "float32").features(batch)
    with torch.inference_mode():
        assert torch.equal(pooled, tiny.module(**batch).pooler_output)


def test_pooler_of_a_backbone_without_one_is_refused(backbones):
    with pytest.raises(BadInput, match="no pooler"):
        pool_with("pooler", backbones("distilbert").module)
