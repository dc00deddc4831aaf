"""Images become the pixels that transformers and timm make of them, whoever else is in the batch."""

from __future__ import annotations

import io
import threading

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data.transforms_factory import create_transform
from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil
from transformers.models.convnext.image_processing_pil_convnext import ConvNextImageProcessorPil
from transformers.models.deit.image_processing_pil_deit import DeiTImageProcessorPil
from transformers.models.efficientnet.image_processing_pil_efficientnet import EfficientNetImageProcessorPil
from transformers.models.levit.image_processing_pil_levit import LevitImageProcessorPil
from transformers.models.mobilenet_v2.image_processing_pil_mobilenet_v2 import MobileNetV2ImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil
from transformers.models.vit.image_processing_vit import ViTImageProcessor

from headstart.engine.backbones.preprocessing import image_input
from headstart.engine.inputs import Batch, ahead
from headstart.engine.inputs.image import ImagePreprocessor
from headstart.errors import EngineFault
from headstart.specs.backbones import ImageInput
from tests.engine.inputs.media import photo, picture

SMALL = ImageInput(size=(32, 48), resize=[64], interpolation="bicubic", mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
SIDES = [(300, 200), (201, 333), (57, 64), (224, 224), (1000, 90)]
ROUNDING = 2e-5

PROCESSORS = [
    ViTImageProcessorPil(),
    BitImageProcessorPil(size={"shortest_edge": 255}),
    DeiTImageProcessorPil(),
    ConvNextImageProcessorPil(size={"shortest_edge": 224}),
    ConvNextImageProcessorPil(size={"shortest_edge": 384}),
    EfficientNetImageProcessorPil(rescale_offset=True, rescale_factor=1 / 127.5),
    LevitImageProcessorPil(),
    MobileNetV2ImageProcessorPil(resample=0),
    ViTImageProcessorPil(do_normalize=False, resample=1),
    ViTImageProcessorPil(do_rescale=False, image_mean=[127.5] * 3, image_std=[60.0] * 3),
]


def pixels(preprocessor: ImagePreprocessor, *contents: bytes) -> torch.Tensor:
    (tensor,) = preprocessor.encode(contents, None).batch(np.arange(len(contents))).tensors.values()
    return tensor


@pytest.mark.parametrize("processor", PROCESSORS, ids=[f"{number}-{type(each).__name__}" for number, each in enumerate(PROCESSORS)])
def test_pixels_are_those_of_transformers(processor, tmp_path):
    processor.save_pretrained(tmp_path)
    preprocessor = ImagePreprocessor(image_input(tmp_path, {"model_type": "vit"}), "pixel_values")
    for width, height in SIDES:
        content = photo(width, height)
        expected = processor(picture(content), return_tensors="pt")["pixel_values"][0]
        scale = max(1.0, float(expected.abs().max()))
        assert (pixels(preprocessor, content)[0] - expected).abs().max() < ROUNDING * scale


def test_pixels_are_nearly_those_of_torchvisions_resizing(tmp_path):
    processor = ViTImageProcessor()
    processor.save_pretrained(tmp_path)
    preprocessor = ImagePreprocessor(image_input(tmp_path, {"model_type": "vit"}), "pixel_values")
    content = photo()
    expected = processor(picture(content), return_tensors="pt")["pixel_values"][0]
    assert (pixels(preprocessor, content)[0] - expected).abs().max() < 2.1 / 255 / 0.5  # it rounds some pixels the other way


TIMM = [
    {"input_size": [3, 224, 224], "crop_pct": 0.875, "interpolation": "bicubic", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
    {"input_size": [3, 225, 225], "crop_pct": 0.9, "interpolation": "bilinear", "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.3, 0.4]},
    {"input_size": [3, 96, 128], "crop_pct": 0.95, "crop_mode": "squash", "interpolation": "bicubic", "mean": [0, 0, 0], "std": [1, 1, 1]},
    {"input_size": [3, 224, 224], "crop_pct": 1.0, "interpolation": "bilinear", "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]},
]


@pytest.mark.parametrize("given", TIMM)
def test_pixels_are_those_of_timm(given, tmp_path):
    preprocessor = ImagePreprocessor(image_input(tmp_path, {"architecture": "vgg16", "pretrained_cfg": given}), "x")
    transform = create_transform(**{**given, "input_size": tuple(given["input_size"])})
    for width, height in SIDES:
        content = photo(width, height)
        assert (pixels(preprocessor, content)[0] - transform(picture(content))).abs().max() < ROUNDING


def test_an_image_is_the_same_in_any_company():
    preprocessor = ImagePreprocessor(SMALL, "pixel_values")
    contents = [photo(width, height, seed) for seed, (width, height) in enumerate(SIDES)]
    together = pixels(preprocessor, *contents)
    assert together.shape == (5, 3, 32, 48)
    for content, row in zip(contents, together, strict=True):
        assert torch.equal(pixels(preprocessor, content)[0], row)


def test_rows_come_in_the_order_that_was_asked_for():
    encoded = ImagePreprocessor(SMALL, "x").encode([photo(seed=0), photo(seed=1)], None)
    there, back = encoded.batch(np.array([0, 1])), encoded.batch(np.array([1, 0]))
    assert there.mask is None
    assert torch.equal(there.tensors["x"], back.tensors["x"].flip(0))


def test_lengths_are_patches_and_nothing_is_cut():
    encoded = ImagePreprocessor(SMALL, "x").encode([photo()] * 3, None)
    assert encoded.lengths.tolist() == [6, 6, 6]
    assert encoded.cut == [False] * 3


def test_a_skeleton_has_the_shape_of_its_batch_and_takes_no_room():
    encoded = ImagePreprocessor(SMALL, "x").encode([b"not read"] * 2, None)
    skeleton = encoded.skeleton(np.array([0, 1]))
    assert skeleton.tensors["x"].shape == (2, 3, 32, 48)
    assert skeleton.tensors["x"].untyped_storage().nbytes() == 4
    assert skeleton.mask is None


def test_an_image_as_long_as_a_thread_costs_no_more_than_others():
    line = io.BytesIO()
    Image.new("RGB", (1, 100_000), (255, 0, 0)).save(line, "PNG")
    spec = SMALL.model_copy(update={"mean": (0.0,) * 3, "std": (1.0,) * 3})
    made = pixels(ImagePreprocessor(spec, "x"), line.getvalue())
    assert torch.equal(made[0, 0], torch.ones(32, 48))


@pytest.mark.parametrize("content", [b"", b"hello", photo()[:5000], b"GIF89a"])
def test_an_unreadable_image_is_bad_data_in_words(content):
    encoded = ImagePreprocessor(SMALL, "x").encode([photo(), content], None)
    encoded.batch(np.array([0]))
    with pytest.raises(EngineFault) as fault:
        encoded.batch(np.array([0, 1]))
    assert fault.value.code == "bad_data"
    assert "image" in fault.value.message


def test_digest_depends_on_all_that_makes_the_pixels():
    made = [ImagePreprocessor(SMALL.model_copy(update=change), "x") for change in ({}, {"resize": [65]}, {"mean": (0.5, 0.4, 0.2)})]
    digests = {each.digest(None) for each in [*made, ImagePreprocessor(SMALL, "pixel_values")]}
    assert len(digests) == 4
    assert made[0].digest(7) == made[0].digest(None)


def test_a_sample_is_what_images_could_be():
    batch = ImagePreprocessor(SMALL, "x").sample(64, 2, seed=0)
    assert batch.tensors["x"].shape == (2, 3, 32, 48)
    assert not torch.equal(batch.tensors["x"], ImagePreprocessor(SMALL, "x").sample(64, 2, seed=1).tensors["x"])


def test_batches_are_made_ahead_in_order():
    encoded = ImagePreprocessor(SMALL, "x").encode([photo(seed=seed) for seed in range(5)], None)
    batches = [np.array([4, 0]), np.array([1]), np.array([3, 2])]
    for rows, batch in zip(batches, ahead(encoded, batches), strict=True):
        assert torch.equal(batch.tensors["x"], encoded.batch(rows).tensors["x"])
    assert list(ahead(encoded, [])) == []


def test_the_next_batch_is_made_while_the_caller_computes():
    started = threading.Event()

    class Watched:
        lengths, cut = np.ones(2, np.int64), [False, False]

        def batch(self, rows):
            if rows[0] == 1:
                started.set()
            return Batch({"x": torch.from_numpy(rows)}, None)

        skeleton = batch

    batches = ahead(Watched(), [np.array([0]), np.array([1])])
    assert next(batches).tensors["x"].tolist() == [0]
    assert started.wait(10)
    assert [batch.tensors["x"].tolist() for batch in batches] == [[1]]


def test_a_fault_comes_with_the_batch_that_has_it():
    encoded = ImagePreprocessor(SMALL, "x").encode([photo(), b"hello"], None)
    batches = ahead(encoded, [np.array([0]), np.array([1])])
    assert next(batches).rows == 1
    with pytest.raises(EngineFault):
        next(batches)
