"""What a task's target columns come to: the problem, its classes and the rows that have an answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from headstart.errors import BadInput, invalid_field, listing, quote
from headstart.planning.classes import check_classes, ordered_classes, smallest_class
from headstart.planning.columns import TaskColumns, label_columns, label_counts
from headstart.planning.tagging import tag_classes
from headstart.specs.datasets import ColumnProfile, DatasetProfile
from headstart.specs.labels import MAX_LABEL_CHARS, listed_labels
from headstart.specs.tasks import Problem, Scheme, Task, TokenClassification

SWITCHES: Mapping[str, bool] = {"1": True, "0": False, "1.0": True, "0.0": False, "true": True, "false": False, "yes": True, "no": False}
"""What a column of one label of several may hold, in any case; pandas writes 1.0 and 0.0 where some are missing."""

PROBLEMS: Mapping[str, Problem] = {"category": "single-label", "text": "single-label", "categories": "multi-label", "number": "regression"}
"""The problem that a column's type means."""

FEWEST_ROWS = 3
"""Rows that a regression needs, or tags: to train, to validate and to test."""


@dataclass(frozen=True, slots=True)
class TargetPlan:
    """What a head learns.

    Attributes:
        classes: in the order of scores; none of a regression.
        labelled: rows that have an answer.
        strata: rows of each kind that the split deals alike; of a single label: its classes.
    """

    problem: Problem
    classes: list[str]
    labelled: int
    strata: dict[str, int]
    scheme: Scheme | None = None
    """What tags mean."""


def plan_target(task: Task, number: int, columns: TaskColumns, profile: DatasetProfile, *, split_column: str | None) -> TargetPlan:
    """What the `number`-th task learns.

    Raises:
        BadInput: `invalid_field`, `too_few_classes`, `class_too_small`: the columns cannot be a target of this problem.
    """
    pointer = f"/tasks/{number}/target"
    if isinstance(task, TokenClassification):
        return _tags(task, number, columns.targets[0], profile)
    problem = task.problem or _problem(columns.targets)
    if len(columns.targets) > 1 or not isinstance(task.target, str):
        if problem != "multi-label":
            message = f"Several target columns are labels of one multi-label head, and the problem is {problem}."
            raise invalid_field(f"/tasks/{number}/problem", message, 'Leave problem out, or set it to "multi-label".')
        return _switches(columns.targets, pointer)
    (target,) = columns.targets
    match problem:
        case "single-label":
            return _single(target, number, profile, smallest=smallest_class(split_column))
        case "multi-label":
            return _several(target, number, profile)
        case "regression":
            return _number(target, number, profile)


def _problem(targets: Sequence[ColumnProfile]) -> Problem:
    return "multi-label" if len(targets) > 1 else PROBLEMS[targets[0].type]


def _single(target: ColumnProfile, number: int, profile: DatasetProfile, *, smallest: int) -> TargetPlan:
    pointer = f"/tasks/{number}/target"
    present = profile.rows - target.missing
    if present > 2 and target.distinct >= present:
        raise _like_an_id(target, pointer, profile)
    labels = label_counts(target, number, profile)
    check_classes(labels, target.name, pointer, smallest=smallest)
    return TargetPlan("single-label", ordered_classes(labels), sum(labels.values()), labels)


def _like_an_id(target: ColumnProfile, pointer: str, profile: DatasetProfile) -> BadInput:
    message = f"The column {quote(target.name)} has a value of its own in every row, so that no class could be learnt from others' rows."
    what = 'If they are quantities, set the problem to "regression". ' if target.type == "number" else "It looks like an id. "
    return invalid_field(pointer, message, what + label_columns(profile, target.name))


def _several(target: ColumnProfile, number: int, profile: DatasetProfile) -> TargetPlan:
    pointer = f"/tasks/{number}/target"
    counts = label_counts(target, number, profile)
    if target.type != "categories":
        each: Counter[str] = Counter()
        for cell, rows in counts.items():
            each.update(dict.fromkeys(listed_labels(cell), rows))
        counts = dict(each)
    long = next((label for label in counts if len(label) > MAX_LABEL_CHARS), None)
    if long is not None:
        message = f"The column {quote(target.name)} has a label of {len(long):,} characters, and at most {MAX_LABEL_CHARS} are taken."
        raise invalid_field(pointer, message, "Lists are JSON, or labels with | between them.")
    if not counts:
        raise invalid_field(
            pointer, f"The column {quote(target.name)} holds no label.", label_columns(profile, target.name), code="too_few_classes"
        )
    labelled = profile.rows - target.missing
    return TargetPlan("multi-label", ordered_classes(counts), labelled, {"": labelled})


def _switches(targets: Sequence[ColumnProfile], pointer: str) -> TargetPlan:
    for place, column in enumerate(targets):
        odd = next((value for value in column.values or {"…": 0} if value.lower() not in SWITCHES), None)
        if odd is not None:
            message = f"The column {quote(column.name)} holds {quote(odd)}; a column of one label among several holds 1 or 0."
            raise invalid_field(f"{pointer}/{place}", message, "Write 1 where the label holds and 0 where it does not.")
    labelled = min(sum((column.values or {}).values()) for column in targets)
    return TargetPlan("multi-label", [column.name for column in targets], labelled, {"": labelled})


def _tags(task: TokenClassification, number: int, target: ColumnProfile, profile: DatasetProfile) -> TargetPlan:
    """Of each word one of the tags."""
    pointer = f"/tasks/{number}/target"
    classes, scheme = tag_classes(task, number, target)
    labelled = profile.rows - target.missing
    if len(classes) < 2 or labelled < FEWEST_ROWS:
        message = f"The column {quote(target.name)} has {labelled:,} rows and {listing([quote(tag) for tag in classes]) or 'no tags'}."
        hint = f"Token classification needs two tags or more, and {FEWEST_ROWS} rows or more."
        raise invalid_field(pointer, message, hint, code="too_few_classes")
    return TargetPlan("single-label", classes, labelled, {"": labelled}, scheme)


def _number(target: ColumnProfile, number: int, profile: DatasetProfile) -> TargetPlan:
    pointer = f"/tasks/{number}/target"
    if target.type not in {"number", "category"} or (target.type == "category" and not _numeric(target)):
        message = f"The column {quote(target.name)} holds {target.type}, and a regression learns numbers."
        raise invalid_field(pointer, message, "Choose a column of numbers, or leave problem out.")
    labelled = profile.rows - target.missing
    if labelled < FEWEST_ROWS or target.distinct < 2:
        message = f"The column {quote(target.name)} has {labelled:,} numbers, {target.distinct:,} of them different."
        raise invalid_field(
            pointer, message, f"A regression needs {FEWEST_ROWS} rows or more, and numbers that differ.", code="too_few_classes"
        )
    return TargetPlan("regression", [], labelled, {"": labelled})


def _numeric(target: ColumnProfile) -> bool:
    """Whether all labels of a column of codes are numbers."""
    try:
        [float(value) for value in target.values or {"": 0}]
    except ValueError:
        return False
    return True
