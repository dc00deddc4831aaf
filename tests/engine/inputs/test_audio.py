"""Recordings become the numbers that transformers makes of them, whoever else is in the batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import ASTFeatureExtractor, Wav2Vec2FeatureExtractor, WhisperFeatureExtractor

from headstart.engine.inputs.audio import AudioPreprocessor
from headstart.errors import EngineFault
from headstart.specs.backbones import AudioInput
from tests.engine.inputs.media import RATE, recording, speech

WAVEFORM = AudioInput(rate=RATE, features="waveform", normalise=True, bins=None, frames=None, mean=None, std=None, max_seconds=30.0)
WHISPER = WAVEFORM.model_copy(update={"features": "whisper", "normalise": False, "bins": 80})
AST = WAVEFORM.model_copy(
    update={
        "features": "spectrogram",
        "normalise": False,
        "bins": 128,
        "frames": 1024,
        "mean": -4.2677393,
        "std": 4.5689974,
        "max_seconds": 10.255,
    }
)
SPECS = {"waveform": (WAVEFORM, "input_values"), "whisper": (WHISPER, "input_features"), "spectrogram": (AST, "input_values")}
ROUNDING = 2e-5


def numbers(spec: AudioInput, *contents: bytes, limit: int | None = None) -> torch.Tensor:
    batch = AudioPreprocessor(spec, "x").encode(contents, limit).batch(np.arange(len(contents)))
    assert batch.mask is None
    return batch.tensors["x"]


def quanta(samples: np.ndarray) -> int:
    return -(-len(samples) // 3200) * 3200


@pytest.mark.parametrize("seconds", [0.05, 0.2, 1.0, 1.63])
def test_samples_are_those_of_transformers(seconds):
    samples = speech(seconds)
    extractor = Wav2Vec2FeatureExtractor(do_normalize=True)
    expected = extractor(samples, sampling_rate=RATE, return_tensors="pt")["input_values"][0]
    made = numbers(WAVEFORM, recording(samples))[0]
    assert made.shape == (quanta(samples),)
    assert (made[: len(samples)] - expected).abs().max() < ROUNDING
    assert not made[len(samples) :].any()


def test_samples_are_left_as_they_are_where_the_network_wants_them_so():
    samples = speech(0.4)
    made = numbers(WAVEFORM.model_copy(update={"normalise": False}), recording(samples))[0]
    assert torch.equal(made, torch.from_numpy(samples))


@pytest.mark.parametrize("bins", [80, 128])
@pytest.mark.parametrize("seconds", [0.05, 1.0, 1.63])
def test_mel_features_are_those_of_whisper(bins, seconds):
    samples = speech(seconds)
    padded = np.pad(samples, (0, quanta(samples) - len(samples)))
    extractor = WhisperFeatureExtractor(feature_size=bins)
    expected = extractor(padded, sampling_rate=RATE, padding="do_not_pad", return_tensors="pt")["input_features"][0]
    made = numbers(WHISPER.model_copy(update={"bins": bins}), recording(samples))[0]
    assert made.shape == (bins, len(padded) // 160)
    assert (made - expected).abs().max() < ROUNDING


def test_whole_recordings_of_whisper_are_those_it_pads_itself():
    samples = speech(30.0)
    expected = WhisperFeatureExtractor()(samples, sampling_rate=RATE, return_tensors="pt")["input_features"][0]
    assert (numbers(WHISPER, recording(samples))[0] - expected).abs().max() < ROUNDING


@pytest.mark.filterwarnings("ignore:At least one mel filter")  # of transformers, about its own
@pytest.mark.parametrize("seconds", [0.012, 0.5, 3.0, 12.0])
def test_spectrograms_are_those_of_the_audio_spectrogram_transformer(seconds):
    samples = speech(seconds)
    enough = np.pad(samples, (0, max(0, 400 - len(samples))))  # transformers fails below one frame
    expected = ASTFeatureExtractor()(enough, sampling_rate=RATE, return_tensors="pt")["input_values"][0]
    made = numbers(AST, recording(samples))[0]
    assert made.shape == (1024, 128)
    assert (made - expected).abs().max() < ROUNDING


@pytest.mark.parametrize("name", SPECS)
def test_a_recording_is_the_same_in_any_company(name):
    spec, _ = SPECS[name]
    contents = [recording(speech(seconds, seed)) for seed, seconds in enumerate([1.9, 1.95, 2.0])]
    together = numbers(spec, *contents)
    for content, row in zip(contents, together, strict=True):
        assert (numbers(spec, content)[0] - row).abs().max() < ROUNDING


def test_lengths_are_fiftieths_of_a_second_up_to_the_next_fifth():
    contents = [recording(speech(seconds)) for seconds in (0.05, 0.2, 0.2001, 1.0, 31.0)]
    encoded = AudioPreprocessor(WAVEFORM, "x").encode(contents, None)
    assert encoded.lengths.tolist() == [10, 10, 20, 50, 1500]
    assert encoded.cut == [False, False, False, False, True]


@given(st.integers(500, 20_000), st.sampled_from([8000, 11_025, 16_000, 44_100]), st.integers(1, 80), st.sampled_from(list(SPECS)))
def test_every_length_and_rate_gives_the_shape_of_its_skeleton(samples, rate, limit, name):
    spec, keyword = SPECS[name]
    encoded = AudioPreprocessor(spec, keyword).encode([recording(speech(samples / rate, rate=rate), rate)], limit)
    rows = np.array([0])
    batch, skeleton = encoded.batch(rows), encoded.skeleton(rows)
    assert batch.tensors[keyword].shape == skeleton.tensors[keyword].shape
    assert batch.tensors[keyword].dtype is torch.float32
    assert torch.isfinite(batch.tensors[keyword]).all()
    assert name == "spectrogram" or encoded.lengths[0] <= max(10, limit)


def test_a_limit_cuts_what_is_longer_and_says_so():
    encoded = AudioPreprocessor(WAVEFORM, "x").encode([recording(speech(1.0)), recording(speech(2.0)), recording(speech(3.0))], 75)
    assert encoded.lengths.tolist() == [50, 75, 75]
    assert encoded.cut == [False, True, True]
    assert encoded.batch(np.array([1, 2])).tensors["x"].shape == (2, 24_000)


def test_spectrograms_have_one_length_and_tell_what_they_cut():
    preprocessor = AudioPreprocessor(AST, "x")
    encoded = preprocessor.encode([recording(speech(1.0)), recording(speech(11.0))], None)
    assert encoded.lengths.tolist() == [1310, 1310]
    assert encoded.cut == [False, True]
    assert not preprocessor.alike
    assert AudioPreprocessor(WHISPER, "x").alike


def test_a_skeleton_reads_nothing_and_takes_no_room():
    encoded = AudioPreprocessor(WHISPER, "x").encode([recording(speech(1.0))], None)
    skeleton = encoded.skeleton(np.array([0, 0]))
    assert skeleton.tensors["x"].shape == (2, 80, 100)
    assert skeleton.tensors["x"].untyped_storage().nbytes() == 4


@pytest.mark.parametrize("content", [b"", b"hello", b"RIFF" + b"\x00" * 40])
def test_an_unreadable_recording_is_bad_data_in_words(content):
    with pytest.raises(EngineFault) as fault:
        AudioPreprocessor(WAVEFORM, "x").encode([recording(speech(1.0)), content], None)
    assert fault.value.code == "bad_data"


@pytest.mark.parametrize("samples", [np.zeros(RATE, np.float32), np.full(RATE, np.nan, np.float32)])
@pytest.mark.parametrize("name", SPECS)
def test_silence_and_no_numbers_are_bad_data_in_words(samples, name):
    encoded = AudioPreprocessor(*SPECS[name]).encode([recording(samples)], None)
    with pytest.raises(EngineFault) as fault:
        encoded.batch(np.array([0]))
    assert fault.value.code == "bad_data"
    assert "recording" in fault.value.message


def test_digest_depends_on_all_that_makes_the_numbers():
    preprocessors = [AudioPreprocessor(spec, name) for spec, name in SPECS.values()]
    preprocessors += [AudioPreprocessor(WAVEFORM.model_copy(update={"normalise": False}), "input_values")]
    assert len({each.digest(limit) for each in preprocessors for limit in (100, 200)}) == 7  # one of them knows no limit
    assert preprocessors[0].digest(None) == preprocessors[0].digest(1500) == preprocessors[0].digest(2000)


@pytest.mark.parametrize("name", SPECS)
def test_a_sample_has_the_shape_of_a_recording_of_that_length(name):
    spec, keyword = SPECS[name]
    made = AudioPreprocessor(spec, keyword).sample(50, 2, seed=0).tensors[keyword]
    assert made.shape[1:] == numbers(spec, recording(speech(1.0))).shape[1:]
    assert not torch.equal(made, AudioPreprocessor(spec, keyword).sample(50, 2, seed=1).tensors[keyword])
