"""Predictions: inputs to a model, and its answers in the same order."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from headstart.specs.fields import Input, Name, View

MAX_INPUTS = 256
MAX_TEXT = 1_000_000

Text = Annotated[str, Field(min_length=1, max_length=MAX_TEXT, description="One text.", examples=["great film"])]


class TextInput(Input):
    text: Text


class Parameters(Input):
    top_k: int | None = Field(default=None, ge=1, le=100_000, description="How many scores to give back; null: all.")
    tasks: list[Name] | None = Field(default=None, min_length=1, max_length=100, description="Which heads to run; null: all.")


class Predict(Input):
    inputs: list[Text | TextInput] = Field(
        min_length=1, description=f"1 to {MAX_INPUTS} inputs.", examples=[["great film", {"text": "dull"}]]
    )
    parameters: Parameters = Field(default_factory=Parameters)


class Score(View):
    label: str = Field(examples=["pos"])
    score: float = Field(examples=[0.97])


class Classification(View):
    label: str = Field(examples=["pos"])
    score: float = Field(examples=[0.97])
    scores: list[Score] = Field(description="Highest first.")


class PredictionWarning(View):
    code: str = Field(examples=["truncated"])
    message: str = Field(examples=["Only the first 512 tokens were read."])


class PredictedRow(View):
    outputs: dict[str, Classification] = Field(description="By task.")
    warnings: list[PredictionWarning]


class Usage(View):
    inputs: int
    tokens: int


class Prediction(View):
    object: Literal["prediction"]
    model: str
    version: int
    artifact: str
    backbone: str
    backbone_sha256: str
    data: list[PredictedRow] = Field(description="In the order of the inputs.")
    usage: Usage
