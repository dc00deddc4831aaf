"""From the tables of datasets to what the tasks learn from: examples, targets and the user's split, without the rows that lack them.

Axes: N usable rows of all datasets, C classes, F numbers of extra columns, V vectors of rows: one each, or one for each word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import repeat
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from headstart.data.table import cells, open_table
from headstart.data.table import texts as texts_of
from headstart.engine.examples import Chained, Paired, Picked
from headstart.engine.extras import FittedExtra, encode_extras, fit_extras
from headstart.engine.inputs.words import Sentence, sentence_of_text, sentence_of_words
from headstart.engine.splits import Told, group_numbers, times_of
from headstart.engine.tables import DatasetTable, tables_of
from headstart.engine.tasks import TaskKind, kind_of
from headstart.engine.tasks.tagged import Answers, Tagged, asked, for_each, reads
from headstart.engine.vectors import Chosen, InOrder
from headstart.errors import EngineFault, quote
from headstart.specs.datasets import SPLITS
from headstart.specs.evaluation import Evaluation
from headstart.specs.jobs import JobSpec
from headstart.specs.labels import json_texts
from headstart.specs.plans import Plan, TaskPlan
from headstart.specs.tasks import Reads, Task

NO_WORDS = sentence_of_words([])
"""Of a row without a sentence, which no task learns from."""


@dataclass(frozen=True, slots=True)
class TaskRows:
    """One task's part of the usable rows."""

    task: Task
    plan: TaskPlan
    kind: TaskKind
    targets: Answers  # [N, …], as the kind encodes them
    labelled: NDArray[np.bool_]  # [N]
    cells: Mapping[str, Sequence[str | None]]
    """Of its extra columns, by name."""
    extras: list[FittedExtra] = field(default_factory=list)
    numbers: NDArray[np.float32] | None = None  # [N, F], what the head reads beside the backbone's; None: nothing
    source: int = 0
    """The number of the dataset whose rows it learns from."""

    def among(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those of `rows` that have an answer."""
        return rows[self.labelled[rows]]

    def read_by(self, train: NDArray[np.int64]) -> TaskRows:
        """The same with its extra columns standardised by these rows."""
        if not self.plan.features:
            return self
        fitted = fit_extras(self.plan.features, self.cells, train)
        numbers = encode_extras(fitted, self.cells, len(self.targets))
        return replace(self, extras=fitted, numbers=numbers)

    def of(self, rows: NDArray[np.int64]) -> TaskRows:
        """The same of some rows."""
        cells = {name: Picked(column, rows) for name, column in self.cells.items()}
        return replace(self, targets=self.targets[rows], labelled=self.labelled[rows], cells=cells)

    def with_seen(self, seen: NDArray[np.bool_]) -> TaskRows:
        """The same when the backbone reads these words alone, of those of all rows."""
        return replace(self, targets=self.targets.with_seen(seen)) if isinstance(self.targets, Tagged) else self

    @property
    def reads(self) -> Reads:
        """Whose vectors the head reads."""
        return reads(self.targets)

    def asked(self, rows: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """What each vector of these rows stands for, [V, …], and whether it is to be learnt from, [V]."""
        return asked(self.targets, self.labelled, rows)

    def read(self, vectors: InOrder, rows: NDArray[np.int64], which: NDArray[np.bool_]) -> InOrder:
        """What the head reads of these rows where `which` says so, [V]: the backbone's vectors [V, D] and the extra numbers, [V, D + F]."""
        numbers, places = self.numbers, np.flatnonzero(which)
        return Chosen(vectors, places, None if numbers is None else for_each(numbers, self.targets, rows)[places])


@dataclass(frozen=True, slots=True)
class Rows:
    examples: Sequence[Any]
    """Texts, pairs of texts, sentences, or encoded images or recordings; the latter are read from the table when they are asked for."""
    tasks: list[TaskRows]
    told: Told
    """What a column of the user's says of the part that each row is in."""
    numbers: NDArray[np.int64]  # [N], of the rows in their own file, counted from 1
    dropped: int
    datasets: list[str]
    sources: NDArray[np.int64]  # [N], the number of each row's dataset


def read_rows(tables: Sequence[DatasetTable], spec: JobSpec, plan: Plan) -> Rows:
    """The usable rows, dataset by dataset in the order of their files: those with an input, an answer for one task or more, and a split,
    group or time if asked for.

    A row has answers and extra columns for the tasks of its own dataset alone; for all others they are missing.

    Raises:
        EngineFault: `bad_data`, when a column is not there or a dataset has no usable row.
    """
    used, sources = tables_of(tables, plan.tasks)
    opened = [open_table(table.path) for table in used]
    ends = np.cumsum([len(table) for table in opened])
    told, in_a_part = _told(opened, spec.evaluation)
    words = any(task.reads == "words" for task in spec.tasks)
    learning = [[task for task, source in zip(spec.tasks, sources, strict=True) if source == number] for number in range(len(used))]
    read = [_read(table, each, words=words) for table, each in zip(opened, learning, strict=True)]
    examples = Chained([part for part, _ in read])
    sentences = list(examples) if words else []
    tasks = []
    for task, planned, source in zip(spec.tasks, plan.tasks, sources, strict=True):
        around = int(ends[source]) - len(opened[source]), int(ends[-1] - ends[source])
        tasks.append(_task_rows(_Cells(opened[source], *around), task, planned, source, sentences))
    there = np.concatenate([each for _, each in read])
    there &= np.logical_or.reduce([task.labelled for task in tasks])
    kept = np.flatnonzero(there if in_a_part is None else there & in_a_part)
    dataset = np.searchsorted(ends, kept, side="right")
    for number, table in enumerate(used):
        if number not in dataset:
            which = f" of {quote(table.name)}" if len(used) > 1 else ""
            raise EngineFault("bad_data", f"No row{which} has an input, a label and a split.", "Look at the columns that the task names.")
    return Rows(
        examples=Picked(examples, kept),
        tasks=[task.of(kept) for task in tasks],
        told=told.of(kept),
        numbers=kept + 1 - np.concatenate([[0], ends])[dataset],
        dropped=len(there) - len(kept),
        datasets=[table.name for table in used],
        sources=dataset,
    )


def _read(table: pa.Table, tasks: Sequence[Task], *, words: bool) -> tuple[Sequence[Any], NDArray[np.bool_]]:
    """The examples of one dataset, and whether each row has one, [N].

    Args:
        tasks: those that learn from it, and so read the same columns.
        words: whether any task of the job reads words: then every example is a sentence, whose words are told apart where its own tasks read them.
    """
    inputs = tasks[0].inputs.given
    columns = [_column(table, name) for name in inputs.values()]
    there: NDArray[np.bool_] = np.logical_and.reduce([table.column(name).is_valid().to_numpy() for name in inputs.values()])
    if not words:
        return (columns[0] if len(columns) == 1 else Paired(*columns)), there
    whole = all(task.reads == "example" for task in tasks)
    found = [_sentence(cell, listed="tokens" in inputs, whole=whole) for cell in columns[0]]
    return [each or NO_WORDS for each in found], there & np.array([each is not None for each in found])


def _sentence(cell: str | None, *, listed: bool, whole: bool) -> Sentence | None:
    """The words of a row; None where the cell is missing, or is no list where one is needed. `whole`: the text alone, nobody reads its words."""
    if cell is None:
        return None
    if whole:
        return Sentence(cell, NO_WORDS.places)
    if not listed:
        return sentence_of_text(cell)
    words = json_texts(cell)
    return None if words is None else sentence_of_words(words)


@dataclass(frozen=True, slots=True)
class _Cells:
    """The cells of one dataset among the rows of all, missing in those `before` and `after`."""

    table: pa.Table
    before: int
    after: int

    def __getitem__(self, column: str) -> list[str | None]:
        return [*repeat(None, self.before), *_texts(self.table, column), *repeat(None, self.after)]


def _task_rows(cells: _Cells, task: Task, planned: TaskPlan, source: int, sentences: Sequence[Sentence]) -> TaskRows:
    kind = kind_of(task.type, planned.problem, planned.scheme, switches=not isinstance(task.target, str))
    columns: list[Sequence[Any]] = [cells[name] for name in task.targets]
    targets = kind.encode(columns if task.reads == "example" else [sentences, *columns], planned.classes)
    extras = {extra.column: cells[extra.column] for extra in planned.features}
    return TaskRows(task, planned, kind, targets, kind.labelled(targets), extras, source=source)


def _column(table: pa.Table, name: str) -> Sequence[Any]:
    """Texts in memory; cells of bytes stay where they are."""
    _check(table, name)
    return cells(table, name) if pa.types.is_large_binary(table.schema.field(name).type) else texts_of(table, name)


def _texts(table: pa.Table, name: str) -> list[str | None]:
    _check(table, name)
    return texts_of(table, name)


def _check(table: pa.Table, name: str) -> None:
    if name not in table.column_names:
        raise EngineFault("bad_data", f"The dataset has no column {quote(name)}.", "Run the job again on the version it was planned for.")


def _told(tables: Sequence[pa.Table], evaluation: Evaluation) -> tuple[Told, NDArray[np.bool_] | None]:
    """What a column says of the part each row is in, and of which rows it says anything; None: there is no such column."""
    if evaluation.split_column is not None:
        words = [(word or "").strip() for table in tables for word in _texts(table, evaluation.split_column)]
        return Told(words=words), np.isin(np.array(words, dtype=object), SPLITS)
    if evaluation.group_column is not None:
        groups = group_numbers([cell for table in tables for cell in _texts(table, evaluation.group_column)])
        return Told(groups=groups), groups >= 0
    if evaluation.time_column is not None:
        times = np.concatenate([times_of(_texts(table, evaluation.time_column), evaluation.time_column) for table in tables])
        return Told(times=times), ~np.isnan(times)
    return Told(), None
