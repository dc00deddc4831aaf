"""What a backbone's folder says of its inputs: sizes, means and rates, each from an allow-listed key, plain and bounded.

Nothing in a folder names code that is run: the processors of transformers are asked for their defaults alone, by a table.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING_NAMES  # type: ignore[attr-defined]
from transformers.models.beit.image_processing_pil_beit import BeitImageProcessorPil
from transformers.models.bit.image_processing_pil_bit import BitImageProcessorPil
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.convnext.image_processing_pil_convnext import ConvNextImageProcessorPil
from transformers.models.deit.image_processing_pil_deit import DeiTImageProcessorPil
from transformers.models.efficientnet.image_processing_pil_efficientnet import EfficientNetImageProcessorPil
from transformers.models.levit.image_processing_pil_levit import LevitImageProcessorPil
from transformers.models.mobilenet_v1.image_processing_pil_mobilenet_v1 import MobileNetV1ImageProcessorPil
from transformers.models.mobilenet_v2.image_processing_pil_mobilenet_v2 import MobileNetV2ImageProcessorPil
from transformers.models.pvt.image_processing_pil_pvt import PvtImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from headstart.engine.backbones.importing import read_json
from headstart.engine.backbones.trust import refuse_config
from headstart.errors import BadInput, listing, quote
from headstart.specs.backbones import AudioInput, ImageInput

MAX_EDGE = 2048
MAX_FRAMES = 4096
MAX_SECONDS = 30.0
"""Of a recording, where a network has no limit of its own: attention grows with its square."""

_PROCESSORS: Mapping[str, type] = {
    "Beit": BeitImageProcessorPil,
    "Bit": BitImageProcessorPil,
    "CLIP": CLIPImageProcessorPil,
    "ConvNext": ConvNextImageProcessorPil,
    "DeiT": DeiTImageProcessorPil,
    "EfficientNet": EfficientNetImageProcessorPil,
    "Levit": LevitImageProcessorPil,
    "MobileNetV1": MobileNetV1ImageProcessorPil,
    "MobileNetV2": MobileNetV2ImageProcessorPil,
    "Pvt": PvtImageProcessorPil,
    "Siglip": SiglipImageProcessorPil,
    "ViT": ViTImageProcessorPil,
}
"""Processors that can be followed; each has its defaults as attributes of its class."""

_SUFFIX = re.compile(r"(ImageProcessor(Fast|Pil)?|FeatureExtractor)$")
_KEYS = (
    *("crop_pct", "crop_size", "default_to_square", "do_center_crop", "do_flip_channel_order", "do_normalize", "do_pad", "do_rescale"),
    *("do_resize", "image_mean", "image_std", "include_top", "resample", "rescale_factor", "rescale_offset", "size"),
)
_RESAMPLING = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}  # Pillow's numbers
_TIMM = {
    "input_size": [3, 224, 224],
    "crop_pct": 0.875,
    "crop_mode": "center",
    "interpolation": "bicubic",
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
}
"""What timm takes where a configuration is silent."""

_HINT = "Save the backbone again with the library that made it."

Settings = Mapping[str, Any]


def image_input(folder: Path, config: Settings) -> ImageInput:
    """How images become pixels for the backbone in `folder`.

    Args:
        config: its `config.json`: of timm with `architecture` and `pretrained_cfg`, of transformers with `model_type`.

    Raises:
        BadInput: `config_refused`.
    """
    if "architecture" in config:
        return _of_timm(config.get("pretrained_cfg") or {})
    values = _processor(folder, "image_processor")
    if values is None:
        values = {"size": config["image_size"]} if config.get("image_size") else {}
    kind = _kind(values, str(config.get("model_type")))
    return _of_transformers(kind, {key: _or(values.get(key), getattr(_PROCESSORS[kind], key, None)) for key in _KEYS})


def audio_input(folder: Path, config: Settings) -> AudioInput:
    """How recordings become numbers for the backbone in `folder`; `config` is its `config.json`.

    Raises:
        BadInput: `config_refused`.
    """
    values = _processor(folder, "feature_extractor") or {}
    rate = int(_number(values, "sampling_rate", 16_000, least=8_000, most=48_000))
    match config.get("model_type"):
        case "whisper":
            return _of_whisper(values, config, rate)
        case "audio-spectrogram-transformer":
            return _of_spectrograms(values, config, rate)
    if rate % 50 or values.get("feature_size", 1) != 1:
        raise _refuse("sampling_rate" if rate % 50 else "feature_size")
    return AudioInput(
        rate=rate,
        features="waveform",
        normalise=_flag(values, "do_normalize", default=True),
        bins=None,
        frames=None,
        mean=None,
        std=None,
        max_seconds=MAX_SECONDS,
    )


def _of_whisper(values: Settings, config: Settings, rate: int) -> AudioInput:
    for key, wanted in (("sampling_rate", 16_000), ("hop_length", 160), ("n_fft", 400), ("dither", 0)):
        if values.get(key, wanted) != wanted:
            raise _refuse(key)
    bins = int(_number(values, "feature_size", _or(config.get("num_mel_bins"), 80), least=1, most=512))
    if bins != _or(config.get("num_mel_bins"), bins):
        raise refuse_config(f"The feature extractor gives {bins} mel bins, and the network takes another number.", _HINT)
    chunk = _number(values, "chunk_length", 30, least=1, most=MAX_SECONDS)
    positions = _number(config, "max_source_positions", 1500, least=1, most=1_000_000)  # one for each 0.02 s
    return AudioInput(
        rate=rate,
        features="whisper",
        normalise=_flag(values, "do_normalize", default=False),
        bins=bins,
        frames=None,
        mean=None,
        std=None,
        max_seconds=min(chunk, positions / 50),
    )


def _of_spectrograms(values: Settings, config: Settings, rate: int) -> AudioInput:
    if rate != 16_000:
        raise _refuse("sampling_rate")
    normalised = _flag(values, "do_normalize", default=True)
    frames = int(_number(values, "max_length", _or(config.get("max_length"), 1024), least=16, most=MAX_FRAMES))
    return AudioInput(
        rate=rate,
        features="spectrogram",
        normalise=False,
        bins=int(_number(values, "num_mel_bins", _or(config.get("num_mel_bins"), 128), least=16, most=512)),
        frames=frames,
        mean=_number(values, "mean", -4.2677393, least=-1e6, most=1e6) if normalised else None,
        std=_number(values, "std", 4.5689974, least=1e-6, most=1e6) if normalised else None,
        max_seconds=(frames - 1) / 100 + 0.025,  # frames of 0.025 s, each 0.01 s after the one before
    )


def _processor(folder: Path, part: str) -> Settings | None:
    """What the folder says of its processor; None when it says nothing. Transformers 5 has it as a part of `processor_config.json`."""
    own, shared = folder / "preprocessor_config.json", folder / "processor_config.json"
    if own.exists():
        return read_json(own)
    found = read_json(shared).get(part) if shared.exists() else None
    if found is not None and not isinstance(found, dict):
        raise _refuse(part)
    return found


def _kind(values: Settings, model_type: str) -> str:
    """The name of the processor in our table: as the folder says, or else as transformers has it for the model type."""
    named = values.get("image_processor_type") or values.get("feature_extractor_type")
    if named is None:
        usual = _SUFFIX.sub("", IMAGE_PROCESSOR_MAPPING_NAMES.get(model_type, {}).get("pil") or "")
        return usual if usual in _PROCESSORS else "ViT"
    kind = _SUFFIX.sub("", named) if isinstance(named, str) else ""
    if kind not in _PROCESSORS:
        shown = quote(named) if isinstance(named, str) else "of an unknown kind"
        raise refuse_config(f"The image processor is {shown}.", f"Processors that can be used: {listing(sorted(_PROCESSORS))}.")
    return kind


def _of_transformers(kind: str, values: Settings) -> ImageInput:
    for key in ("do_flip_channel_order", "do_pad"):
        if values[key]:
            raise _refuse(key)
    if not _flag(values, "do_resize", default=True):
        raise refuse_config("The image processor leaves images at their own sizes.", "Only networks for images of one size can be used.")
    resample = values["resample"]
    if not isinstance(resample, int) or resample not in _RESAMPLING:
        raise _refuse("resample")
    resize, size = _sizes(kind, values)
    mean, std = _scale(kind, values)
    return ImageInput(size=size, resize=resize, interpolation=_RESAMPLING[resample], mean=mean, std=std)


def _sizes(kind: str, values: Settings) -> tuple[list[int], tuple[int, int]]:
    """What an image is resized to, as `ImageInput.resize` has it, and what is cut out of it."""
    resize = _edges(values["size"], "size", square=values["default_to_square"] is not False)
    crop = _edges(values["crop_size"], "crop_size", square=True) if values["do_center_crop"] else None
    shortest = resize[0] if len(resize) == 1 else None
    if kind == "ConvNext":
        if shortest is None:
            raise _refuse("size")
        crop = crop or [shortest, shortest]
        resize = [int(shortest / _number(values, "crop_pct", 0.875, least=0.1, most=1))] if shortest < 384 else [shortest, shortest]
    elif kind == "Levit" and shortest is not None:
        resize = [int(256 / 224 * shortest)]
    cut = crop or resize
    if len(cut) != 2:
        raise refuse_config("The image processor gives images of different shapes.", "Only networks for images of one size can be used.")
    return resize, (cut[0], cut[1])


def _edges(value: Any, key: str, *, square: bool) -> list[int]:  # noqa: ANN401 (a JSON value)
    """[shorter edge], or [height, width]."""
    if isinstance(value, dict):
        given = {name: edge for name, edge in value.items() if edge is not None}
        names = next((names for names in (["shortest_edge"], ["height", "width"]) if given.keys() == set(names)), None)
        if names is None:
            raise _refuse(key)
        edges = [given[name] for name in names]
    else:
        edges = value if isinstance(value, list) and len(value) == 2 else [value, value] if square else [value]
    if not all(isinstance(edge, int) and not isinstance(edge, bool) and 1 <= edge <= MAX_EDGE for edge in edges):
        raise _refuse(key)
    return edges


def _scale(kind: str, values: Settings) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of pixels from 0 to 1 that come to the same as the processor's steps.

    It makes (factor · p − offset − mean) / std of a pixel p, EfficientNet's divides by std once more.
    """
    factor = 255 * (_number(values, "rescale_factor", 1 / 255, least=1e-9, most=1) if values["do_rescale"] else 1.0)
    factor = 1.0 if math.isclose(factor, 1, rel_tol=1e-6) else factor
    offset = 1.0 if values["rescale_offset"] and values["do_rescale"] else 0.0
    plain = not values["do_normalize"]
    mean = (0.0,) * 3 if plain else _three(values["image_mean"], "image_mean", least=-1000)
    std = (1.0,) * 3 if plain else _three(values["image_std"], "image_std", least=1e-6)
    if kind == "EfficientNet" and values["include_top"]:
        again = _three(values["image_std"], "image_std", least=1e-6)
        std = tuple(one * other for one, other in zip(std, again, strict=True))
    return tuple((each + offset) / factor for each in mean), tuple(each / factor for each in std)


def _of_timm(given: Any) -> ImageInput:  # noqa: ANN401 (a JSON value)
    """As timm's `resolve_data_config` and `transforms_imagenet_eval` read it."""
    if not isinstance(given, dict):
        raise _refuse("pretrained_cfg")
    values = {key: _or(given.get(key), usual) for key, usual in _TIMM.items()}
    shape = values["input_size"]
    if not isinstance(shape, list) or len(shape) != 3 or shape[0] != 3:
        raise _refuse("input_size")
    height, width = _edges(shape[1:], "input_size", square=True)
    share = _number(values, "crop_pct", 0.875, least=0.1, most=1)
    scaled = [math.floor(edge / share) for edge in (height, width)]
    mode = values["crop_mode"]
    if mode not in {"center", "squash"} or (mode == "center" and height != width):
        raise _refuse("crop_mode")
    if values["interpolation"] not in _RESAMPLING.values():
        raise _refuse("interpolation")
    return ImageInput(
        size=(height, width),
        resize=scaled if mode == "squash" else scaled[:1],
        interpolation=values["interpolation"],
        mean=_three(values["mean"], "mean", least=-1000),
        std=_three(values["std"], "std", least=1e-6),
    )


def _three(value: Any, key: str, *, least: float) -> tuple[float, ...]:  # noqa: ANN401 (a JSON value)
    """One number for each colour; a single one holds for all."""
    given = value if isinstance(value, (list, tuple)) else [value] * 3
    if len(given) != 3:
        raise _refuse(key)
    return tuple(_number({key: each}, key, None, least=least, most=1e6) for each in given)


def _number(values: Settings, key: str, usual: float | None, *, least: float, most: float) -> float:
    value = _or(values.get(key), usual)
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not least <= value <= most:
        raise _refuse(key)
    return float(value)


def _flag(values: Settings, key: str, *, default: bool) -> bool:
    value = _or(values.get(key), default)
    if not isinstance(value, bool):
        raise _refuse(key)
    return value


def _or(value: Any, usual: Any) -> Any:  # noqa: ANN401 (JSON values)
    """A null is as good as nothing."""
    return usual if value is None else value


def _refuse(key: str) -> BadInput:
    return refuse_config(f"The value of {quote(key)} in the backbone's preprocessing cannot be used.", _HINT)
