"""The anatomy: layers found by watching, checked against what is known of each family."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from headstart.blobs.local import file_sha256
from headstart.engine.backbones.anatomy import read_anatomy
from headstart.engine.backbones.importing import folder_sha256
from headstart.engine.backbones.loading import load_module
from headstart.specs.backbones import Anatomy, TextInput
from tests.engine.tiny import LAYERS, TOKENS, WIDTH, make_tiny_backbone

BLOCKS = {
    "bert": (["embeddings"], "encoder.layer.{}", ["pooler"]),
    "roberta": (["embeddings"], "encoder.layer.{}", ["pooler"]),
    "distilbert": (["embeddings"], "transformer.layer.{}", []),
    "electra": (["embeddings", "embeddings_project"], "encoder.layer.{}", []),
    "mpnet": (["embeddings"], "encoder.layer.{}", ["pooler"]),
    "modernbert": (["embeddings"], "layers.{}", ["final_norm"]),
    "deberta-v2": (["embeddings"], "encoder.layer.{}", []),
}


def anatomy_of(folder: Path) -> Anatomy:
    return read_anatomy(folder, {path.name: file_sha256(path) for path in folder.iterdir()}, None)


def texts(anatomy: Anatomy) -> TextInput:
    assert isinstance(anatomy.input, TextInput)
    return anatomy.input


@pytest.mark.parametrize("model_type", BLOCKS)
def test_layers_of_each_family_are_its_blocks_in_order(model_type: str, tiny: Callable[[str], Path]) -> None:
    anatomy = anatomy_of(tiny(model_type))
    below, block, above = BLOCKS[model_type]
    blocks = [block.format(index) for index in range(LAYERS)]
    assert [layer.name for layer in anatomy.layers] == [*below, *blocks, *above]
    assert [layer.index for layer in anatomy.layers] == list(range(len(anatomy.layers)))
    assert all(layer.boundary for layer in anatomy.layers)
    assert anatomy.default_layer == ("final_norm" if model_type == "modernbert" else blocks[-1])
    assert anatomy.has_pooler == ("pooler" in above)
    assert anatomy.model_type == model_type
    assert anatomy.width == WIDTH
    shapes = {layer.name: layer.output for layer in anatomy.layers}
    assert all(shapes[name] == ["T", WIDTH] for name in blocks)
    assert shapes.get("pooler", [WIDTH]) == [WIDTH]


@pytest.mark.parametrize("model_type", BLOCKS)
def test_parameters_and_tensors_are_those_of_the_bare_model(model_type: str, tiny: Callable[[str], Path]) -> None:
    folder = tiny(model_type)
    anatomy, module = anatomy_of(folder), load_module(folder)
    assert {tensor.name: tensor.shape for tensor in anatomy.tensors} == {n: list(p.shape) for n, p in module.named_parameters()}
    assert anatomy.parameters == sum(torch.Size(tensor.shape).numel() for tensor in anatomy.tensors)
    for layer in anatomy.layers:
        own = [torch.Size(t.shape).numel() for t in anatomy.tensors if t.name.startswith(f"{layer.name}.")]
        assert layer.parameters == sum(own)


@pytest.mark.parametrize("model_type", BLOCKS)
def test_the_longest_text_fits_the_network(model_type: str, tiny: Callable[[str], Path]) -> None:
    folder = tiny(model_type)
    anatomy, module = anatomy_of(folder), load_module(folder)
    assert texts(anatomy).max_tokens == TOKENS
    ids = torch.full((1, texts(anatomy).max_tokens), 5)
    with torch.no_grad():
        assert module(input_ids=ids).last_hidden_state.shape == (1, TOKENS, WIDTH)


def test_positions_that_begin_after_the_padding_are_not_counted(tmp_path: Path) -> None:
    make_tiny_backbone(tmp_path, "roberta", max_position_embeddings=40)
    assert texts(anatomy_of(tmp_path)).max_tokens == 38


def test_shared_layers_are_one_layer_that_no_boundary_divides(tiny: Callable[[str], Path]) -> None:
    anatomy = anatomy_of(tiny("albert"))
    assert [layer.name for layer in anatomy.layers] == ["embeddings", "encoder", "pooler", "pooler_activation"]
    assert anatomy.default_layer == "encoder"


def test_a_layer_that_later_ones_look_past_is_no_boundary(tmp_path: Path) -> None:
    make_tiny_backbone(tmp_path, "deberta-v2", conv_kernel_size=3, conv_act="gelu")
    layers = {layer.name: layer for layer in anatomy_of(tmp_path).layers}
    assert layers["embeddings"].boundary
    assert not layers["encoder.layer.0"].boundary  # a convolution of the embeddings is added after it
    assert layers["encoder.layer.1"].boundary


def test_anatomy_is_the_same_each_time(tiny: Callable[[str], Path]) -> None:
    assert anatomy_of(tiny("bert")) == anatomy_of(tiny("bert"))


def test_minilm_is_what_the_contract_shows(minilm: tuple[Path, dict[str, str]]) -> None:
    folder, files = minilm
    anatomy = read_anatomy(folder, files, "MIT")
    assert (anatomy.architecture, anatomy.parameters, anatomy.width, texts(anatomy).vocabulary) == ("BertModel", 22713216, 384, 30522)
    assert (anatomy.license, anatomy.modality, texts(anatomy).max_tokens, anatomy.has_pooler) == ("MIT", "text", 512, True)
    assert anatomy.sha256 == folder_sha256(files)
    assert anatomy.bytes == sum((folder / name).stat().st_size for name in files)
    assert [layer.name for layer in anatomy.layers] == ["embeddings", *(f"encoder.layer.{i}" for i in range(6)), "pooler"]
    fifth = anatomy.layers[5]
    assert (fifth.name, fifth.index, fifth.parameters, fifth.output, fifth.boundary) == ("encoder.layer.4", 5, 1774464, ["T", 384], True)
    assert anatomy.layers[-1].output == [384]
    assert anatomy.default_layer == "encoder.layer.5"


def test_minilm_costs_are_those_counted_by_hand(minilm: tuple[Path, dict[str, str]]) -> None:
    anatomy = read_anatomy(*minilm, "MIT")
    width, inner, tokens = 384, 1536, 64
    products = 4 * width * width + 2 * width * inner  # query, key, value, output; up, down
    attention = 2 * tokens * width  # scores, and their product with the values
    assert anatomy.layer_flops["encoder.layer.3"] == 2 * (products + attention)
    assert anatomy.layer_flops["embeddings"] == 0
    assert anatomy.layer_flops["pooler"] == 2 * width * width / tokens
