"""What was fetched is what it should be, bit for bit, and loads in the libraries that people use."""

from __future__ import annotations

import io
import json
import zipfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from headstart.blobs.local import file_sha256
from headstart.demo_assets.vgg import convolutions
from headstart.demos import DEMO_BACKBONES, DEMO_DATASETS, backbone_folder, dataset_file, default_assets_root
from headstart.errors import Unavailable

WEIGHTS = {
    "minilm-l6": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "efficientnet-lite0": "2d3c8842439142fd39d077f8ac8b5fe76fc6579afee06a208b3dc0c31a6ba90d",
    "vgg16": "045ef8e72e368f3a60ab4c6e42bb78b3c257300b396a7887ffd6a800e0cfee34",
    "whisper-tiny-en": "27e6cbbc03132b9e95bc2ff4fe1a8c4ccb207f77998cc7567a3945b626b733f7",
}
"""Made from the same packages by other programs too: onnx, torch.load and a reader over numpy gave equal tensors."""

FILES = {
    "tweets": "ff850c4e5418c33ab9b76f3bb540667ac3b6f8ee00c7bffe158f34fd58059b1c",
    "tweets-polar": "fde59d492178ff36aeb67f5cd4e116e402a4c3cf32dbb9a3e15fe9c71301779d",
    "film": "0e0bbb3dd27109977d4cbb0c0ac1587c9ef2018f750f27e1bd73d21a7299bf1b",
    "amazon": "efcdeef96fccfacc966c12c371a126bb2d361fc1a55d7883bbdd705a2b26a8d8",
    "editorials": "8db9bc1f5efa3efb47d91216cf504645cdc8b15fdd20ecbefb2f9fbe33515b7d",
    "digits": "f8795c5e062ba0166bafee34fd3ace2144af54a4289f71e6a86c0e84c8d3f8a5",
    "digits-600": "1ad24b803cb19639c0c5250d164fca5c8cb58c7a38263833c7d476edc71e00d4",
}


def backbone(name: str) -> Path:
    try:
        return backbone_folder(default_assets_root(), name)
    except Unavailable as error:
        pytest.skip(str(error))


def data(name: str) -> Path:
    try:
        return dataset_file(default_assets_root(), name)
    except Unavailable as error:
        pytest.skip(str(error))


def test_every_asset_is_looked_at_here():
    assert (WEIGHTS.keys(), FILES.keys()) == (DEMO_BACKBONES.keys(), DEMO_DATASETS.keys())


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_are_the_same_on_every_machine(name: str):
    assert file_sha256(backbone(name) / "model.safetensors") == WEIGHTS[name]


@pytest.mark.parametrize("name", FILES)
def test_data_is_the_same_on_every_machine(name: str):
    assert file_sha256(data(name)) == FILES[name]


@pytest.mark.parametrize("name", [name for name, dataset in DEMO_DATASETS.items() if dataset.ending == "zip"])
def test_digits_are_whole_images_and_each_class_has_as_many(name: str):
    archive = zipfile.ZipFile(data(name))
    assert len(archive.namelist()) == DEMO_DATASETS[name].rows
    counts = Counter(tuple(member.split("/")[:2]) for member in archive.namelist())
    shares = {"train": 4, "validation": 1, "test": 1} if name == "digits-600" else {"train": 7, "validation": 1, "test": 2}
    part = DEMO_DATASETS[name].rows // 10 // sum(shares.values())
    assert counts == {(split, str(digit)): share * part for split, share in shares.items() for digit in range(10)}
    for member in archive.namelist()[:: len(archive.namelist()) // 50]:
        image = Image.open(io.BytesIO(archive.read(member)))
        image.load()
        assert image.size == (28, 28)


def test_timm_loads_the_whole_efficientnet():
    import timm

    network: Any = timm.create_model(
        f"local-dir:{backbone('efficientnet-lite0')}", pretrained=True
    ).eval()  # strict: every tensor, no other
    assert list(network.pretrained_cfg["mean"]) == list(network.pretrained_cfg["std"]) == [0.5] * 3
    with torch.no_grad():
        assert network(torch.zeros(1, 3, 224, 224)).isfinite().all()


def test_timm_takes_the_convolutions_of_vgg():
    import timm

    folder = backbone("vgg16")
    with torch.device("meta"):
        network: Any = timm.create_model("vgg16")
    state = load_file(folder / "model.safetensors")
    network.features.load_state_dict({name.removeprefix("features."): tensor for name, tensor in state.items()}, strict=True, assign=True)
    assert len(state) == 2 * len(convolutions())
    config = json.loads((folder / "config.json").read_text())
    assert (config["architecture"], config["pretrained_cfg"]["mean"], config["pretrained_cfg"]["std"]) == ("vgg16", [0.0] * 3, [1.0] * 3)


def test_transformers_loads_the_whole_whisper_and_its_processor():
    from transformers import WhisperForConditionalGeneration, WhisperProcessor

    folder = backbone("whisper-tiny-en")
    read: Any = WhisperForConditionalGeneration.from_pretrained
    network, loaded = read(folder, output_loading_info=True, local_files_only=True)
    assert [loaded[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")] == [set(), set(), set()]
    assert network.dtype == torch.float16
    processor = WhisperProcessor.from_pretrained(folder, local_files_only=True)
    assert processor.feature_extractor.feature_size == network.config.num_mel_bins == 80
    assert processor.tokenizer.convert_tokens_to_ids("<|startoftranscript|>") == network.config.decoder_start_token_id
    assert processor.tokenizer.decode(processor.tokenizer("Hello there.").input_ids, skip_special_tokens=True) == "Hello there."
