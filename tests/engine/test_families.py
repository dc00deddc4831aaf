"""Any common backbone, cut anywhere: prefix then suffix is the whole model, bit for bit, in its answers and its gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_MAPPING

from headstart.engine.backbones.anatomy import read_anatomy
from headstart.engine.backbones.families import FAMILIES, Family, call, last_hidden
from headstart.engine.backbones.importing import import_folder
from headstart.engine.backbones.loading import Backbone, load_backbone
from headstart.engine.boundary import run_prefix
from headstart.engine.pooling import pool_with
from headstart.engine.suffix import Suffix, adapted, cut_of, make_suffix
from headstart.specs.backbones import Layer
from headstart.specs.plans import INPUT
from tests.engine.conftest import reviews
from tests.engine.samples import EXAMPLES, batch_for, encoded_for, recording
from tests.engine.tiny import AUDIO_TYPES, IMAGE_TYPES, TEXT_TYPES, TIMM_TYPES, make_tiny_backbone

EVERY = [*TEXT_TYPES, *IMAGE_TYPES, *TIMM_TYPES, *AUDIO_TYPES]
BY_LENGTH = ["wav2vec2", "hubert", "wavlm", "whisper"]
"""Their front ends look along the whole recording."""


def boundaries(backbone: Backbone) -> list[Layer]:
    top = backbone.anatomy.layer(backbone.anatomy.default_layer)
    return [layer for layer in backbone.anatomy.layers if layer.boundary and layer.index < top.index and layer.axes != ["D"]]


def suffix_above(backbone: Backbone, boundary: str, trainable: list[str]) -> Suffix:
    cut = cut_of(backbone.anatomy, boundary, backbone.anatomy.default_layer, "mean")
    return make_suffix(backbone.module, cut, trainable, backbone.preprocessor.sample(16, 1, 0))


def owned_above(backbone: Backbone, boundary: Layer) -> list[str]:
    """Parameters of the layers between the boundary and the top."""
    top = backbone.anatomy.layer(backbone.anatomy.default_layer)
    names = [layer.name for layer in backbone.anatomy.layers if boundary.index < layer.index <= top.index]
    return [tensor.name for tensor in backbone.anatomy.tensors if any(tensor.name.startswith(f"{name}.") for name in names)]


def whole_vectors(backbone: Backbone, module: torch.nn.Module) -> torch.Tensor:
    """What the uncut model gives, pooled."""
    batch, layer = batch_for(backbone), backbone.anatomy.layer(backbone.anatomy.default_layer)
    return pool_with("mean", layer)(last_hidden(call(module, batch.tensors)), batch.mask)


LARGE = {"vgg16", "mobilenetv3_small_100", "efficientnet_b0", "resnet50"}
"""Networks whose sizes are fixed: a pass of each takes a second."""


@pytest.mark.parametrize("family", EVERY)
def test_every_family_can_be_cut_at_every_layer_between_its_blocks(backbones, family):
    assert len(boundaries(backbones(family))) >= (1 if family == "albert" else 3)


@pytest.mark.parametrize("family", EVERY)
def test_prefix_then_suffix_is_the_whole_model_bit_for_bit_at_every_boundary(backbones, family):
    backbone = backbones(family)
    encoded = encoded_for(backbone)
    rows = np.arange(3)
    with torch.no_grad():
        whole = whole_vectors(backbone, backbone.module)
        assert bool(torch.isfinite(whole).all())
        assert not torch.equal(whole[0], whole[1])
        for boundary in boundaries(backbone):
            (hidden,) = run_prefix(backbone.module, [boundary.name], encoded.batch(rows).tensors)
            found = suffix_above(backbone, boundary.name, [])(hidden.clone(), encoded.skeleton(rows))
            assert torch.equal(found, whole), boundary.name
        assert torch.equal(suffix_above(backbone, INPUT, [])(None, encoded.batch(rows)), whole)


@pytest.mark.slow
@pytest.mark.parametrize("family", EVERY)
def test_gradients_through_the_suffix_are_those_of_the_whole_model_at_every_boundary(backbones, family):
    backbone = backbones(family)
    encoded = encoded_for(backbone)
    rows = np.arange(3)
    for boundary in boundaries(backbone):
        names = owned_above(backbone, boundary)
        if not names:  # pooling stands above it
            continue
        suffix = suffix_above(backbone, boundary.name, names)
        (hidden,) = run_prefix(backbone.module, [boundary.name], encoded.batch(rows).tensors)
        suffix(hidden.clone(), encoded.skeleton(rows)).square().sum().backward()
        whole = adapted(backbone.module, {name: backbone.module.get_parameter(name).data for name in names})
        for name in names:
            whole.get_parameter(name).requires_grad_()
        whole_vectors(backbone, whole).square().sum().backward()
        for name in names:
            ours, theirs = suffix.parameters[name].grad, whole.get_parameter(name).grad
            assert (ours is None) == (theirs is None), (boundary.name, name)
            if ours is not None and theirs is not None:
                assert torch.allclose(ours, theirs, rtol=1e-5, atol=1e-7), (boundary.name, name)


@pytest.mark.parametrize("family", [pytest.param(each, marks=pytest.mark.slow) if each in LARGE else each for each in EVERY])
def test_company_in_a_batch_changes_no_answer(backbones, family):
    backbone = backbones(family)
    layer = backbone.anatomy.layer(backbone.anatomy.default_layer)
    together = whole_vectors(backbone, backbone.module)
    for number, example in enumerate(EXAMPLES[backbone.anatomy.modality]):
        batch = batch_for(backbone, [example])
        with torch.no_grad():
            alone = pool_with("mean", layer)(last_hidden(call(backbone.module, batch.tensors)), batch.mask)
        assert torch.allclose(alone[0], together[number], atol=1e-5), family


@pytest.mark.parametrize("family", BY_LENGTH)
def test_recordings_are_batched_by_equal_length(backbones, family):
    backbone = backbones(family)
    assert backbone.preprocessor.alike
    lengths = backbone.preprocessor.encode([recording(0, 0.5), recording(1, 0.9), recording(2, 0.55)], None).lengths
    assert lengths[0] != lengths[1]
    assert lengths[0] == lengths[2]


class ToyConfig(BertConfig):
    model_type = "toy"


class ToyModel(BertModel):
    config_class = ToyConfig


def test_a_new_family_is_one_entry(world, tmp_path, monkeypatch):
    monkeypatch.setitem(CONFIG_MAPPING._extra_content, "toy", ToyConfig)  # what a transformers that knows the family brings
    monkeypatch.setitem(MODEL_MAPPING._extra_content, ToyConfig, ToyModel)
    monkeypatch.setitem(FAMILIES, "toy", Family())
    source, folder = tmp_path / "source", tmp_path / "toy"
    source.mkdir()
    folder.mkdir()
    make_tiny_backbone(source, "toy")
    files = import_folder(source, folder, max_bytes=1 << 30)
    backbone = load_backbone(folder, read_anatomy(folder, files, license=None))
    assert backbone.anatomy.architecture == "ToyModel"
    for method in ({"type": "feature-extraction"}, {"type": "fine-tuning", "top_layers": 1}):
        outcome, _ = world.run(backbone, reviews(60), method=method, training={"dtype": "float32", "epochs": 1})
        assert outcome.metrics["sentiment"]["accuracy"] > 0
