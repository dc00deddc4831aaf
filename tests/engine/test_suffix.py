"""Prefix then suffix is the whole model: its outputs bit for bit, and its gradients."""

from __future__ import annotations

import pytest
import torch

from headstart.engine.backbones.loading import Backbone
from headstart.engine.batches import collate, tokenise
from headstart.engine.boundary import run_prefix
from headstart.engine.optimizers import Optimiser, Rates
from headstart.engine.pooling import pool_with
from headstart.engine.suffix import Cut, Suffix, adapted, make_suffix
from headstart.planning.trainable import select
from headstart.specs.jobs import FineTuning, Training
from headstart.specs.plans import INPUT
from tests.engine.tiny import MODEL_TYPES

TEXTS = ["good film", "the plot was very dull and it was not good", "x"]


def batch_for(backbone: Backbone) -> dict[str, torch.Tensor]:
    return collate(tokenise(backbone.tokenizer, TEXTS, 16).ids, backbone.tokenizer.pad_token_id)


def suffix_above(backbone: Backbone, boundary: str, trainable: list[str]) -> Suffix:
    anatomy = backbone.anatomy
    return make_suffix(backbone.module, Cut([layer.name for layer in anatomy.layers], boundary, anatomy.default_layer, "mean"), trainable)


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


def gradients_of(suffix: Suffix) -> dict[str, torch.Tensor]:
    return {name: parameter.grad.clone() for name, parameter in suffix.parameters.items() if parameter.grad is not None}


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_suffix_in_sixteen_bits_gives_what_it_gives_in_float32_but_for_rounding(backbones, model_type):
    backbone = backbones(model_type)
    batch = batch_for(backbone)
    for boundary in (INPUT, *boundaries(backbone)[-1:]):
        names = [tensor.name for tensor in select(FineTuning(type="fine-tuning", top_layers=1), backbone.anatomy).tensors]
        exact = suffix_above(backbone, boundary, names)
        short = exact.reduced(torch.bfloat16)
        inputs = batch["input_ids"] if boundary == INPUT else run_prefix(backbone.module, boundary, batch).clone()
        wanted, found = exact(inputs, batch["attention_mask"]), short(inputs, batch["attention_mask"])
        assert (found - wanted).norm() < 0.03 * wanted.norm()
        wanted.square().sum().backward()
        gradients = gradients_of(exact)
        exact.forget()
        found.square().sum().backward()
        short.collect()
        scale = max(float(gradient.norm()) for gradient in gradients.values())
        for name, gradient in gradients_of(short).items():
            assert (gradient - gradients[name]).norm() < 0.05 * scale, name


def test_step_on_the_parameters_reaches_the_suffix_that_computes_in_sixteen_bits(tiny):
    name = "encoder.layer.2.output.dense.weight"
    exact = suffix_above(tiny, "encoder.layer.1", [name])
    short = exact.reduced(torch.bfloat16)
    batch = batch_for(tiny)
    hidden = run_prefix(tiny.module, "encoder.layer.1", batch).clone()
    before = short(hidden, batch["attention_mask"])
    with torch.no_grad():
        exact.parameters[name].add_(0.5)
    assert torch.equal(short(hidden, batch["attention_mask"]), before)
    short.refresh()
    after = short(hidden, batch["attention_mask"])
    assert (after - exact(hidden, batch["attention_mask"])).norm() < 0.03 * after.norm()
    assert all(parameter.dtype is torch.float32 for parameter in tiny.module.parameters())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_table_learns_in_the_rows_that_were_read_and_in_no_other(tiny, dtype):
    name = "embeddings.word_embeddings.weight"
    suffix = suffix_above(tiny, INPUT, [name])
    computing = suffix if dtype is torch.float32 else suffix.reduced(dtype)
    computing.use_sparse_tables()
    assert computing.tables == {name}
    before = suffix.parameters[name].detach().clone()
    optimiser = Optimiser(suffix.parameters, computing.tables, Training(warmup=0.0), Rates(1e-2), 10)
    batch = batch_for(tiny)
    for _ in range(2):
        computing.forget()
        computing(batch["input_ids"], batch["attention_mask"]).square().sum().backward()
        computing.collect()
        optimiser.step()
        computing.refresh()
    read = set(batch["input_ids"][batch["attention_mask"] == 1].tolist())
    changed = set((suffix.parameters[name] != before).any(dim=1).nonzero().flatten().tolist())
    assert changed == read - {tiny.tokenizer.pad_token_id}
    values = computing.module.get_parameter(name)
    assert torch.equal(values, suffix.parameters[name].to(dtype))
