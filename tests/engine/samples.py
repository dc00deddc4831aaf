"""Small examples of each modality."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import soundfile
from PIL import Image

from headstart.engine.backbones.loading import Backbone
from headstart.engine.inputs import Batch, Encoded

TEXTS = ["good film", "the plot was very dull and it was not good", "x"]


def image(seed: int, size: tuple[int, int] = (40, 36)) -> bytes:
    """A PNG of soft random colours."""
    chance = np.random.default_rng(seed)
    small = Image.fromarray(chance.integers(0, 256, (5, 5, 3), dtype=np.uint8))
    file = io.BytesIO()
    small.resize(size, Image.Resampling.BICUBIC).save(file, "PNG")
    return file.getvalue()


def recording(seed: int, seconds: float = 0.6, rate: int = 16000) -> bytes:
    """A WAV of a few tones."""
    chance = np.random.default_rng(seed)
    time = np.arange(int(seconds * rate)) / rate
    wave = sum(np.sin(2 * np.pi * chance.uniform(100, 2000) * time + chance.uniform(0, 6)) for _ in range(3)) / 4
    file = io.BytesIO()
    soundfile.write(file, (wave + chance.normal(0, 0.01, len(time))).astype(np.float32), rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def silence() -> bytes:
    file = io.BytesIO()
    soundfile.write(file, np.zeros(8000, np.float32), 16000, format="WAV", subtype="PCM_16")
    return file.getvalue()


EXAMPLES: dict[str, list[Any]] = {
    "text": TEXTS,
    "image": [image(seed) for seed in range(3)],
    "audio": [recording(seed) for seed in range(3)],
}


def encoded_for(backbone: Backbone, examples: Sequence[Any] | None = None) -> Encoded:
    return backbone.preprocessor.encode(examples or EXAMPLES[backbone.anatomy.modality], None)


def batch_for(backbone: Backbone, examples: Sequence[Any] | None = None) -> Batch:
    """All of them at once; recordings have one length."""
    encoded = encoded_for(backbone, examples)
    return encoded.batch(np.arange(len(encoded.lengths)))
