"""Answers of a prediction, as the kind that a test expects."""

from __future__ import annotations

from typing import TypeVar

from headstart.specs.predictions import Classification, Entities, MultiLabel, Output, Value

Kind = TypeVar("Kind", Classification, MultiLabel, Value, Entities)


def as_kind(output: Output, kind: type[Kind]) -> Kind:
    """The same answer, which must be of this kind."""
    assert isinstance(output, kind)
    return output


def chosen(output: Output) -> Classification:
    """The answer of a task with one label."""
    return as_kind(output, Classification)
