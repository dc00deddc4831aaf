"""What a folder says of its inputs is followed where it can be, and refused in words where it cannot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import ASTFeatureExtractor, Wav2Vec2FeatureExtractor, WhisperFeatureExtractor

from headstart.demos import default_assets_root
from headstart.engine.backbones.importing import read_json
from headstart.engine.backbones.preprocessing import audio_input, image_input
from headstart.errors import BadInput

VIT = {"model_type": "vit"}
TIMM = {"input_size": [3, 240, 240], "crop_pct": 0.9, "interpolation": "bicubic", "mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}
PROCESSOR: dict[str, Any] = {"image_processor_type": "ViTImageProcessor", "size": {"height": 224, "width": 224}, "resample": 2}


def folder_with(folder: Path, content: object, name: str = "preprocessor_config.json") -> Path:
    (folder / name).write_text(json.dumps(content))
    return folder


def image(folder: Path, model_type: str = "vit", **values: Any):
    return image_input(folder_with(folder, values), {"model_type": model_type})


def audio(folder: Path, model_type: str = "wav2vec2", **values: Any):
    return audio_input(folder_with(folder, values), {"model_type": model_type})


def refusal(read, *arguments: object, **keywords: object) -> BadInput:
    with pytest.raises(BadInput) as caught:
        read(*arguments, **keywords)
    assert caught.value.code == "config_refused"
    assert caught.value.hint
    return caught.value


def test_timm_folders_say_size_crop_and_scale(tmp_path):
    made = image_input(tmp_path, {"architecture": "vgg16", "pretrained_cfg": TIMM})
    assert (made.size, made.resize, made.interpolation) == ((240, 240), [266], "bicubic")
    assert (made.mean, made.std) == ((0.1, 0.2, 0.3), (0.4, 0.5, 0.6))


def test_a_silent_timm_folder_is_read_as_timm_would(tmp_path):
    made = image_input(tmp_path, {"architecture": "vgg16"})
    assert (made.size, made.resize, made.interpolation) == ((224, 224), [256], "bicubic")
    assert made.mean == (0.485, 0.456, 0.406)


@pytest.mark.parametrize(
    ("model_type", "size", "resize", "mean"),
    [
        ("vit", (224, 224), [224, 224], 0.5),
        ("dinov2", (224, 224), [224], 0.48145466),
        ("resnet", (384, 384), [384, 384], 0.5),
        ("mobilenet_v2", (224, 224), [256], 0.5),
        ("swin", (224, 224), [224, 224], 0.5),
        ("unheard-of", (224, 224), [224, 224], 0.5),
    ],
)
def test_a_silent_transformers_folder_has_the_defaults_of_its_family(tmp_path, model_type, size, resize, mean):
    made = image_input(tmp_path, {"model_type": model_type})
    assert (made.size, made.resize, made.mean[0]) == (size, resize, mean)


def test_without_a_processor_the_networks_own_size_holds(tmp_path):
    assert image_input(tmp_path, {**VIT, "image_size": 32}).size == (32, 32)


def test_transformers_5_nests_the_processor(tmp_path):
    folder = folder_with(tmp_path, {"image_processor": {**PROCESSOR, "size": 96}}, "processor_config.json")
    assert image_input(folder, VIT).size == (96, 96)


@pytest.mark.parametrize("named", ["ViTImageProcessor", "ViTImageProcessorFast", "ViTImageProcessorPil"])
def test_each_way_of_writing_a_processor_is_known(tmp_path, named):
    assert image(tmp_path, **{**PROCESSOR, "image_processor_type": named}).interpolation == "bilinear"


def test_old_files_give_one_number_for_the_size(tmp_path):
    assert image(tmp_path, feature_extractor_type="ViTFeatureExtractor", size=224).resize == [224, 224]
    old = image(tmp_path, "resnet", feature_extractor_type="ConvNextFeatureExtractor", size=224, crop_pct=0.875)
    assert (old.resize, old.size) == ([256], (224, 224))


@pytest.mark.parametrize(
    "changed",
    [
        {"do_flip_channel_order": True},
        {"do_pad": True},
        {"do_resize": False},
        {"do_resize": "yes"},
        {"resample": 5},
        {"resample": "bicubic"},
        {"size": {"longest_edge": 4}},
        {"size": {"shortest_edge": 224}},
        {"size": {"height": 224, "width": 10**9}},
        {"size": 0},
        {"size": True},
        {"size": "224"},
        {"do_center_crop": True, "crop_size": [1, 2, 3]},
        {"image_mean": [0.5, 0.5]},
        {"image_std": [0, 0, 0]},
        {"image_std": [1, float("nan"), 1]},
        {"rescale_factor": "1/255"},
        {"image_processor_type": "MobileViTImageProcessor"},
        {"image_processor_type": "../../evil.Processor"},
        {"image_processor_type": ["ViTImageProcessor"]},
    ],
)
def test_image_processors_that_cannot_be_followed_are_refused(tmp_path, changed):
    refusal(image, tmp_path, **{**PROCESSOR, **changed})


@pytest.mark.parametrize(
    "changed",
    [
        {"input_size": [1, 224, 224]},
        {"input_size": [3, 224]},
        {"input_size": [3, 224, 10**9]},
        {"input_size": [3, 224, 192]},
        {"crop_mode": "border"},
        {"crop_pct": 0},
        {"interpolation": "random"},
        {"mean": "imagenet"},
        {"std": [0.0, 1.0, 1.0]},
    ],
)
def test_timm_configurations_that_cannot_be_followed_are_refused(tmp_path, changed):
    refusal(image_input, tmp_path, {"architecture": "vgg16", "pretrained_cfg": {**TIMM, **changed}})


def test_code_that_a_processor_names_is_never_looked_for(tmp_path, canaries):
    made = image(tmp_path, **PROCESSOR, auto_map={"AutoImageProcessor": "evil--code.Processor"}, _processor_class="os.system")
    assert made.size == (224, 224)
    assert canaries == []


def test_waveforms_are_normalised_as_their_extractor_says(tmp_path):
    Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(tmp_path)
    made = audio_input(tmp_path, {"model_type": "hubert"})
    assert (made.features, made.rate, made.normalise, made.bins, made.max_seconds) == ("waveform", 16_000, False, None, 30.0)
    assert audio(tmp_path).normalise


def test_whisper_hears_as_long_as_it_has_positions(tmp_path):
    WhisperFeatureExtractor(feature_size=128).save_pretrained(tmp_path)
    whisper = {"model_type": "whisper", "num_mel_bins": 128, "max_source_positions": 1500}
    made = audio_input(tmp_path, whisper)
    assert (made.features, made.bins, made.frames, made.max_seconds) == ("whisper", 128, None, 30.0)
    assert audio_input(tmp_path, {**whisper, "max_source_positions": 100}).max_seconds == 2.0


@pytest.mark.filterwarnings("ignore:At least one mel filter")  # of transformers, about its own
def test_spectrograms_have_the_frames_and_the_scale_of_their_extractor(tmp_path):
    ASTFeatureExtractor(max_length=512, mean=-1.0, std=2.0).save_pretrained(tmp_path)
    made = audio_input(tmp_path, {"model_type": "audio-spectrogram-transformer"})
    assert (made.features, made.bins, made.frames, made.mean, made.std) == ("spectrogram", 128, 512, -1.0, 2.0)
    ASTFeatureExtractor(do_normalize=False).save_pretrained(tmp_path)
    made = audio_input(tmp_path, {"model_type": "audio-spectrogram-transformer"})
    assert (made.mean, made.std) == (None, None)


def test_a_silent_folder_of_sound_has_the_sizes_of_its_network(tmp_path):
    assert audio_input(tmp_path, {"model_type": "wavlm"}).normalise
    assert audio_input(tmp_path, {"model_type": "whisper", "num_mel_bins": 128}).bins == 128
    made = audio_input(tmp_path, {"model_type": "audio-spectrogram-transformer", "max_length": 64, "num_mel_bins": 16})
    assert (made.frames, made.bins) == (64, 16)


@pytest.mark.parametrize(
    ("model_type", "changed"),
    [
        ("wav2vec2", {"sampling_rate": 16_001}),
        ("wav2vec2", {"sampling_rate": 10**9}),
        ("wav2vec2", {"sampling_rate": "16000"}),
        ("wav2vec2", {"feature_size": 80}),
        ("wav2vec2", {"do_normalize": 1}),
        ("whisper", {"hop_length": 1}),
        ("whisper", {"n_fft": 4096}),
        ("whisper", {"sampling_rate": 8000}),
        ("whisper", {"feature_size": 10**6}),
        ("whisper", {"chunk_length": 10**6}),
        ("audio-spectrogram-transformer", {"max_length": 10**6}),
        ("audio-spectrogram-transformer", {"std": 0}),
        ("audio-spectrogram-transformer", {"sampling_rate": 8000}),
        ("audio-spectrogram-transformer", {"mean": float("inf")}),
    ],
)
def test_feature_extractors_that_cannot_be_followed_are_refused(tmp_path, model_type, changed):
    refusal(audio, tmp_path, model_type, **changed)


def test_mel_bins_that_the_network_does_not_take_are_refused(tmp_path):
    folder = folder_with(tmp_path, {"feature_size": 128})
    assert "128" in refusal(audio_input, folder, {"model_type": "whisper", "num_mel_bins": 80}).message


@pytest.mark.parametrize("content", [[], "text", None, 7])
def test_a_processor_that_is_no_object_is_refused(tmp_path, content):
    refusal(image_input, folder_with(tmp_path, content), VIT)
    (tmp_path / "preprocessor_config.json").unlink()
    if content is not None:
        refusal(image_input, folder_with(tmp_path, {"image_processor": content}, "processor_config.json"), VIT)


KEYS = ["size", "crop_size", "resample", "image_mean", "image_std", "crop_pct", "rescale_factor", "do_center_crop", "image_processor_type"]
NAMES = st.sampled_from(["ConvNextImageProcessor", "LevitImageProcessor", "EfficientNetImageProcessor", "height", "width", "shortest_edge"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=2),
    max_leaves=4,
)


@given(st.dictionaries(st.sampled_from(KEYS), JSON))
def test_any_processor_is_read_or_refused_and_nothing_else(tmp_path_factory, values):
    folder = folder_with(tmp_path_factory.mktemp("any"), values)
    try:
        made = image_input(folder, VIT)
    except BadInput as refused:
        assert refused.code == "config_refused"
    else:
        assert max(*made.size, *made.resize) <= 16 * 2048
        assert all(std > 0 for std in made.std)


@pytest.mark.parametrize("name", ["efficientnet-lite0", "mobilenetv2", "vgg16-base", "whisper-tiny-en"])
def test_real_folders_are_read(name):
    folder = default_assets_root() / "backbones" / name
    if not folder.exists():
        pytest.skip("the demo backbones were not fetched")
    config = read_json(folder / "config.json")
    if config.get("model_type") == "whisper":
        made = audio_input(folder, config)
        assert (made.features, made.bins, made.max_seconds) == ("whisper", 80, 30.0)
    else:
        seen = image_input(folder, config)
        assert (seen.size, seen.resize) == ((224, 224), [256])
