"""The suffix: what runs, what learns, what is shared, and the same in 16 bits. That it is the whole model is seen in `test_families`."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from headstart.engine.backbones.loading import Backbone
from headstart.engine.boundary import run_prefix
from headstart.engine.optimizers import Optimiser, Rates
from headstart.engine.suffix import Suffix
from headstart.planning.trainable import select
from headstart.specs.jobs import FineTuning, Training
from headstart.specs.plans import INPUT
from tests.engine.samples import batch_for, encoded_for
from tests.engine.test_families import suffix_above
from tests.engine.tiny import AUDIO_TYPES, IMAGE_TYPES, MODEL_TYPES, PADDING_ID


def hidden_at(backbone: Backbone, boundary: str) -> torch.Tensor | None:
    return None if boundary == INPUT else run_prefix(backbone.module, [boundary], batch_for(backbone).tensors)[0].clone()


def test_layers_below_the_boundary_never_run(tiny):
    suffix = suffix_above(tiny, "encoder.layer.1", [])
    below = suffix.module.get_submodule("encoder.layer.0.attention")
    below.register_forward_hook(lambda *_: pytest.fail("a layer below the boundary ran"))
    suffix(hidden_at(tiny, "encoder.layer.1"), encoded_for(tiny).skeleton(np.arange(3)))


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


@pytest.mark.parametrize("model_type", [*MODEL_TYPES, *IMAGE_TYPES, *AUDIO_TYPES])
def test_suffix_in_sixteen_bits_gives_what_it_gives_in_float32_but_for_rounding(backbones, model_type):
    backbone = backbones(model_type)
    batch = batch_for(backbone)
    selection = select(FineTuning(type="fine-tuning", top_layers=1), backbone.anatomy)
    names = [tensor.name for tensor in selection.tensors]
    for boundary in (INPUT, selection.boundary):
        exact = suffix_above(backbone, boundary, names)
        if not exact.reducible:
            assert model_type == "resnet"
            continue
        short = exact.reduced(torch.bfloat16)
        hidden = hidden_at(backbone, boundary)
        wanted, found = exact(hidden, batch), short(hidden, batch)
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
    batch, hidden = batch_for(tiny), hidden_at(tiny, "encoder.layer.1")
    before = short(hidden, batch)
    with torch.no_grad():
        exact.parameters[name].add_(0.5)
    assert torch.equal(short(hidden, batch), before)
    short.refresh()
    after = short(hidden, batch)
    assert (after - exact(hidden, batch)).norm() < 0.03 * after.norm()
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
        computing(None, batch).square().sum().backward()
        computing.collect()
        optimiser.step()
        computing.refresh()
    read = set(batch.tensors["input_ids"][batch.mask == 1].tolist())
    changed = set((suffix.parameters[name] != before).any(dim=1).nonzero().flatten().tolist())
    assert changed == read - {PADDING_ID}
    values = computing.module.get_parameter(name)
    assert torch.equal(values, suffix.parameters[name].to(dtype))
