"""Models: a name with versions and aliases; a version points to an artifact."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from headstart.specs.fields import MAX_INT, Input, Moment, View


class Model(View):
    object: Literal["model"]
    id: str = Field(examples=["mdl_01h455vb4pex5vsknk084sn02q"])
    name: str = Field(examples=["reviews"])
    latest: int = Field(description="The newest version.", examples=[3])
    aliases: dict[str, int] = Field(description="Names that point to a version.", examples=[{"prod": 2}])
    created_at: Moment


class ModelTask(View):
    name: str = Field(examples=["sentiment"])
    type: str = Field(examples=["text-classification"])
    problem: str = Field(examples=["single-label"])
    inputs: list[str] = Field(examples=[["text"]])
    features: list[str] = Field(default=[], description="Columns that its head reads beside them.", examples=[["age", "city"]])
    classes: list[str] = Field(examples=[["neg", "pos"]])


class ModelVersion(View):
    object: Literal["model_version"]
    model: str = Field(examples=["reviews"])
    version: int = Field(examples=[3])
    artifact: str = Field(examples=["art_01h455vb4pex5vsknk084sn02q"])
    job: str = Field(examples=["job_01h455vb4pex5vsknk084sn02q"])
    backbone: str = Field(examples=["minilm-l6"])
    parent: str | None = Field(description="The model, with its version, that this one was made from.", examples=["reviews:2"])
    artifact_bytes: int = Field(examples=[5120])
    tasks: list[ModelTask]
    metrics: dict[str, dict[str, float]]
    created_at: Moment


class PutAlias(Input):
    version: int = Field(ge=1, le=MAX_INT, description="The version the alias shall point to.", examples=[3])
