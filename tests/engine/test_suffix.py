"""Prefix then suffix is the whole model: its outputs bit for bit, and its gradients."""

from __future__ import annotations

import pytest
import torch

from headstart.engine.backbones.loading import Backbone
from headstart.engine.batches import collate, tokenise
from headstart.engine.boundary import run_prefix
from headstart.engine.pooling import pool_with
from headstart.engine.suffix import Suffix, adapted
from headstart.planning.trainable import select
from headstart.specs.jobs import FineTuning
from headstart.specs.plans import INPUT
from tests.engine.tiny import MODEL_TYPES

TEXTS = ["good film", "the plot was very dull and it was not good", "x"]


def batch_for(backbone: Backbone) -> dict[str, torch.Tensor]:
    return collate(tokenise(backbone.tokenizer, TEXTS, 16).ids, backbone.tokenizer.pad_token_id)


def suffix_above(backbone: Backbone, boundary: str, trainable: list[str]) -> Suffix:
    anatomy = backbone.anatomy
    return Suffix(backbone.module, [layer.name for layer in anatomy.layers], boundary, anatomy.default_layer, "mean", trainable)


def boundaries(backbone: Backbone) -> list[str]:
    anatomy = backbone.anatomy
    top = next(layer.index for layer in anatomy.layers if layer.name == anatomy.default_layer)
    return [layer.name for layer in anatomy.layers if layer.boundary and layer.index < top and layer.output[0] == "T"]


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_prefix_then_suffix_is_the_whole_model_bit_for_bit_at_every_boundary(backbones, model_type):
    backbone = backbones(model_type)
    batch = batch_for(backbone)
    with torch.no_grad():
        whole = pool_with("mean", backbone.module)(backbone.module(**batch).last_hidden_state, batch["attention_mask"])
        for boundary in boundaries(backbone):
            hidden = run_prefix(backbone.module, boundary, batch).clone()
            assert torch.equal(suffix_above(backbone, boundary, [])(hidden, batch["attention_mask"]), whole), boundary
        assert torch.equal(suffix_above(backbone, INPUT, [])(batch["input_ids"], batch["attention_mask"]), whole)


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_gradients_through_the_suffix_are_those_of_the_whole_model(backbones, model_type):
    backbone = backbones(model_type)
    batch = batch_for(backbone)
    selection = select(FineTuning(type="fine-tuning", top_layers=1), backbone.anatomy)
    names = [tensor.name for tensor in selection.tensors]
    suffix = suffix_above(backbone, selection.boundary, names)
    suffix(run_prefix(backbone.module, selection.boundary, batch).clone(), batch["attention_mask"]).square().sum().backward()

    whole = adapted(backbone.module, {name: backbone.module.get_parameter(name).data for name in names})
    for name in names:
        whole.get_parameter(name).requires_grad_()
    pool_with("mean", whole)(whole(**batch).last_hidden_state, batch["attention_mask"]).square().sum().backward()
    for name in names:
        ours, theirs = suffix.parameters[name].grad, whole.get_parameter(name).grad
        assert ours is not None
        assert theirs is not None
        assert torch.equal(ours, theirs), name


def test_layers_below_the_boundary_never_run(tiny):
    suffix = suffix_above(tiny, "encoder.layer.1", [])
    below = suffix.module.get_submodule("encoder.layer.0.attention")
    below.register_forward_hook(lambda *_: pytest.fail("a layer below the boundary ran"))
    batch = batch_for(tiny)
    suffix(run_prefix(tiny.module, "encoder.layer.1", batch).clone(), batch["attention_mask"])


def test_what_does_not_learn_is_shared_with_the_backbone_and_what_learns_is_not(tiny):
    name = "encoder.layer.2.output.dense.weight"
    suffix = suffix_above(tiny, "encoder.layer.1", [name])
    with torch.no_grad():
        suffix.parameters[name].add_(1.0)
    for parameter, value in suffix.module.named_parameters():
        assert (value is tiny.module.get_parameter(parameter)) == (parameter != name)
    assert not torch.equal(suffix.parameters[name], tiny.module.get_parameter(name))
