"""Whether rows can be split as a spec asks, by what a dataset's profile knows of its columns."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from headstart.errors import invalid_field, listing, quote
from headstart.planning.columns import find_column
from headstart.planning.splits import Counted, groups_of_fold
from headstart.planning.times import read_times
from headstart.specs.datasets import MEDIA_TYPES, ColumnProfile, DatasetProfile
from headstart.specs.evaluation import Evaluation
from headstart.specs.plans import PlanWarning

LEAST_GROUPS = 3
"""One each to train, to validate and to test on."""

COLUMNS = ("split_column", "group_column", "time_column")


def check_evaluation(evaluation: Evaluation, profile: DatasetProfile, targets: Collection[str]) -> None:
    """See that the parts can be made, as far as the profile tells.

    Args:
        targets: columns that tasks learn.

    Raises:
        BadInput: `column_not_found` or `invalid_field`.
    """
    given = [name for name in COLUMNS if getattr(evaluation, name) is not None]
    if len(given) > 1:
        message = f"{given[0]} and {given[1]} are given at once."
        raise invalid_field(f"/evaluation/{given[1]}", message, f"Name one of {', '.join(COLUMNS[:-1])} and {COLUMNS[-1]}.")
    if evaluation.split_column is not None:
        if evaluation.folds is not None:
            message = "A split column says which rows test, and folds would deal them anew."
            raise invalid_field("/evaluation/folds", message, "Leave folds or split_column out.")
        return
    if evaluation.folds is None and evaluation.validation_size + evaluation.test_size >= 1:
        message = "validation_size and test_size together leave no rows to train on."
        raise invalid_field("/evaluation/test_size", message, "Let their sum be below 1.")
    if evaluation.folds is not None and evaluation.folds > profile.rows:
        message = f"There are {profile.rows:,} rows, fewer than {evaluation.folds:,} folds."
        raise invalid_field("/evaluation/folds", message, "Lower folds, or add rows.")
    if evaluation.group_column is not None:
        _check_groups(_told_apart("group_column", evaluation.group_column, profile, targets), evaluation.folds)
    if evaluation.time_column is not None:
        _check_times(_told_apart("time_column", evaluation.time_column, profile, targets), evaluation.folds)


def evaluation_warnings(evaluation: Evaluation, counted: Counted, profile: DatasetProfile) -> Iterable[PlanWarning]:
    """What is not as exact as a plan is elsewhere, or comes out other than asked."""
    name = next((name for name in COLUMNS if getattr(evaluation, name) is not None), None)
    if not counted.exact and name != "split_column":
        what = {"group_column": "Groups stay together", "time_column": "Rows of one time stay together"}
        why = what.get(name or "", "Rows have several labels, or not the first task's")
        message = f"{why}, so that the rows of each split are estimates until the data are read."
        yield PlanWarning(code="split_estimated", pointer=f"/evaluation/{name}" if name else "/evaluation", message=message)
    if name == "group_column":
        yield from _group_warnings(evaluation, counted, profile)


def _group_warnings(evaluation: Evaluation, counted: Counted, profile: DatasetProfile) -> Iterable[PlanWarning]:
    column = profile.column(evaluation.group_column or "")
    if column is None or not column.values:
        return
    largest = max(column.values, key=lambda value: (column.values or {})[value])
    rows, kept = column.values[largest], sum(column.values.values())
    if rows > max(counted.train, counted.test):
        message = (
            f"The group {quote(largest)} of {quote(column.name)} has {rows / kept:.0%} of the rows, and must be in one part whole; "
            "parts will not have the sizes that were asked for."
        )
        yield PlanWarning(code="large_group", pointer="/evaluation/group_column", message=message)


def _told_apart(field: str, name: str, profile: DatasetProfile, targets: Collection[str]) -> ColumnProfile:
    pointer = f"/evaluation/{field}"
    column = find_column(name, profile, pointer)
    if column.name in targets:
        what = "group" if field == "group_column" else "time"
        message = f"The column {quote(name)} is what a task learns and cannot also say the {what}."
        raise invalid_field(pointer, message, "Name another column, or leave it out.")
    if column.type in MEDIA_TYPES:
        right = [each.name for each in profile.columns if each.type not in MEDIA_TYPES and each.name not in targets]
        raise invalid_field(pointer, f"The column {quote(name)} holds files.", f"Columns that do not: {listing(right)}." if right else None)
    return column


def _check_groups(column: ColumnProfile, folds: int | None) -> None:
    least = LEAST_GROUPS if folds is None else max(LEAST_GROUPS, folds * groups_of_fold(folds))
    if column.distinct >= least:
        return
    pointer = "/evaluation/group_column"
    if column.distinct < 2:
        held = "one group, which would have to train and to test" if column.distinct else "no value in any row"
        raise invalid_field(pointer, f"The column {quote(column.name)} has {held}.", "Name a column with more groups, or leave it out.")
    message = f"The column {quote(column.name)} has {column.distinct} groups, and {least} are needed."
    raise invalid_field(pointer, message, _needed(folds, "groups"))


def _check_times(column: ColumnProfile, folds: int | None) -> None:
    pointer = "/evaluation/time_column"
    values = list(column.values or ())
    if column.type != "number":
        _, unread = read_times(values)
        if unread:
            more = f" and {len(unread) - 1:,} more that are" if len(unread) > 1 else ", which is"
            message = f"The column {quote(column.name)} holds {quote(values[unread[0]])}{more} neither a time of ISO 8601 nor a number."
            raise invalid_field(pointer, message, "Times look like 2024-01-31, 2024-01-31T12:30:00Z or 1706704200.")
    least = LEAST_GROUPS if folds is None else folds + 2
    if column.distinct < least:
        message = f"The column {quote(column.name)} has {column.distinct} different times, and {least} are needed."
        raise invalid_field(pointer, message, _needed(folds, "times"))


def _needed(folds: int | None, what: str) -> str:
    if folds is None:
        return f"Train, validation and test need {what} of their own."
    return f"Each fold needs {what} of its own; lower folds." if folds > LEAST_GROUPS else f"Each part needs {what} of its own."
