"""Images as pixels of one size. An example is an encoded image (PNG, JPEG, …); its length is what it has of patches of 16 × 16.

Axes: B batch, H height, W width.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from headstart.data.images import open_image
from headstart.engine.examples import Varied
from headstart.engine.inputs import Batch
from headstart.errors import BadInput, EngineFault
from headstart.planning.estimates import PIXELS_OF_A_UNIT
from headstart.specs.backbones import ImageInput, Modality

_FORMAT = 1
"""Of what is done here; raised when the same image would give other pixels."""

_LONGEST = 16
"""An image is cut to so many times its shorter edge before that edge is resized: one of 1 × 40,000,000 would take terabytes."""

_FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}

_decoders = ThreadPoolExecutor(min(4, os.cpu_count() or 1), "images")
"""Pillow decodes and resizes without the interpreter's lock. A thread starts with the first image, not with the import."""


@dataclass(frozen=True, slots=True)
class EncodedImages:
    """Images as they were given: each is decoded when its batch is made."""

    examples: Sequence[bytes | Varied]
    name: str
    size: tuple[int, int]
    pixels: Callable[[bytes | Varied], NDArray[np.float32]]  # [3, H, W]

    @property
    def lengths(self) -> NDArray[np.int64]:
        height, width = self.size
        length = np.int64(max(1, height * width // PIXELS_OF_A_UNIT))
        return np.broadcast_to(length, len(self.examples))  # one number, however many there are

    @property
    def cut(self) -> list[bool]:
        return [False] * len(self.examples)

    def batch(self, rows: NDArray[np.int64]) -> Batch:
        pixels = list(_decoders.map(self.pixels, [self.examples[row] for row in rows]))
        return Batch({self.name: torch.from_numpy(np.stack(pixels))}, None)

    def skeleton(self, rows: NDArray[np.int64]) -> Batch:
        return Batch({self.name: torch.zeros(1).expand(len(rows), 3, *self.size)}, None)


class ImagePreprocessor:
    """Pixels as the image processors of transformers and the evaluation transform of timm make them, with Pillow.

    Args:
        name: keyword of the module: `pixel_values` of transformers, `x` of timm.
    """

    modality: Modality = "image"
    alike = False
    most = None

    def __init__(self, spec: ImageInput, name: str) -> None:
        self._spec, self._name = spec, name
        # timm rounds the corner of what it cuts out of the middle, transformers takes the whole pixel below
        self._corner: Callable[[float], int] = round if name == "x" else int
        self._mean = np.array(spec.mean, np.float32)[:, None, None]
        self._std = np.array(spec.std, np.float32)[:, None, None]

    def digest(self, limit: int | None) -> str:  # noqa: ARG002 (an image has no length)
        content = {"format": _FORMAT, "name": self._name, "spec": self._spec.model_dump(mode="json")}
        return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def encode(self, examples: Sequence[bytes | Varied], limit: int | None) -> EncodedImages:  # noqa: ARG002 (an image has no length)
        return EncodedImages(examples, self._name, self._spec.size, self._pixels)

    def sample(self, length: int, rows: int, seed: int) -> Batch:  # noqa: ARG002 (an image has no length)
        pixels = torch.rand(rows, 3, *self._spec.size, generator=torch.Generator().manual_seed(seed))
        made: Tensor = (pixels - torch.from_numpy(self._mean)) / torch.from_numpy(self._std)
        return Batch({self._name: made}, None)

    def _pixels(self, example: bytes | Varied) -> NDArray[np.float32]:
        """[3, H, W].

        Raises:
            EngineFault: `bad_data`.
        """
        try:
            image = open_image(example.content if isinstance(example, Varied) else example)
        except BadInput as fault:
            raise EngineFault("bad_data", fault.message, fault.hint) from fault
        if isinstance(example, Varied):
            image = example.altered(image)
        image = self._cropped(self._resized(image))
        values = np.asarray(image, np.float32).transpose(2, 0, 1) / np.float32(255)
        made: NDArray[np.float32] = (values - self._mean) / self._std
        return made

    def _resized(self, image: Image.Image) -> Image.Image:
        resampling = _FILTERS[self._spec.interpolation]
        if len(self._spec.resize) == 2:
            height, width = self._spec.resize
            return image.resize((width, height), resampling)
        shorter = self._spec.resize[0]
        image = _middle(image)
        width, height = image.size
        if width <= height:
            return image.resize((shorter, int(shorter * height / width)), resampling)
        return image.resize((int(shorter * width / height), shorter), resampling)

    def _cropped(self, image: Image.Image) -> Image.Image:
        """The middle; beyond its edges an image is black."""
        height, width = self._spec.size
        if image.size == (width, height):
            return image
        left, top = (self._corner((whole - part) / 2) for whole, part in zip(image.size, (width, height), strict=True))
        return image.crop((left, top, left + width, top + height))


def _middle(image: Image.Image) -> Image.Image:
    """The image without what lies too far from its middle to be seen."""
    width, height = image.size
    longest = _LONGEST * min(width, height)
    if max(width, height) <= longest:
        return image
    left, top = max(0, (width - longest) // 2), max(0, (height - longest) // 2)
    return image.crop((left, top, left + min(width, longest), top + min(height, longest)))
