"""Tasks: what one head learns, from which columns."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from headstart.specs.backbones import Modality
from headstart.specs.fields import ColumnName, Input, Name, Reference

Problem = Literal["single-label", "multi-label", "regression"]
Scheme = Literal["BIO", "IOBES", "none"]
"""What tags mean: entities, whose words are tagged B-, I- (and E-, S-) or O; or each word by itself, as parts of speech."""
Reads = Literal["example", "words"]
"""What a head answers for: the whole example, or each word of a text."""


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


class TokenInputs(Inputs):
    """Exactly one of the two."""

    tokens: ColumnName | None = Field(
        default=None, description="The column that holds lists of words; the target then holds lists of as many tags.", examples=["tokens"]
    )
    text: ColumnName | None = Field(
        default=None, description="The column that holds the text; the target then holds labelled spans of characters.", examples=["text"]
    )


class ImageInputs(Inputs):
    image: ColumnName = Field(description="The column that holds the image.", examples=["image"])


class AudioInputs(Inputs):
    audio: ColumnName = Field(description="The column that holds the recording.", examples=["audio"])


class _Task(Input):
    name: Name = Field(default="label", description="Names the head; outputs and metrics are keyed by it.", examples=["sentiment"])
    dataset: Reference | None = Field(
        default=None,
        description="What the task learns from; null: the job's dataset. The tasks of a job may learn from different datasets of one kind of "
        "input, and every row then teaches the tasks of its own.",
        examples=["tweets"],
    )
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

    reads: ClassVar[Reads] = "example"

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


class TokenClassification(_Task):
    """What each word of a text is: a part of an entity, or a part of speech."""

    modality: ClassVar[Modality] = "text"
    reads: ClassVar[Reads] = "words"
    type: Literal["token-classification"] = Field(description="What the head learns.")
    inputs: TokenInputs
    target: ColumnName = Field(
        description="The column that holds a JSON list for each row: as many tags as there are words, or spans of the text, such as "
        '`{"start": 0, "end": 2, "label": "PER"}`, in code points, the end exclusive.',
        examples=["tags"],
    )
    scheme: Scheme | None = Field(
        default=None,
        description="What the tags mean; null: found from the tags, and BIO for spans. `none`: each word by itself, as parts of speech.",
    )

    @property
    def targets(self) -> list[str]:
        return [self.target]


Task = Annotated[TextClassification | TokenClassification | ImageClassification | AudioClassification, Field(discriminator="type")]
