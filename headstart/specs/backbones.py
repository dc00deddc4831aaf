"""Backbones: pretrained models in the local store, and the anatomy a worker reads from each."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from headstart.specs.fields import Input, Moment, Name, View
from headstart.specs.problems import Failure

BackboneStatus = Literal["pending", "ready", "invalid"]
Modality = Literal["text", "image", "audio"]
Axis = Literal["T", "H", "W", "D"]
"""Time (tokens, patches, frames), height, width of a map, and what describes each place."""


class CreateBackbone(Input):
    name: Name
    source: str = Field(
        min_length=6,
        max_length=256,
        pattern=r"^(demo|path):[A-Za-z0-9][A-Za-z0-9._/-]*$",
        description="`demo:name` from the built-in table, or `path:folder` below one of the configured backbone roots.",
        examples=["demo:minilm-l6"],
    )


class Layer(View):
    """A module of the backbone whose output can be the boundary."""

    object: Literal["layer"]
    name: str = Field(
        description="As in `named_modules()`; `layer` in a spec means the output of this module.", examples=["encoder.layer.4"]
    )
    index: int = Field(description="Position in forward order, from 0.", examples=[5])
    parameters: int = Field(examples=[1774464])
    output: list[str | int] = Field(description="Shape for one example; `T` goes with the example's length.", examples=[["T", 384]])
    axes: list[Axis] = Field(description="What each axis of `output` is.", examples=[["T", "D"]])
    boundary: bool = Field(description="Whether training may begin after it.")


class Backbone(View):
    object: Literal["backbone"]
    id: str = Field(examples=["bb_01h455vb4pex5vsknk084sn02q"])
    name: str = Field(examples=["minilm-l6"])
    source: str = Field(examples=["demo:minilm-l6"])
    sha256: str | None = Field(description="Digest over all its files; null until it was read.")
    status: BackboneStatus
    modality: Modality | None
    architecture: str | None = Field(examples=["BertModel"])
    license: str | None = Field(examples=["MIT"])
    parameters: int | None = Field(examples=[22713216])
    bytes: int | None = Field(description="All its files together.", examples=[90868376])
    width: int | None = Field(description="Size of one token's vector.", examples=[384])
    layer_count: int | None = Field(examples=[8])
    error: Failure | None
    created_at: Moment


class Tensor(View):
    name: str
    shape: list[int]


class TextInput(View):
    """Texts as token ids."""

    type: Literal["text"] = "text"
    vocabulary: int = Field(description="Rows of the table that token ids look into.")
    max_tokens: int = Field(description="The most tokens one example may have.")
    segments: bool = Field(description="Whether the network is told which of two texts a token belongs to.")


class ImageInput(View):
    """Images as RGB pixels of one size."""

    type: Literal["image"] = "image"
    size: tuple[int, int] = Field(description="Height and width of what the network sees.", examples=[[224, 224]])
    resize: list[int] = Field(
        min_length=1,
        max_length=2,
        description="[shorter edge], or [height, width]; the middle of `size` is cut out of it.",
        examples=[[256]],
    )
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"]
    mean: tuple[float, float, float] = Field(description="Of pixels from 0 to 1.")
    std: tuple[float, float, float]


class AudioInput(View):
    """Sound of one channel, as samples or as a spectrogram."""

    type: Literal["audio"] = "audio"
    rate: int = Field(description="Samples a second.", examples=[16000])
    features: Literal["waveform", "whisper", "spectrogram"] = Field(
        description="`whisper`: log-mel as Whisper has it; `spectrogram`: log-mel filter banks as Kaldi has them."
    )
    normalise: bool = Field(description="Whether each recording is brought to mean 0 and variance 1.")
    bins: int | None = Field(description="Mel bins; null for samples.")
    frames: int | None = Field(description="Frames that every recording is brought to; null: as long as it is.")
    mean: float | None = Field(description="Of the filter banks, where `spectrogram` brings them to mean 0.")
    std: float | None
    max_seconds: float = Field(description="What goes beyond is not heard.")


ModalityInput = Annotated[TextInput | ImageInput | AudioInput, Field(discriminator="type")]


class Anatomy(View):
    """A backbone written down once, so that plans are arithmetic. Read by a worker when it is registered.

    Costs are counted in units of the input: tokens of a text, whole images, seconds of sound.
    """

    architecture: str
    model_type: str
    library: Literal["transformers", "timm"]
    input: ModalityInput
    license: str | None
    sha256: str
    bytes: int
    files: dict[str, str] = Field(description="sha256 of each file.")
    parameters: int
    width: int
    layers: list[Layer]
    layer_flops: dict[str, float] = Field(description="Multiply-adds ×2 of each layer for one unit of the input, at the length of a probe.")
    layer_positions: dict[str, float] = Field(description="Vectors in each layer's output for one unit of the input.")
    default_layer: str = Field(description="The layer whose output is the model's last hidden state.")
    has_pooler: bool
    linear: list[str] = Field(description="Modules that are one matrix product, which adapters can stand beside.")
    adapter_targets: dict[str, list[str]] = Field(description="Those usual for the family, by kind of adapter; none where none are known.")
    tensors: list[Tensor]

    @property
    def modality(self) -> Modality:
        return self.input.type

    def layer(self, name: str) -> Layer:
        """The layer called `name`.

        Raises:
            KeyError: there is none.
        """
        found = next((each for each in self.layers if each.name == name), None)
        if found is None:
            raise KeyError(name)
        return found
