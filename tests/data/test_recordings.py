"""Every recording that is taken becomes one channel at one rate; every other one is refused in words, whatever its header says."""

from __future__ import annotations

import io
import tracemalloc

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.data.recordings import MAX_CHANNELS, MAX_RATE, read_recording, seconds_of
from headstart.errors import BadInput

RATE = 16_000
SECONDS = 30.0
KINDS = [
    ("WAV", "PCM_16"),
    ("WAV", "PCM_U8"),
    ("WAV", "PCM_24"),
    ("WAV", "FLOAT"),
    ("WAV", "ULAW"),
    ("WAVEX", "PCM_16"),
    ("RF64", "PCM_16"),
    ("FLAC", "PCM_16"),
    ("FLAC", "PCM_24"),
    ("OGG", "VORBIS"),
    ("MP3", "MPEG_LAYER_III"),
]


def tone(rate: int = RATE, seconds: float = 1.0, channels: int = 1, height: float = 0.3) -> np.ndarray:
    times = np.arange(round(rate * seconds)) / rate
    return np.repeat(height * np.sin(2 * np.pi * 200 * times)[:, None], channels, axis=1)


def saved(samples: np.ndarray, kind: str = "WAV", codec: str | None = None, rate: int = RATE) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, samples, rate, format=kind, subtype=codec)
    return out.getvalue()


def refused(content: bytes) -> BadInput:
    with pytest.raises(BadInput) as caught:
        seconds_of(content)
        read_recording(content, RATE, SECONDS)
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize(("kind", "codec"), KINDS)
def test_each_format_sounds_the_same(kind, codec):
    content = saved(tone(), kind, codec)
    heard = read_recording(content, RATE, SECONDS)
    assert seconds_of(content) == 1.0
    assert heard.dtype == np.float32
    assert heard.shape == (RATE,)
    assert np.abs(heard[800:-800] - tone()[800:-800, 0]).max() < 0.03


@pytest.mark.parametrize("rate", [1000, 8000, 22_050, 44_100, 48_000, 192_000, 384_000])
def test_a_tone_is_the_same_tone_at_every_rate(rate):
    content = saved(tone(rate), "WAV", "FLOAT", rate)
    heard = read_recording(content, RATE, SECONDS)
    assert seconds_of(content) == pytest.approx(1.0)
    assert abs(len(heard) - RATE) <= 1
    middle = slice(2000, 14_000)
    assert np.abs(heard[middle] - tone()[middle, 0]).max() < 2e-3


def test_channels_become_their_mean():
    channels = tone(channels=MAX_CHANNELS) * np.linspace(0, 2, MAX_CHANNELS)
    heard = read_recording(saved(channels, "WAV", "FLOAT"), RATE, SECONDS)
    np.testing.assert_allclose(heard, tone()[:, 0], atol=1e-6)


def test_what_goes_beyond_the_limit_is_not_heard():
    whole = saved(np.concatenate([tone(seconds=2.0), np.full((RATE, 1), np.nan)]), "WAV", "FLOAT")
    assert read_recording(whole, RATE, 1.5).shape == (RATE * 3 // 2,)
    assert read_recording(saved(tone(44_100, 2.0), rate=44_100), RATE, 1.5).shape == (RATE * 3 // 2,)
    assert seconds_of(whole) == 3.0


def test_an_hour_in_a_small_file_is_told_from_its_header_and_costs_no_memory():
    hour = saved(np.zeros((RATE * 3600, 1), np.int16), "FLAC")
    assert len(hour) < 1_000_000
    tracemalloc.start()
    assert seconds_of(hour) == 3600
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


@pytest.mark.parametrize("promised", [b"\x0f\xff\xff\xff\xff", b"\x00\x07\xff\xff\xff"])
def test_a_header_that_promises_hours_allocates_nothing(promised):
    content = bytearray(saved(tone(), "FLAC"))
    content[21:26] = bytes([content[21] & 0xF0 | promised[0]]) + promised[1:]
    assert seconds_of(bytes(content)) > 3600
    tracemalloc.start()
    with pytest.raises(BadInput) as caught:
        read_recording(bytes(content), RATE, 1e6)
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()
    assert caught.value.code == "bad_audio"


def test_a_stream_that_does_not_know_its_length_is_counted():
    content = bytearray(saved(tone(seconds=9.0), "FLAC"))
    content[21:26] = bytes([content[21] & 0xF0, 0, 0, 0, 0])
    assert seconds_of(bytes(content)) == 9.0
    assert read_recording(bytes(content), RATE, SECONDS).shape == (9 * RATE,)
    piped = bytearray(saved(tone(seconds=9.0)))
    piped[4:8] = piped[40:44] = b"\xff" * 4
    assert read_recording(bytes(piped), RATE, SECONDS).shape == (9 * RATE,)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
def test_samples_that_are_no_numbers_are_refused(value):
    samples = tone()
    samples[7] = value
    assert refused(saved(samples, "WAV", "FLOAT")).code == "bad_audio"


def test_silence_is_refused():
    assert refused(saved(np.zeros((RATE, 2)))).code == "silent_audio"
    assert refused(saved(np.full((RATE, 1), 0.5))).code == "silent_audio"
    opposite = np.concatenate([tone(), -tone()], axis=1)
    assert refused(saved(opposite, "WAV", "FLOAT")).code == "silent_audio"


def test_a_pause_at_the_beginning_is_no_silence():
    late = np.concatenate([np.zeros((RATE, 1)), tone()])
    assert not read_recording(saved(late), RATE, 0.5).any()
    assert read_recording(saved(late), RATE, SECONDS).any()


@pytest.mark.parametrize("content", [b"", saved(np.zeros((0, 1))), saved(np.ones((1, 1))), saved(tone(seconds=0.009))])
def test_nothing_to_hear_is_refused(content):
    assert refused(content).code == "empty_audio"


def test_impossible_rates_and_channels_are_refused():
    assert refused(saved(tone(), rate=MAX_RATE + 1)).code == "bad_audio"
    assert refused(saved(tone(), rate=999)).code == "bad_audio"
    assert refused(saved(tone(channels=MAX_CHANNELS + 1))).code == "bad_audio"


@pytest.mark.parametrize(
    "content",
    [b"RIFF\x00\x00\x00\x00AVI ", b"hello", b"<html>", saved(tone(), "AIFF"), saved(tone(), "AU"), saved(tone(), "WAV", "GSM610")],
)
def test_other_formats_are_refused(content):
    assert refused(content).code == "unknown_format"


@pytest.mark.parametrize(("kind", "codec"), [("WAV", "PCM_16"), ("FLAC", "PCM_16"), ("OGG", "VORBIS"), ("MP3", "MPEG_LAYER_III")])
def test_half_a_recording_is_refused(kind, codec, capfd):
    whole = saved(tone(seconds=3.0), kind, codec)
    assert refused(whole[: len(whole) // 2]).code in {"bad_audio", "empty_audio"}
    capfd.readouterr()  # libmpg123 writes warnings of its own


ORIGINALS = [saved(tone(seconds=0.2), kind, codec) for kind, codec in KINDS]


@settings(max_examples=300)
@given(st.sampled_from(ORIGINALS), st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), min_size=1, max_size=8))
def test_damaged_recordings_are_read_or_refused_and_nothing_else(original, changes):
    content = bytearray(original)
    for place, value in changes:
        content[place % len(content)] = value
    try:
        assert seconds_of(bytes(content)) > 0
        assert np.isfinite(read_recording(bytes(content), RATE, 2.0)).all()
    except BadInput as refusal:
        assert refusal.code in {"bad_audio", "empty_audio", "silent_audio", "unknown_format"}
