"""Backbones: pretrained models in the local store, and the anatomy a worker reads from each."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from headstart.specs.fields import Input, Moment, Name, View
from headstart.specs.problems import Failure

BackboneStatus = Literal["pending", "ready", "invalid"]
Modality = Literal["text", "image", "audio"]


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
    output: list[str | int] = Field(description="Shape for one example; `T` is tokens.", examples=[["T", 384]])
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


class Anatomy(View):
    """A backbone written down once, so that plans are arithmetic. Read by a worker when it is registered."""

    architecture: str
    model_type: str
    modality: Modality
    license: str | None
    sha256: str
    bytes: int
    files: dict[str, str] = Field(description="sha256 of each file.")
    parameters: int
    width: int
    vocabulary: int
    max_tokens: int = Field(description="The most tokens one example may have.")
    layers: list[Layer]
    layer_flops_per_token: dict[str, float] = Field(description="Multiply-adds ×2 of each layer at 64 tokens, divided by 64.")
    default_layer: str = Field(description="The layer whose output is the model's last hidden state.")
    has_pooler: bool
    linear: list[str] = Field(description="Modules that are one matrix product, which adapters can stand beside.")
    adapter_targets: dict[str, list[str]] = Field(description="Those usual for the family, by kind of adapter; none where none are known.")
    tensors: list[Tensor]
