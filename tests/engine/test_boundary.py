"""The prefix is what the whole model computes, bit for bit, and no more than that."""

from __future__ import annotations

import threading

import pytest
import torch
from torch import nn

from headstart.engine.backbones.loading import Backbone
from headstart.engine.boundary import run_prefix as run_layers
from headstart.errors import BadInput, EngineFault
from tests.engine import samples
from tests.engine.samples import TEXTS
from tests.engine.tiny import LAYERS, MODEL_TYPES


def batch_for(backbone: Backbone) -> dict[str, torch.Tensor]:
    return samples.batch_for(backbone).tensors


def run_prefix(module: nn.Module, layer: str, tensors: dict[str, torch.Tensor]) -> torch.Tensor:
    return run_layers(module, [layer], tensors)[0]


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_output_of_every_layer_is_what_the_whole_model_passes_on(backbones, model_type):
    backbone = backbones(model_type)
    batch = batch_for(backbone)
    kept = {}
    handles = [
        backbone.module.get_submodule(layer.name).register_forward_hook(
            lambda _module, _inputs, output, name=layer.name: kept.update({name: output if isinstance(output, torch.Tensor) else output[0]})
        )
        for layer in backbone.anatomy.layers
    ]
    with torch.inference_mode():
        whole = backbone.module(**batch)
    for handle in handles:
        handle.remove()
    assert len(backbone.anatomy.layers) >= LAYERS
    for layer in backbone.anatomy.layers:
        assert torch.equal(run_prefix(backbone.module, layer.name, batch), kept[layer.name])
    assert torch.equal(run_prefix(backbone.module, backbone.anatomy.default_layer, batch), whole.last_hidden_state)


def test_layers_above_the_boundary_never_run(tiny):
    ran = []
    handle = tiny.module.get_submodule("encoder.layer.2").register_forward_hook(lambda *_: ran.append("encoder.layer.2"))
    run_prefix(tiny.module, "encoder.layer.1", batch_for(tiny))
    handle.remove()
    assert ran == []


def test_model_is_left_as_it_was(tiny):
    run_prefix(tiny.module, "encoder.layer.0", batch_for(tiny))
    assert not tiny.module.get_submodule("encoder.layer.0")._forward_hooks
    assert tiny.module(**batch_for(tiny)).last_hidden_state.shape[0] == len(TEXTS)


def test_layer_that_is_not_there_names_the_closest(tiny):
    with pytest.raises(BadInput) as refused:
        run_prefix(tiny.module, "encoder.layer.7", batch_for(tiny))
    assert refused.value.code == "layer_not_found"
    assert "encoder.layer.2" in str(refused.value.hint)


def test_layer_that_the_forward_pass_never_reaches_is_said():
    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.unused = nn.Linear(2, 2), nn.Linear(2, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            hidden: torch.Tensor = self.used(x)
            return hidden

    with pytest.raises(EngineFault, match="never comes by"):
        run_prefix(Half().eval(), "unused", {"x": torch.ones(1, 2)})


def test_threads_that_share_a_model_see_their_own_capture_only(tiny):
    texts = {0: ["good"], 1: ["the plot was dull"]}
    batches = {number: samples.batch_for(tiny, text).tensors for number, text in texts.items()}
    expected = {number: run_prefix(tiny.module, "encoder.layer.1", batch) for number, batch in batches.items()}
    wrong: list[int] = []

    def work(number):
        captured = (run_prefix(tiny.module, "encoder.layer.1", batches[number]) for _ in range(40))
        wrong.extend(number for hidden in captured if not torch.equal(hidden, expected[number]))

    threads = [threading.Thread(target=work, args=(number,)) for number in texts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_several_layers_come_from_one_pass(tiny):
    names = ["encoder.layer.2", "embeddings", "encoder.layer.2"]
    found = run_layers(tiny.module, names, batch_for(tiny))
    assert all(torch.equal(each, run_prefix(tiny.module, name, batch_for(tiny))) for each, name in zip(found, names, strict=True))
