"""A loaded backbone is what transformers would load, or it is refused with a code."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, BertConfig, BertForMaskedLM, BertModel

from headstart.blobs.local import file_sha256
from headstart.engine.backbones.anatomy import read_anatomy
from headstart.engine.backbones.loading import load_backbone, load_module
from headstart.engine.backbones.tokenizer import load_tokenizer
from headstart.errors import BadInput, EngineFault
from headstart.specs.backbones import Anatomy
from tests.engine.tiny import LAYERS, MODEL_TYPES, WIDTH, make_tiny_backbone, tiny_tokenizer


@pytest.fixture
def folder(tiny: Callable[[str], Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny("bert"), tmp_path / "bert"))


def digests(folder: Path) -> dict[str, str]:
    return {path.name: file_sha256(path) for path in folder.iterdir()}


def edit_config(folder: Path, **keys: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **keys}))


def edit_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def code_of_refusal(folder: Path) -> str:
    with pytest.raises(BadInput) as caught:
        load_module(folder)
    assert str(folder) not in str(caught.value)
    return caught.value.code


@pytest.mark.parametrize("model_type", [*MODEL_TYPES, "albert", "deberta-v2", "xlm-roberta", "camembert"])
def test_every_family_loads_as_transformers_loads_it(model_type: str, tiny: Callable[[str], Path]) -> None:
    folder = tiny(model_type)
    module, tokenizer = load_module(folder), load_tokenizer(folder)
    inputs = tokenizer(["a very good film", "bad"], padding=True, return_tensors="pt", return_token_type_ids=False)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # what transformers itself says while it loads is not the point here
        expected = AutoModel.from_pretrained(folder, local_files_only=True)(**inputs).last_hidden_state
        assert torch.equal(module(**inputs).last_hidden_state, expected)
    assert not module.training
    assert all(parameter.dtype == torch.float32 and not parameter.requires_grad for parameter in module.parameters())


def test_a_verified_backbone_loads(folder: Path) -> None:
    anatomy = read_anatomy(folder, digests(folder), "MIT")
    backbone = load_backbone(folder, anatomy)
    assert backbone.anatomy == anatomy
    assert backbone.folder == folder
    (ids,) = backbone.preprocessor.encode(["good film"], None).batch(np.zeros(1, np.int64)).tensors["input_ids"].tolist()
    assert ids == tiny_tokenizer()("good film")["input_ids"]


@pytest.mark.parametrize("change", ["flip", "truncate", "remove", "add"])
def test_a_stored_file_that_changed_is_found_before_it_is_mapped(folder: Path, change: str) -> None:
    anatomy = read_anatomy(folder, digests(folder), None)
    weights = folder / "model.safetensors"
    data = bytearray(weights.read_bytes())
    if change == "flip":
        data[-1] ^= 1
    elif change == "truncate":
        del data[len(data) // 2 :]
    weights.write_bytes(data)
    if change == "remove":
        weights.unlink()
    elif change == "add":
        (folder / "adapter_config.json").write_text("{}")
    with pytest.raises(EngineFault) as caught:
        load_backbone(folder, anatomy)
    assert caught.value.code == "bad_data"
    assert ("adapter_config.json" if change == "add" else "model.safetensors") in caught.value.message


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_finite_are_refused(folder: Path, value: float) -> None:
    edit_weights(folder, lambda weights: weights["encoder.layer.1.output.dense.weight"].view(-1)[7:8].fill_(value))
    assert code_of_refusal(folder) == "weights_invalid"


def test_missing_weights_are_refused_and_named(folder: Path) -> None:
    edit_weights(folder, lambda weights: weights.setdefault("cls.decoder.weight", weights.pop("embeddings.LayerNorm.bias")))
    with pytest.raises(BadInput, match=r"embeddings\.LayerNorm\.bias") as caught:
        load_module(folder)
    assert caught.value.code == "weights_invalid"


@pytest.mark.parametrize(
    ("keys", "code"),
    [
        ({"num_hidden_layers": LAYERS - 1}, "weights_invalid"),
        ({"num_hidden_layers": LAYERS + 1}, "weights_invalid"),
        ({"hidden_size": 2 * WIDTH}, "weights_invalid"),
        ({"intermediate_size": WIDTH}, "weights_invalid"),
        ({"vocab_size": 4_000_000, "hidden_size": 4_000_000}, "weights_invalid"),
        ({"num_attention_heads": 0}, "config_refused"),
        ({"num_attention_heads": 7}, "config_refused"),
        ({"hidden_size": "wide"}, "config_refused"),
        ({"hidden_act": "no_such_thing"}, "config_refused"),
        ({"_attn_implementation_internal": "someone/kernel"}, "config_refused"),
    ],
)
def test_a_configuration_that_does_not_fit_is_refused(folder: Path, canaries: list[str], keys: dict[str, Any], code: str) -> None:
    edit_config(folder, **keys)
    assert code_of_refusal(folder) == code


def test_truncated_weights_are_refused_before_they_are_mapped(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(data[:-1])
    assert code_of_refusal(folder) == "weights_invalid"


def test_a_backbone_saved_with_its_head_loads_without_it(tmp_path: Path, folder: Path) -> None:
    config = BertConfig.from_pretrained(folder)
    BertForMaskedLM(config).save_pretrained(tmp_path / "mlm")
    assert "bert.embeddings.word_embeddings.weight" in load_file(tmp_path / "mlm" / "model.safetensors")
    module = load_module(tmp_path / "mlm")
    assert type(module) is BertModel
    assert module.pooler is None


def test_half_precision_weights_become_float32(folder: Path) -> None:
    edit_weights(folder, lambda weights: weights.update({name: tensor.half() for name, tensor in weights.items()}))
    assert {parameter.dtype for parameter in load_module(folder).parameters()} == {torch.float32}


def test_weights_in_several_files_load(folder: Path, tmp_path: Path) -> None:
    load_module(folder).save_pretrained(tmp_path / "parts", max_shard_size="20KB")  # type: ignore[operator]
    assert len(list((tmp_path / "parts").glob("*.safetensors"))) > 1
    whole, parts = load_module(folder).state_dict(), load_module(tmp_path / "parts").state_dict()
    assert whole.keys() == parts.keys()
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_a_tokenizer_whose_pattern_panics_is_refused(folder: Path) -> None:
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    tokenizer["pre_tokenizer"] = {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": False}
    path.write_text(json.dumps(tokenizer))
    with pytest.raises(BadInput) as caught:
        read_anatomy(folder, digests(folder), None)
    assert caught.value.code == "tokenizer_refused"


@pytest.mark.parametrize("change", [{"normalizer": {"type": "NoSuchThing"}}, {"model": {"type": "Odd", "vocab": {"a": 0}}}])
def test_a_tokenizer_that_the_library_cannot_read_is_refused(folder: Path, change: dict[str, Any]) -> None:
    path = folder / "tokenizer.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(BadInput) as caught:
        load_tokenizer(folder)
    assert caught.value.code == "tokenizer_refused"


def test_a_backbone_of_texts_without_a_tokenizer_is_refused(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    with pytest.raises(BadInput, match=r"no tokenizer\.json") as caught:
        read_anatomy(folder, digests(folder), None)
    assert caught.value.code == "tokenizer_refused"


def test_a_tokenizer_with_ids_beyond_the_network_is_refused(tmp_path: Path) -> None:
    make_tiny_backbone(tmp_path / "small", vocab_size=20)
    with pytest.raises(BadInput, match="vocabulary of 20") as caught:
        read_anatomy(tmp_path / "small", digests(tmp_path / "small"), None)
    assert caught.value.code == "tokenizer_refused"


def test_minilm_loads_with_the_anatomy_that_came_back_from_storage(minilm: tuple[Path, dict[str, str]]) -> None:
    folder, files = minilm
    stored = Anatomy.model_validate_json(read_anatomy(folder, files, "MIT").model_dump_json())
    backbone = load_backbone(folder, stored)
    ids = backbone.preprocessor.encode(["a good film"], None).batch(np.zeros(1, np.int64)).tensors["input_ids"]
    assert ids.tolist() == [[101, 1037, 2204, 2143, 102]]
