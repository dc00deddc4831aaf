"""Images as 16 × 16 pixels."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headstart.data.images import open_image

EDGE = 16


def vectors(train: Sequence[bytes], tested: Sequence[bytes]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Encoded images as red, green and blue, [N, 768] of each part, standardised by the training images."""
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1), "pixels") as threads:
        x, x_tested = (np.array(list(threads.map(_pixels, part)), np.float32).reshape(len(part), -1) for part in (train, tested))
    return standardised(x, x_tested)


def standardised(x: NDArray[np.float32], x_tested: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Both by mean and deviation of the first; what does not vary is left as it is."""
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    deviation[deviation < 1e-6] = 1.0
    return (x - mean) / deviation, (x_tested - mean) / deviation


def _pixels(content: bytes) -> NDArray[np.float32]:
    small = open_image(content).resize((EDGE, EDGE), Image.Resampling.BOX)
    return np.asarray(small, np.float32).ravel() / np.float32(255)
