"""Augmentation: chance that training sees in its images. A transform is one class here, and one entry in `engine.inputs.augmenting.TRANSFORMS`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from headstart.specs.fields import Input

Chance = Annotated[float, Field(ge=0, le=1, description="How often it happens.")]
Strength = Annotated[float, Field(ge=0, le=1, description="A factor is drawn from 1 − this to 1 + this.")]


def _rising(span: tuple[float, float]) -> tuple[float, float]:
    if span[0] > span[1]:
        raise ValueError("the first number is the smaller")
    return span


Span = Annotated[tuple[Annotated[float, Field(ge=0.01, le=1)], Annotated[float, Field(ge=0.01, le=1)]], AfterValidator(_rising)]


class HorizontalFlip(Input):
    """Left and right change places."""

    type: Literal["horizontal_flip"]
    p: Chance = 0.5


class VerticalFlip(Input):
    """Top and bottom change places."""

    type: Literal["vertical_flip"]
    p: Chance = 0.5


class RandomResizedCrop(Input):
    """A part of the image, as large as the whole was to be (Szegedy et al. 2015); the backbone's own crop of the middle comes after."""

    type: Literal["random_resized_crop"]
    scale: Span = Field(default=(0.7, 1.0), strict=False, description="Least and most share of the area.", examples=[[0.7, 1.0]])


class ColorJitter(Input):
    """Brightness, contrast, saturation and hue, in random order."""

    type: Literal["color_jitter"]
    brightness: Strength = 0.2
    contrast: Strength = 0.2
    saturation: Strength = 0.2
    hue: float = Field(default=0.0, ge=0, le=0.5, description="Turned by at most this share of the circle of colours, either way.")


class Rotation(Input):
    """Turned about the middle; what comes in from outside is black."""

    type: Literal["rotation"]
    degrees: float = Field(default=15.0, gt=0, le=180, description="At most so far, either way.")


class Grayscale(Input):
    """Without colours."""

    type: Literal["grayscale"]
    p: Chance = 0.1


Transform = Annotated[
    HorizontalFlip | VerticalFlip | RandomResizedCrop | ColorJitter | Rotation | Grayscale,
    Field(discriminator="type"),
]


class Augmentation(Input):
    """Training rows are seen changed by chance; validation, test and predictions see the images as they are."""

    transforms: list[Transform] = Field(
        min_length=1, max_length=16, description="Carried out in this order.", examples=[[{"type": "horizontal_flip", "p": 0.5}]]
    )
    views: int | None = Field(
        default=None,
        ge=1,
        le=16,
        description="So many fixed views of each training row are made by the seed, computed once and kept in the feature cache; an epoch sees "
        "one of them, a head that is solved sees all. Null: every epoch sees new ones, and the frozen part is computed anew for each.",
        examples=[4],
    )
