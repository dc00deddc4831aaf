"""Predictions: inputs to a model, and its answers in the same order."""

from __future__ import annotations

from binascii import a2b_base64, b2a_base64
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from headstart.specs.fields import ColumnName, Input, Name, View

MAX_INPUTS = 256
MAX_TEXT = 1_000_000
MAX_FILE_BYTES = 2**26
"""Of one image or recording, decoded; a request as a whole is bounded by the settings."""

Text = Annotated[str, Field(min_length=1, max_length=MAX_TEXT, description="One text.", examples=["great film"])]


FeatureValue = Annotated[float, Field(ge=-1e300, le=1e300)] | Annotated[str, Field(max_length=1_000)] | None


class Bytes(Input):
    """A file inside JSON."""

    base64: str = Field(
        min_length=1,
        max_length=MAX_FILE_BYTES // 3 * 4 + 4,
        description="The file's bytes in the standard alphabet, padded and without line breaks (RFC 4648 §4).",
        examples=["iVBORw0KGgo="],
        json_schema_extra={"contentEncoding": "base64"},
    )

    def decoded(self) -> bytes:
        """The file. Not done when the body is checked, because it takes a while for a large one.

        Raises:
            ValueError: it is not what `description` says, to the last bit.
        """
        content = a2b_base64(self.base64, strict_mode=True)
        rest = len(content) % 3 or 3
        if not self.base64.endswith(b2a_base64(content[-rest:], newline=False).decode()):
            raise ValueError("bits that no byte needs are not 0")
        return content


Word = Annotated[str, Field(max_length=MAX_TEXT)]


def _within_bound(words: list[str]) -> list[str]:
    if sum(map(len, words)) + len(words) > MAX_TEXT:
        raise ValueError(f"together with a space between them they must have at most {MAX_TEXT:,} characters")
    return words


class NamedInput(Input):
    """One input by the names of what the model reads: `text`, `text` and `text_pair`, `tokens`, `image`, or `audio`."""

    text: Text | None = Field(default=None, description="A text.", examples=["great film"])
    text_pair: Text | None = Field(default=None, description="A second text, for models that read pairs.", examples=["It was good."])
    tokens: Annotated[list[Word], Field(min_length=1, max_length=MAX_TEXT), AfterValidator(_within_bound)] | None = Field(
        default=None, description="A text's words, for models that say something of each.", examples=[["Bo", "lives", "here"]]
    )
    image: Bytes | None = Field(default=None, description='An encoded image, as {"base64": "…"}.')
    audio: Bytes | None = Field(default=None, description='An encoded recording, as {"base64": "…"}.')
    features: dict[ColumnName, FeatureValue] | None = Field(
        default=None,
        max_length=256,
        description="What else the heads read, by column; one that is left out, or null, counts as missing.",
        examples=[{"age": 31, "city": "Oslo"}],
    )

    @property
    def given(self) -> dict[str, str | list[str] | Bytes]:
        """What the backbone reads, by name."""
        return {name: value for name, value in self if isinstance(value, str | list | Bytes)}


class Parameters(Input):
    top_k: int | None = Field(default=None, ge=1, le=100_000, description="How many scores to give back; null: all.")
    tasks: list[Name] | None = Field(default=None, min_length=1, max_length=100, description="Which heads to run; null: all.")


class Predict(Input):
    inputs: list[Text | NamedInput] = Field(
        min_length=1,
        description=f"1 to {MAX_INPUTS} inputs, each a text or an object of what the model reads.",
        examples=[["great film", {"text": "dull"}]],
    )
    parameters: Parameters = Field(default_factory=Parameters)


class Score(View):
    label: str = Field(examples=["pos"])
    score: float = Field(examples=[0.97])


class Classification(View):
    label: str = Field(examples=["pos"])
    score: float = Field(examples=[0.97])
    scores: list[Score] = Field(description="Highest first.")


class MultiLabel(View):
    labels: list[str] = Field(description="Those that hold.", examples=[["joy", "love"]])
    scores: list[Score] = Field(description="Highest first; each by itself between 0 and 1.")


class Value(View):
    value: float = Field(examples=[1.73])


class Entity(View):
    label: str = Field(examples=["PER"])
    score: float = Field(description="Mean score of its words.", examples=[0.99])
    start: int = Field(
        description="Where it begins, counted in code points of the text, or of the tokens with one space between them.", examples=[0]
    )
    end: int = Field(description="Where it ends, exclusive.", examples=[2])
    text: str = Field(examples=["Bo"])


class Entities(View):
    entities: list[Entity] = Field(
        description="In the order of the text. With tags that mean no entities, such as parts of speech: one for each word that was read."
    )


Output = Classification | MultiLabel | Value | Entities


class PredictionWarning(View):
    code: str = Field(examples=["truncated"])
    message: str = Field(examples=["Only the first 512 tokens were read."])


class PredictedRow(View):
    outputs: dict[str, Output] = Field(description="By task.")
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
