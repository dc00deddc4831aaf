"""Pooling reads the tokens of the text, never the padding, and every place of a map."""

from __future__ import annotations

from typing import get_args

import pytest
import torch

from headstart.engine.pooling import POOLINGS, pool_with
from headstart.engine.prefix import Prefix
from headstart.errors import BadInput
from headstart.specs.backbones import Layer
from headstart.specs.jobs import Pooling
from tests.engine.samples import batch_for


def layer(output, axes) -> Layer:
    return Layer(object="layer", name="encoder", index=0, parameters=1, output=output, axes=axes, boundary=True)


TOKENS = layer(["T", 4], ["T", "D"])
HIDDEN = torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0))
MASK = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [1, 0, 0, 0, 0]])
ROWS = [HIDDEN[row, : int(MASK[row].sum())] for row in range(3)]


def test_every_pooling_of_a_spec_is_in_the_table():
    assert {*POOLINGS, "pooler", "flatten", "none"} == set(get_args(Pooling))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mean", [row.mean(dim=0) for row in ROWS]),
        ("first", [row[0] for row in ROWS]),
        ("max", [row.max(dim=0).values for row in ROWS]),
    ],
)
def test_pooling_equals_pooling_each_row_alone(name, expected):
    assert torch.allclose(pool_with(name, TOKENS)(HIDDEN, MASK), torch.stack(expected), atol=1e-6)


@pytest.mark.parametrize("name", list(POOLINGS))
def test_padding_changes_nothing(name):
    hidden = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(1))
    mask = torch.tensor([[1, 1, 1, 0, 0, 0], [1, 1, 1, 1, 0, 0]])
    other = hidden.clone()
    other[mask == 0] = 1e4
    pool = pool_with(name, TOKENS)
    with torch.inference_mode():
        assert torch.equal(pool(hidden, mask), pool(other, mask))


def test_sums_are_taken_in_float32():
    ones = torch.ones(1, 1000, 2, dtype=torch.bfloat16)
    pooled = pool_with("mean", TOKENS)(ones, torch.ones(1, 1000))
    assert pooled.dtype is torch.float32
    assert torch.equal(pooled, torch.ones(1, 2))


@pytest.mark.parametrize("name", get_args(Pooling))
def test_layer_with_one_vector_for_each_example_passes_as_it_is(name):
    vectors = torch.randn(3, 7)
    assert torch.equal(pool_with(name, layer([7], ["D"]))(vectors, MASK), vectors)


MAP = torch.randn(2, 5, 3, 4, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize(
    ("hidden", "of"),
    [
        (MAP, layer([5, 3, 4], ["D", "H", "W"])),
        (MAP.permute(0, 2, 3, 1), layer([3, 4, 5], ["H", "W", "D"])),
        (MAP.flatten(2), layer([5, "T"], ["D", "T"])),
        (MAP.flatten(2).transpose(1, 2), layer(["T", 5], ["T", "D"])),
    ],
)
def test_places_are_pooled_wherever_their_axes_stand(hidden, of):
    assert torch.allclose(pool_with("mean", of)(hidden, None), MAP.mean(dim=(2, 3)), atol=1e-6)
    assert torch.equal(pool_with("max", of)(hidden, None), MAP.amax(dim=(2, 3)))
    assert torch.equal(pool_with("first", of)(hidden, None), MAP[:, :, 0, 0])


def test_flatten_keeps_every_number_in_the_order_of_the_layer():
    assert torch.equal(pool_with("flatten", layer([5, 3, 4], ["D", "H", "W"]))(MAP, None), MAP.reshape(2, -1))


def test_pooler_is_the_models_own(tiny):
    batch = batch_for(tiny, ["good film", "dull"])
    pooled = Prefix(tiny.module, [tiny.anatomy.layer(tiny.anatomy.default_layer)], "pooler", "float32").features(batch)
    with torch.inference_mode():
        assert torch.equal(pooled, tiny.module(**batch.tensors).pooler_output)


def test_pooler_of_a_backbone_without_one_is_refused(backbones):
    backbone = backbones("distilbert")
    prefix = Prefix(backbone.module, [backbone.anatomy.layer(backbone.anatomy.default_layer)], "pooler", "float32")
    with pytest.raises(BadInput, match="no pooler"):
        prefix.features(batch_for(backbone))
