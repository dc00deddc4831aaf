"""Whether the columns a spec names are there and fit for what they are named for."""

from __future__ import annotations

from dataclasses import dataclass

from headstart.errors import BadInput, closest, invalid_field, listing, quote
from headstart.specs.backbones import Modality
from headstart.specs.datasets import LIST_TYPES, MEDIA_TYPES, SPLITS, ColumnProfile, DatasetProfile
from headstart.specs.labels import MAX_LABEL_CHARS
from headstart.specs.tasks import Task, TokenClassification

SPLIT_POINTER = "/evaluation/split_column"

NO_ANSWERS = {"image": "files", "audio": "files", "tokens": "lists of words", "tags": "lists of tags"}
"""Types of columns that are no target of one answer for each example, in words."""


def find_column(name: str, profile: DatasetProfile, pointer: str) -> ColumnProfile:
    """The column called `name`.

    Raises:
        BadInput: `column_not_found`, with the columns there are.
    """
    column = profile.column(name)
    if column is not None:
        return column
    names = [each.name for each in profile.columns]
    near = closest(name, names)
    hint = f"Columns are: {listing(names)}." + (f" Did you mean {quote(near[0])}?" if near else "")
    raise invalid_field(pointer, f"The dataset has no column {quote(name)}.", hint, code="column_not_found")


@dataclass(frozen=True, slots=True)
class TaskColumns:
    """The columns of a task."""

    inputs: list[ColumnProfile]
    targets: list[ColumnProfile]

    @property
    def missing(self) -> int:
        """Rows that lack an input, at least."""
        return max(column.missing for column in self.inputs)


def task_columns(task: Task, number: int, profile: DatasetProfile) -> TaskColumns:
    """The columns of a task, the `number`-th of the spec from 0.

    Raises:
        BadInput: one of them is not there, is empty, or cannot serve; or two are the same.
    """
    if isinstance(task, TokenClassification) and len(task.inputs.given) != 1:
        raise invalid_field(f"/tasks/{number}/inputs", "Words come as tokens or within a text.", "Name exactly one of tokens and text.")
    inputs = [_input(task, number, name, column, profile) for name, column in task.inputs.given.items()]
    pointer = f"/tasks/{number}/target"
    pointers = [pointer] if isinstance(task.target, str) else [f"{pointer}/{place}" for place in range(len(task.target))]
    targets = [find_column(name, profile, each) for name, each in zip(task.targets, pointers, strict=True)]
    for place, (target, each) in enumerate(zip(targets, pointers, strict=True)):
        if target.name in {column.name for column in inputs}:
            message = f"The column {quote(target.name)} is both the input and the target."
            raise invalid_field(each, message, label_columns(profile, target.name))
        if target.name in {column.name for column in targets[:place]}:
            raise invalid_field(each, f"The column {quote(target.name)} is a target twice.", "Name each column once.")
        if isinstance(task, TokenClassification):
            _check_tags(target, each)
        elif target.type in NO_ANSWERS:
            message = f"The column {quote(target.name)} holds {NO_ANSWERS[target.type]}, and {task.type} learns labels or numbers."
            raise invalid_field(each, message, label_columns(profile, target.name))
    return TaskColumns(inputs, targets)


def _input(task: Task, number: int, name: str, column_name: str, profile: DatasetProfile) -> ColumnProfile:
    pointer = f"/tasks/{number}/inputs/{name}"
    column = find_column(column_name, profile, pointer)
    modality = task.modality
    if name == "tokens":
        _check_tokens(column, pointer)
    elif not _holds(column, modality):
        right = [each.name for each in profile.columns if _holds(each, modality)]
        hint = (
            f"Columns that do: {listing(right)}." if right else f"Upload them as a zip, or state the type {quote(modality)} in its schema."
        )
        kind = "text" if modality == "text" else f"{modality} files"
        raise invalid_field(pointer, f"The column {quote(column.name)} holds {column.type}; {task.type} needs {kind}.", hint)
    if column.missing >= profile.rows:
        raise invalid_field(pointer, f"The column {quote(column.name)} is empty in every row.")
    return column


def _check_tokens(column: ColumnProfile, pointer: str) -> None:
    if column.type != "tokens":
        message = f"The column {quote(column.name)} holds {column.type}, and tokens are lists of words."
        hint = f'Write each row as JSON, ["Bo", "lives", "here"], and state the type in the schema: {{{quote(column.name)}: "tokens"}}.'
        raise invalid_field(pointer, message, hint)


def _check_tags(column: ColumnProfile, pointer: str) -> None:
    if column.type != "tags":
        message = f"The column {quote(column.name)} holds {column.type}, and token classification learns lists of tags, or of spans."
        hint = f'Write each row as JSON, and state the type in the schema: {{{quote(column.name)}: "tags"}}.'
        raise invalid_field(pointer, message, hint)


def _holds(column: ColumnProfile, modality: Modality) -> bool:
    """Whether a column's cells are of a modality; numbers and categories can be read as texts, lists of words and tags cannot."""
    return column.type not in {*MEDIA_TYPES, "tokens", "tags"} if modality == "text" else column.type == modality


def label_counts(target: ColumnProfile, number: int, profile: DatasetProfile) -> dict[str, int]:
    """Rows of each label in `target`.

    Raises:
        BadInput: its values are too many, or too long, to be labels.
    """
    if target.values is not None:
        return target.values
    long = target.type not in LIST_TYPES and target.longest > MAX_LABEL_CHARS
    what = "texts too long" if long else f"{target.distinct:,} different values, too many"
    message = f"The column {quote(target.name)} has {what} to be labels."
    raise invalid_field(f"/tasks/{number}/target", message, label_columns(profile, target.name))


def split_counts(name: str, profile: DatasetProfile, taken: set[str]) -> dict[str, int]:
    """Rows of each split by the user's own column, 0 for a split that is not there.

    Raises:
        BadInput: the column is not there, is a task's own, holds other words, or has no rows to train or to test on.
    """
    column = find_column(name, profile, SPLIT_POINTER)
    if column.name in taken:
        raise invalid_field(SPLIT_POINTER, f"The column {quote(name)} is used by a task and cannot also say the split.")
    if column.values is None:
        raise _not_a_split(f"The column {quote(name)} has {column.distinct:,} different values.")
    odd = [value for value in column.values if value not in SPLITS]
    if odd:
        raise _not_a_split(f"The column {quote(name)} holds {quote(odd[0])}" + (f" and {len(odd) - 1} more." if len(odd) > 1 else "."))
    counts = {split: column.values.get(split, 0) for split in SPLITS}
    empty = [split for split in ("train", "test") if not counts[split]]
    if empty:
        raise _not_a_split(f"The column {quote(name)} has no {' and no '.join(empty)} rows.")
    return counts


def _not_a_split(message: str) -> BadInput:
    hint = "A split column holds train, validation and test; validation may be left out. Without split_column rows are split by seed."
    return invalid_field(SPLIT_POINTER, message, hint)


def label_columns(profile: DatasetProfile, but: str) -> str:
    """A hint that names the columns that look like labels."""
    labels = [column.name for column in profile.columns if column.type == "category" and column.name != but]
    if labels:
        return f"Columns that look like labels: {listing(labels)}."
    return f"Columns are: {listing([column.name for column in profile.columns])}."
