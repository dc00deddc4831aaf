"""Recordings as statistics of their cepstrum: what a voice sounds like, and how that changes from its beginning to its end.

Mel-frequency cepstral coefficients are the discrete cosine transform of the logarithm of energies in mel bands.

Source: Davis & Mermelstein 1980, "Comparison of Parametric Representations for Monosyllabic Word Recognition", for the coefficients;
O'Shaughnessy 1987 for the mel scale, 2595 · log10(1 + f / 700).

Axes: F frames of 0.01 s, M mel bands, K coefficients.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dct

from headstart.data.recordings import read_recording
from headstart.engine.evaluation.baselines.images import standardised
from headstart.errors import BadInput

Floats = NDArray[np.float32]

RATE = 16_000
SECONDS = 10.0
"""What is heard of a recording."""
WINDOW, HOP, POINTS = 400, 160, 512
BANDS, COEFFICIENTS = 40, 20
PARTS = 3
"""Of equal length, whose means stand side by side."""


def vectors(train: Sequence[bytes], tested: Sequence[bytes]) -> tuple[Floats, Floats]:
    """Of each encoded recording the means and deviations of its coefficients and of their differences, and the means of its parts."""
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1), "cepstrum") as threads:
        x, x_tested = (np.array(list(threads.map(_statistics, part)), np.float32).reshape(len(part), -1) for part in (train, tested))
    return standardised(x, x_tested)


def _statistics(content: bytes) -> Floats:
    try:
        samples = read_recording(content, RATE, SECONDS)
    except BadInput:  # silent in what is heard of it
        samples = np.zeros(WINDOW, np.float32)
    coefficients = cepstrum(samples)
    changes = np.diff(coefficients, axis=0) if len(coefficients) > 1 else np.zeros_like(coefficients)
    parts = [part.mean(axis=0) for part in np.array_split(coefficients, PARTS) if len(part)]
    parts += [parts[-1]] * (PARTS - len(parts))
    return np.concatenate([coefficients.mean(axis=0), coefficients.std(axis=0), changes.std(axis=0), *parts])


def cepstrum(samples: Floats) -> Floats:
    """[F, K] of samples at 16 kHz."""
    filled = np.pad(samples, (0, max(0, WINDOW - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(filled, WINDOW)[::HOP]  # [F, WINDOW]
    power = np.abs(np.fft.rfft(frames * np.hanning(WINDOW), POINTS)) ** 2  # [F, POINTS / 2 + 1]
    energies = np.log(power @ _bands().T + 1e-10)  # [F, M]
    made: Floats = dct(energies, type=2, axis=1, norm="ortho")[:, :COEFFICIENTS].astype(np.float32)
    return made


@functools.cache
def _bands() -> NDArray[np.float64]:
    """Triangles that are evenly spaced in mel, [M, POINTS / 2 + 1]."""
    top = 2595 * np.log10(1 + RATE / 2 / 700)
    edges = 700 * (10 ** (np.linspace(0, top, BANDS + 2) / 2595) - 1)  # hertz
    frequencies = np.linspace(0, RATE / 2, POINTS // 2 + 1)
    rising = (frequencies - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - frequencies) / (edges[2:] - edges[1:-1])[:, None]
    return np.maximum(0, np.minimum(rising, falling))
