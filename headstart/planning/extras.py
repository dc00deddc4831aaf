"""Columns that a head reads beside what the backbone gives: which there are, and how many numbers each becomes."""

from __future__ import annotations

from headstart.errors import invalid_field, quote
from headstart.planning.classes import ordered_classes
from headstart.planning.columns import find_column
from headstart.specs.datasets import ColumnProfile, DatasetProfile
from headstart.specs.plans import Extra
from headstart.specs.tasks import Task

MOST_VALUES = 1_000
"""Of a category: each is a number that every head reads."""


def plan_extras(task: Task, number: int, profile: DatasetProfile, taken: set[str]) -> list[Extra]:
    """The extra columns of the `number`-th task.

    Args:
        taken: columns that are its inputs or its targets.

    Raises:
        BadInput: `column_not_found`; `invalid_field` for one that is named twice, taken, empty, or neither numbers nor categories.
    """
    made: list[Extra] = []
    for place, name in enumerate(task.inputs.features or ()):
        pointer = f"/tasks/{number}/inputs/features/{place}"
        column = find_column(name, profile, pointer)
        if column.name in taken:
            raise invalid_field(pointer, f"The column {quote(column.name)} is used twice by this task.", "Name each column once.")
        taken = taken | {column.name}
        made.append(_extra(column, pointer, profile))
    return made


def _extra(column: ColumnProfile, pointer: str, profile: DatasetProfile) -> Extra:
    if column.missing >= profile.rows:
        raise invalid_field(pointer, f"The column {quote(column.name)} is empty in every row.", "Leave it out.")
    if column.type == "number":
        return Extra(column=column.name, type="number", values=[])
    if column.type != "category" or column.values is None:
        message = f"The column {quote(column.name)} holds {column.type}; features are numbers or categories."
        raise invalid_field(pointer, message, "Give texts as inputs of their own, or state the column's type in the dataset's schema.")
    if len(column.values) > MOST_VALUES:
        message = (
            f"The column {quote(column.name)} has {len(column.values):,} categories, and at most {MOST_VALUES:,} are taken as features."
        )
        raise invalid_field(pointer, message, "Leave it out, or gather rare ones into one.")
    return Extra(column=column.name, type="category", values=ordered_classes(column.values))
