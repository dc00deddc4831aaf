"""Suggestions: what a dataset could be used for, by its profile alone; each with a reason and how sure it is."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from headstart.specs.datasets import ColumnType
from headstart.specs.fields import View

Confidence = Annotated[float, Field(ge=0, le=1, description="From 0, a guess, to 1, certain.", examples=[0.9])]
Problem = Literal["single-label", "multi-label", "regression"]


class SuggestedType(View):
    """What `schema` could say of a column."""

    column: str
    type: ColumnType
    reason: str = Field(examples=["10,003 values, 77 of them different."])
    confidence: Confidence


class SuggestedTask(View):
    """A task as a job spec takes it, once it is pasted there; what is left out has its default."""

    name: str = Field(examples=["label"])
    type: str = Field(examples=["text-classification"])
    problem: Problem | None = Field(description="Null where the type says all.")
    inputs: dict[str, str] = Field(examples=[{"text": "review"}])
    target: str | list[str] = Field(description="A column, or several that hold 0 and 1.", examples=["label"])


class TaskSuggestion(View):
    task: SuggestedTask
    reason: str
    confidence: Confidence


class SuggestedColumn(View):
    column: str
    reason: str
    confidence: Confidence


class SuggestionWarning(View):
    """What deserves a look before a job is started."""

    code: str = Field(examples=["near_constant"])
    column: str = Field(examples=["label"])
    message: str


class Suggestions(View):
    object: Literal["suggestions"]
    types: list[SuggestedType] = Field(description="One for each column, in the order of the file.")
    tasks: list[TaskSuggestion] = Field(description="The likeliest first.")
    split_column: SuggestedColumn | None = Field(description="What `evaluation.split_column` could be.")
    group_column: SuggestedColumn | None = Field(description="A column whose rows belong together, and so into one split.")
    warnings: list[SuggestionWarning]
