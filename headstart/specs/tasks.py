"""Tasks: what one head learns, from which columns."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from headstart.specs.backbones import Modality
from headstart.specs.fields import ColumnName, Input, Name

Problem = Literal["single-label", "multi-label", "regression"]


class Inputs(Input):
    """Columns that hold what a task reads, by the names that a prediction's inputs have too."""

    features: Annotated[list[ColumnName], Field(min_length=1, max_length=256)] | None = Field(
        default=None,
        description="Columns of numbers or categories that the head reads beside what the backbone gives.",
        examples=[["age", "city"]],
    )

    @property
    def given(self) -> dict[str, str]:
        """Column by name, those that are not given left out; of what the backbone reads."""
        return {name: column for name, column in self if isinstance(column, str)}


class TextInputs(Inputs):
    text: ColumnName = Field(description="The column that holds the text.", examples=["review"])
    text_pair: ColumnName | None = Field(default=None, description="The column of a second text, read with the first.")


class ImageInputs(Inputs):
    image: ColumnName = Field(description="The column that holds the image.", examples=["image"])


class AudioInputs(Inputs):
    audio: ColumnName = Field(description="The column that holds the recording.", examples=["audio"])


class _Task(Input):
    name: Name = Field(default="label", description="Names the head; outputs and metrics are keyed by it.", examples=["sentiment"])
    weight: float = Field(default=1.0, gt=0, le=1e6, description="Weight of this task's loss.")


class _Answer(_Task):
    """One answer for each example: a label, several, or a number."""

    problem: Problem | None = Field(
        default=None,
        description="Null: from the column's type; categories are labels, lists of categories several, numbers a regression.",
    )
    target: ColumnName | Annotated[list[ColumnName], Field(min_length=1, max_length=1000)] = Field(
        description="The column that holds the answer; or columns of 0 and 1, one for each label (multi-label).", examples=["label"]
    )

    @property
    def targets(self) -> list[str]:
        return [self.target] if isinstance(self.target, str) else self.target


class TextClassification(_Answer):
    """What a text, or a pair of texts, is."""

    modality: ClassVar[Modality] = "text"
    type: Literal["text-classification"] = Field(description="What the head learns.")
    inputs: TextInputs


class ImageClassification(_Answer):
    """What an image shows."""

    modality: ClassVar[Modality] = "image"
    type: Literal["image-classification"] = Field(description="What the head learns.")
    inputs: ImageInputs


class AudioClassification(_Answer):
    """What a recording holds."""

    modality: ClassVar[Modality] = "audio"
    type: Literal["audio-classification"] = Field(description="What the head learns.")
    inputs: AudioInputs


Task = Annotated[TextClassification | ImageClassification | AudioClassification, Field(discriminator="type")]
