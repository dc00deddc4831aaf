"""Pictures and sounds to encode, made up."""

from __future__ import annotations

import io

import numpy as np
import soundfile
from PIL import Image

RATE = 16_000


def photo(width: int = 300, height: int = 200, seed: int = 0) -> bytes:
    """A PNG with soft shapes and grain, as a photo has."""
    chance = np.random.default_rng(seed)
    rough = Image.fromarray(chance.integers(0, 255, (8, 8, 3)).astype(np.uint8)).resize((width, height), Image.Resampling.BICUBIC)
    grain = chance.normal(0, 12, (height, width, 3))
    out = io.BytesIO()
    Image.fromarray((np.asarray(rough) + grain).clip(0, 255).astype(np.uint8)).save(out, "PNG")
    return out.getvalue()


def picture(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content))


def speech(seconds: float, seed: int = 0, rate: int = RATE) -> np.ndarray:
    """Noise that swells and fades, float32, within ±1."""
    chance = np.random.default_rng(seed)
    times = np.arange(round(seconds * rate)) / rate
    return (chance.normal(0, 0.1, len(times)) * (1.2 + np.sin(7 * times))).clip(-1, 1).astype(np.float32)


def recording(samples: np.ndarray, rate: int = RATE) -> bytes:
    out = io.BytesIO()
    soundfile.write(out, samples, rate, format="WAV", subtype="FLOAT")
    return out.getvalue()
