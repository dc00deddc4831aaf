"""Recordings as samples or spectrograms. An example is an encoded recording (WAV, FLAC, …); its length is counted in units of 0.02 s.

Speech networks give about one vector for each unit. Recordings are filled with zeros up to a multiple of 0.2 s, so that many have
one length and none is padded further in a batch. A spectrogram of fixed size has the length of its patches.

Axes: B batch, N samples, M mel bins, F frames of 0.01 s.
"""

from __future__ import annotations

import functools
import hashlib
import json
import math
import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import WhisperFeatureExtractor
from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

from headstart.data.recordings import read_recording, seconds_of
from headstart.engine.inputs import Batch
from headstart.errors import BadInput, EngineFault
from headstart.planning.estimates import UNITS_A_SECOND
from headstart.specs.backbones import AudioInput, Modality

QUANTUM = 10
"""Units; 0.2 s."""

_FORMAT = 1
"""Of what is done here; raised when the same recording would give other numbers."""

_FRAMES_A_SECOND = 100
_WINDOW = 400
"""Samples of a frame of Kaldi's; 0.025 s."""

_PATCH = 10 * 10
"""Frames × bins of a spectrogram that make one vector, as audio spectrogram transformers step."""

_Read = TypeVar("_Read")

_decoders = ThreadPoolExecutor(min(4, os.cpu_count() or 1), "recordings")
"""Decoding and resampling run without the interpreter's lock. A thread starts with the first recording, not with the import."""


@dataclass(frozen=True, slots=True)
class EncodedRecordings:
    """Recordings as they were given: each is decoded when its batch is made.

    Attributes:
        units: of each, as its header says.
        features: of recordings of so many units, [B, …].
        shape: of what `features` gives for one recording of so many units.
    """

    examples: Sequence[bytes]
    name: str
    units: NDArray[np.int64]
    cut: list[bool]
    features: Callable[[Sequence[bytes], Sequence[int]], Tensor]
    shape: Callable[[int], tuple[int, ...]]

    @property
    def lengths(self) -> NDArray[np.int64]:
        return self.units

    def batch(self, rows: NDArray[np.int64]) -> Batch:
        return Batch({self.name: self.features([self.examples[row] for row in rows], self.units[rows].tolist())}, None)

    def skeleton(self, rows: NDArray[np.int64]) -> Batch:
        return Batch({self.name: torch.zeros(1).expand(len(rows), *self.shape(int(self.units[rows].max())))}, None)


class AudioPreprocessor:
    """What the feature extractors of transformers make of one channel of sound.

    Whisper's recordings are not filled up to its 30 s: short ones are as cheap as they are short.

    Args:
        name: keyword of the module: `input_values`, or `input_features` of Whisper.
    """

    modality: Modality = "audio"

    def __init__(self, spec: AudioInput, name: str) -> None:
        self._spec, self._name = spec, name
        self._features = {"waveform": self._waveforms, "whisper": self._whisper, "spectrogram": self._spectrograms}[spec.features]
        self._whisper_features = self._filters = None
        if spec.features == "whisper":
            self._whisper_features = WhisperFeatureExtractor(  # type: ignore[no-untyped-call]
                feature_size=spec.bins, sampling_rate=spec.rate, chunk_length=math.ceil(spec.max_seconds)
            )
        elif spec.features == "spectrogram":
            self._filters = _kaldi_filters(spec.bins or 0, spec.rate)

    @property
    def alike(self) -> bool:
        return self._spec.features != "spectrogram"

    @property
    def most(self) -> int:
        return self._fixed() or math.ceil(self._spec.max_seconds * UNITS_A_SECOND)

    def digest(self, limit: int | None) -> str:
        content = {"format": _FORMAT, "name": self._name, "spec": self._spec.model_dump(mode="json"), "limit": self._limit(limit)}
        return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def encode(self, examples: Sequence[bytes], limit: int | None) -> EncodedRecordings:
        """Read the headers. A spectrogram of fixed size knows no limit but its own."""
        seconds = np.array([_told(functools.partial(seconds_of, content)) for content in examples], np.float64)
        fixed, most = self._fixed(), self._limit(limit)
        heard = self._fixed_seconds() if fixed else most / UNITS_A_SECOND
        if fixed:
            units = np.full(len(examples), fixed, np.int64)
        else:
            quanta = np.ceil(np.minimum(seconds, heard) * (UNITS_A_SECOND / QUANTUM) - 1e-9)
            units = np.minimum(np.maximum(quanta, 1).astype(np.int64) * QUANTUM, most)
        cut = (seconds > heard + 0.5 / self._spec.rate).tolist()
        return EncodedRecordings(examples, self._name, units, cut, self._features, self._shape)

    def sample(self, length: int, rows: int, seed: int) -> Batch:
        """Noise, which no two places of are alike."""
        generator = torch.Generator().manual_seed(seed)
        return Batch({self._name: torch.randn(rows, *self._shape(length), generator=generator)}, None)

    def _limit(self, limit: int | None) -> int:
        """Not below the one quantum that every network can take in; a spectrogram of fixed size has its own."""
        return self.most if limit is None or self._fixed() else min(max(limit, QUANTUM), self.most)

    def _fixed(self) -> int | None:
        """The length of every recording, where they are brought to one size."""
        frames, bins = self._spec.frames, self._spec.bins
        return max(1, frames * bins // _PATCH) if self._spec.features == "spectrogram" and frames and bins else None

    def _fixed_seconds(self) -> float:
        """What the frames of a fixed size hear: each is 0.025 s long and begins 0.01 s after the one before."""
        assert self._spec.frames is not None  # noqa: S101 - else nothing is fixed
        return min(self._spec.max_seconds, (self._spec.frames - 1) / _FRAMES_A_SECOND + 0.025)

    def _shape(self, units: int) -> tuple[int, ...]:
        match self._spec.features:
            case "waveform":
                return (self._samples(units),)
            case "whisper":
                return (self._spec.bins or 0, units * _FRAMES_A_SECOND // UNITS_A_SECOND)
            case "spectrogram":
                return (self._spec.frames or 0, self._spec.bins or 0)

    def _samples(self, units: int) -> int:
        return units * self._spec.rate // UNITS_A_SECOND

    def _waveforms(self, contents: Sequence[bytes], units: Sequence[int]) -> Tensor:
        """[B, N]."""
        return torch.from_numpy(np.stack(list(_decoders.map(self._waveform, contents, units))))

    def _waveform(self, content: bytes, units: int) -> NDArray[np.float32]:
        """[N]: the samples, brought to mean 0 and variance 1 where the network wants it, then zeros."""
        made = np.zeros(self._samples(units), np.float32)
        heard = _told(functools.partial(read_recording, content, self._spec.rate, units / UNITS_A_SECOND))[: len(made)]
        made[: len(heard)] = (heard - heard.mean()) / np.sqrt(heard.var() + 1e-7) if self._spec.normalise else heard
        return made

    def _whisper(self, contents: Sequence[bytes], units: Sequence[int]) -> Tensor:
        """[B, M, F]."""
        assert self._whisper_features is not None  # noqa: S101 - made with the preprocessor
        waves = list(_decoders.map(self._waveform, contents, units))
        made = self._whisper_features(waves, sampling_rate=self._spec.rate, padding="longest", return_tensors="np")
        return torch.from_numpy(np.asarray(made["input_features"], np.float32))

    def _spectrograms(self, contents: Sequence[bytes], units: Sequence[int]) -> Tensor:  # noqa: ARG002 (all have one size)
        """[B, F, M]."""
        return torch.from_numpy(np.stack(list(_decoders.map(self._spectrogram, contents))))

    def _spectrogram(self, content: bytes) -> NDArray[np.float32]:
        """[F, M], as ASTFeatureExtractor makes it where torchaudio is not installed: Kaldi's filter banks, then zeros."""
        spec = self._spec
        frames, bins = self._shape(0)
        heard = _told(functools.partial(read_recording, content, spec.rate, self._fixed_seconds()))
        window = window_function(_WINDOW, "hann", periodic=False)
        banks = spectrogram(
            np.pad(heard, (0, max(0, len(window) - len(heard)))),
            window,
            frame_length=len(window),
            hop_length=160,
            fft_length=512,
            power=2.0,
            center=False,
            preemphasis=0.97,
            mel_filters=self._filters,
            log_mel="log",
            mel_floor=1.192092955078125e-07,
            remove_dc_offset=True,
        ).T[:frames]
        made = np.zeros((frames, bins), np.float32)
        made[: len(banks)] = banks
        return made if spec.mean is None or spec.std is None else (made - np.float32(spec.mean)) / np.float32(2 * spec.std)


def _kaldi_filters(bins: int, rate: int) -> NDArray[np.float64]:
    """[257, M]."""
    with warnings.catch_warnings():  # with 128 bins, as usual, the lowest fall between two frequencies
        warnings.filterwarnings("ignore", "At least one mel filter")
        made: NDArray[np.float64] = mel_filter_bank(
            257, bins, 20, rate // 2, rate, norm=None, mel_scale="kaldi", triangularize_in_mel_space=True
        )
    return made


def _told(read: Callable[[], _Read]) -> _Read:
    """What `read` gives.

    Raises:
        EngineFault: `bad_data`, in the words of its refusal.
    """
    try:
        return read()
    except BadInput as fault:
        raise EngineFault("bad_data", fault.message, fault.hint) from fault
