"""How many rows of each dataset train, validate and test, and what to know of them before a job starts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from headstart.errors import quote
from headstart.planning.columns import TaskColumns, split_counts
from headstart.planning.evaluation import check_evaluation, evaluation_warnings
from headstart.planning.sources import Source, in_words, naming, tasks_by_source
from headstart.planning.splits import Counted, carve_validation, count_rows
from headstart.planning.targets import TargetPlan
from headstart.specs.datasets import DatasetProfile
from headstart.specs.evaluation import Evaluation
from headstart.specs.plans import Extra, PlanWarning, RowsPlan

FEW_TEST_ROWS = 100


@dataclass(frozen=True, slots=True)
class Columns:
    """A task's columns, and what its head learns and reads."""

    of_task: TaskColumns
    target: TargetPlan
    extras: list[Extra]


@dataclass(frozen=True, slots=True)
class Part:
    """One dataset of a job.

    Attributes:
        tasks: numbers of those that learn from it.
        columns: of each of these.
        rows: how many go where; exact unless `counted` says otherwise or a row lacks an input.
        counted: the same before rows were left out.
    """

    source: Source
    tasks: list[int]
    columns: list[Columns]
    rows: RowsPlan
    counted: Counted


def plan_parts(evaluation: Evaluation, sources: Sequence[Source], columns: Sequence[Columns]) -> list[Part]:
    """Each dataset is divided by itself.

    Args:
        sources, columns: of each task.

    Raises:
        BadInput: `column_not_found` or `invalid_field`: it cannot be divided as `evaluation` says.
    """
    parts = []
    for numbers in tasks_by_source(sources):
        source, own = sources[numbers[0]], [columns[number] for number in numbers]
        with naming(source, sources):
            rows, counted = _rows(evaluation, own, source.profile)
        parts.append(Part(source, numbers, own, rows, counted))
    return parts


def rows_in_all(parts: Sequence[Part]) -> RowsPlan:
    return RowsPlan(**{name: sum(getattr(part.rows, name) for part in parts) for name in RowsPlan.model_fields})


def _rows(evaluation: Evaluation, columns: Sequence[Columns], profile: DatasetProfile) -> tuple[RowsPlan, Counted]:
    """Without the user's split the strata of the first task are dealt alike; rows that only other tasks have labels for are one more."""
    first, others = columns[0], len(columns) > 1
    targets = {column.name for each in columns for column in each.of_task.targets}
    check_evaluation(evaluation, profile, targets)
    labelled = profile.rows if others else first.target.labelled
    if evaluation.split_column is None:
        strata = list(first.target.strata.values())
        lacking = max(profile.rows - sum(strata), 0) if others else 0
        exact = not lacking and first.target.problem != "multi-label"
        counted = count_rows(evaluation, [*strata, lacking] if lacking else strata, exact=exact)
    else:
        counts = split_counts(evaluation.split_column, profile, targets | {column.name for column in first.of_task.inputs})
        train, validation, test = counts["train"], counts["validation"], counts["test"]
        if not validation:
            train, validation = carve_validation(train, evaluation.validation_size)
        counted = Counted(train, validation, test)
    return _without_missing(counted, labelled, first.of_task.missing, profile), counted


def _without_missing(counted: Counted, labelled: int, missing: int, profile: DatasetProfile) -> RowsPlan:
    """Take out rows that lack an input, and with the user's split those that lack a label, from each part alike."""
    train, validation, test = counted.train, counted.validation, counted.test
    kept = train + validation + test
    usable = max(kept - missing - max(kept - labelled, 0), 0)
    if usable < kept:
        validation, test = (round(part * usable / kept) for part in (validation, test))
        train = max(usable - validation - test, 0)
    return RowsPlan(train=train, validation=validation, test=test, dropped=profile.rows - train - validation - test)


def of_dataset(warning: PlanWarning, part: Part, parts: Sequence[Part]) -> PlanWarning:
    """Of several datasets, the warning says which it is about, and points to the first task that learns from it."""
    if len(parts) == 1 or (warning.pointer or "").startswith("/tasks/"):
        return warning
    return PlanWarning(code=warning.code, pointer=f"/tasks/{part.tasks[0]}/dataset", message=in_words(part.source, warning.message))


def row_warnings(evaluation: Evaluation, part: Part, names: Sequence[str]) -> Iterable[PlanWarning]:
    """What is to be known of the rows of a dataset.

    Args:
        names: of all tasks of the job.
    """
    rows, profile = part.rows, part.source.profile
    if rows.test < FEW_TEST_ROWS:
        pointer = "/evaluation/test_size" if evaluation.split_column is None else "/evaluation/split_column"
        message = f"The test split has {rows.test} rows; its metrics can be some points off by chance."
        yield PlanWarning(code="few_rows", pointer=pointer, message=message)
    if rows.dropped:
        message = f"{rows.dropped:,} of {profile.rows:,} rows are left out: they have no input, no label or no split."
        if part.columns[0].of_task.missing:
            message += " Rows of each split are estimates until the inputs are read."
        yield PlanWarning(code="rows_dropped", pointer=None, message=message)
    yield from _missing_labels(part, names)
    yield from evaluation_warnings(evaluation, part.counted, profile)


def _missing_labels(part: Part, names: Sequence[str]) -> Iterable[PlanWarning]:
    """With several tasks a row without a label of one may serve another."""
    rows = part.source.profile.rows
    for number, columns in zip(part.tasks, part.columns, strict=True) if len(part.tasks) > 1 else ():
        lacking = rows - columns.target.labelled
        if lacking:
            message = f"{lacking:,} of {rows:,} rows have no label for {quote(names[number])}; they count for the other tasks alone."
            yield PlanWarning(code="labels_missing", pointer=f"/tasks/{number}/target", message=message)
