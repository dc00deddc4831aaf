"""Tasks: what one head learns, from which columns."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from headstart.specs.backbones import Modality
from headstart.specs.fields import ColumnName, Input, Name


class Inputs(Input):
    """Columns that hold what a task reads, by the names that a prediction's inputs have too."""

    @property
    def given(self) -> dict[str, str]:
        """Column by name, those that are not given left out."""
        return {name: column for name, column in self if column is not None}


class TextInputs(Inputs):
    text: ColumnName = Field(description="The column that holds the text.", examples=["review"])
    text_pair: ColumnName | None = Field(default=None, description="The column of a second text, read with the first.")


class ImageInputs(Inputs):
    image: ColumnName = Field(description="The column that holds the image.", examples=["image"])


class AudioInputs(Inputs):
    audio: ColumnName = Field(description="The column that holds the recording.", examples=["audio"])


class _Classification(Input):
    name: Name = Field(default="label", description="Names the head; outputs and metrics are keyed by it.", examples=["sentiment"])
    problem: Literal["single-label"] | None = Field(default=None, description="Null: from the column's type.")
    target: ColumnName = Field(description="The column that holds the label.", examples=["label"])
    weight: float = Field(default=1.0, gt=0, le=1e6, description="Weight of this task's loss.")


class TextClassification(_Classification):
    """One label for each text, or pair of texts."""

    modality: ClassVar[Modality] = "text"
    type: Literal["text-classification"] = Field(description="What the head learns.")
    inputs: TextInputs


class ImageClassification(_Classification):
    """One label for each image."""

    modality: ClassVar[Modality] = "image"
    type: Literal["image-classification"] = Field(description="What the head learns.")
    inputs: ImageInputs


class AudioClassification(_Classification):
    """One label for each recording."""

    modality: ClassVar[Modality] = "audio"
    type: Literal["audio-classification"] = Field(description="What the head learns.")
    inputs: AudioInputs


Task = Annotated[TextClassification | ImageClassification | AudioClassification, Field(discriminator="type")]
