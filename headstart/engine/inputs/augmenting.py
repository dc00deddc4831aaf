"""Chance in images: transforms of torchvision by their specs, carried out so that the same key gives the same pixels."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from typing import Any

import torch
import torchvision
from PIL import Image
from torchvision.transforms import v2

from headstart.engine.examples import Varied
from headstart.specs.augmentation import Augmentation
from headstart.specs.backbones import ImageInput

_FORMAT = 1
"""Of what is done here; raised when the same key would give other pixels."""

_drawing = threading.Lock()
"""Held while torch's global generator draws for an image: there is one for all threads, and images are decoded in several."""


def _resized_crop(transform: Any, target: ImageInput) -> v2.Transform:  # noqa: ANN401 - each entry takes its own class
    # as large as the backbone resizes images to, by its own filter: what follows need not resize again
    height, width = (target.resize * 2)[:2]
    return v2.RandomResizedCrop((height, width), scale=transform.scale, interpolation=v2.InterpolationMode(target.interpolation))


TRANSFORMS: dict[str, Callable[[Any, ImageInput], v2.Transform]] = {
    "horizontal_flip": lambda flip, _: v2.RandomHorizontalFlip(flip.p),
    "vertical_flip": lambda flip, _: v2.RandomVerticalFlip(flip.p),
    "random_resized_crop": _resized_crop,
    "color_jitter": lambda jitter, _: v2.ColorJitter(jitter.brightness, jitter.contrast, jitter.saturation, jitter.hue),
    "rotation": lambda turn, _: v2.RandomRotation(turn.degrees, interpolation=v2.InterpolationMode.BILINEAR),
    "grayscale": lambda gray, _: v2.RandomGrayscale(gray.p),
}
"""`training.augmentation.transforms[].type` → the transform, for a backbone's images."""


class Augmenter:
    """Views of images, by their number: each looks the same whenever, with whatever and in whichever thread it is made."""

    def __init__(self, augmentation: Augmentation, target: ImageInput, seed: int) -> None:
        self._transforms = [TRANSFORMS[each.type](each, target) for each in augmentation.transforms]
        about = {
            "format": _FORMAT,
            "transforms": [each.model_dump(mode="json") for each in augmentation.transforms],
            "torchvision": torchvision.__version__,
            "seed": seed,
        }
        self._about = hashlib.sha256(json.dumps(about, sort_keys=True, separators=(",", ":")).encode()).digest()

    def view(self, content: bytes, number: int) -> Varied:
        key = hashlib.sha256(b"view\0" + self._about + number.to_bytes(8, "big") + hashlib.sha256(content).digest())
        return Varied(content, key.digest(), self._alter)

    def _alter(self, image: Image.Image, key: bytes) -> Image.Image:
        with _drawing, torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(int.from_bytes(key[:8], "big", signed=True))
            for transform in self._transforms:
                image = transform(image)
        return image
