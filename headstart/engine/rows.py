"""From a dataset's table to what the tasks learn from: examples, targets and the user's split, without the rows that lack them.

Axes: N usable rows, C classes, F numbers of extra columns, V vectors of rows: one each, or one for each word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from headstart.blobs.local import file_sha256
from headstart.data.table import cells, open_table
from headstart.data.table import texts as texts_of
from headstart.engine.examples import Paired, Picked
from headstart.engine.extras import FittedExtra, encode_extras, fit_extras
from headstart.engine.inputs.words import Sentence, sentence_of_text, sentence_of_words
from headstart.engine.splits import Told, group_numbers, times_of
from headstart.engine.tasks import TaskKind, kind_of
from headstart.engine.tasks.tagged import Answers, Tagged, asked, for_each, reads
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

    def beside(self, vectors: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """What the head reads for these rows: the backbone's vectors [V, D] and the extra numbers, [V, D + F]."""
        return vectors if self.numbers is None else np.hstack([vectors, for_each(self.numbers, self.targets, rows)])


@dataclass(frozen=True, slots=True)
class Rows:
    examples: Sequence[Any]
    """Texts, pairs of texts, sentences, or encoded images or recordings; the latter are read from the table when they are asked for."""
    tasks: list[TaskRows]
    told: Told
    """What a column of the user's says of the part that each row is in."""
    numbers: NDArray[np.int64]  # [N], of the rows in the file, counted from 1
    dropped: int


def check_table(path: Path, sha256: str | None) -> None:
    """A file that was cut would end the process once it is mapped; one that was changed would train on other labels.

    Raises:
        EngineFault: `bad_data`.
    """
    if sha256 is not None and not (path.is_file() and file_sha256(path) == sha256):
        raise EngineFault("bad_data", "The stored table of the dataset is damaged.", "Upload the dataset again.")


def read_rows(table_path: Path, spec: JobSpec, plan: Plan) -> Rows:
    """The usable rows, in the order of the file: those with an input, an answer for one task or more, and a split, group or time if asked for.

    Raises:
        EngineFault: `bad_data`, when a column is not there or no row is usable.
    """
    inputs = list(spec.tasks[0].inputs.given.values())
    table = open_table(table_path)
    columns = [_column(table, name) for name in inputs]
    told, in_a_part = _told(table, spec.evaluation)
    there = np.logical_and.reduce([table.column(name).is_valid().to_numpy() for name in inputs])
    sentences: list[Sentence] = []
    if any(task.reads == "words" for task in spec.tasks):
        found = [_sentence(cell, listed="tokens" in spec.tasks[0].inputs.given) for cell in columns[0]]
        there &= np.array([each is not None for each in found])
        sentences = [each or NO_WORDS for each in found]
        columns = [sentences]
    tasks = [_task_rows(table, task, planned, sentences) for task, planned in zip(spec.tasks, plan.tasks, strict=True)]
    there &= np.logical_or.reduce([task.labelled for task in tasks])
    kept = np.flatnonzero(there if in_a_part is None else there & in_a_part)
    if not len(kept):
        raise EngineFault("bad_data", "No row has an input, a label and a split.", "Look at the columns that the task names.")
    picked = [Picked(column, kept) for column in columns]
    return Rows(
        examples=picked[0] if len(picked) == 1 else Paired(*picked),
        tasks=[_kept(task, kept) for task in tasks],
        told=told.of(kept),
        numbers=kept + 1,
        dropped=len(there) - len(kept),
    )


def _sentence(cell: str | None, *, listed: bool) -> Sentence | None:
    """The words of a row; None where the cell is missing, or is no list where one is needed."""
    if cell is None or not listed:
        return None if cell is None else sentence_of_text(cell)
    words = json_texts(cell)
    return None if words is None else sentence_of_words(words)


def _task_rows(table: pa.Table, task: Task, planned: TaskPlan, sentences: Sequence[Sentence]) -> TaskRows:
    kind = kind_of(task.type, planned.problem, planned.scheme)
    columns: list[Sequence[Any]] = [_texts(table, name) for name in task.targets]
    targets = kind.encode(columns if task.reads == "example" else [sentences, *columns], planned.classes)
    extras = {extra.column: _texts(table, extra.column) for extra in planned.features}
    return TaskRows(task, planned, kind, targets, kind.labelled(targets), extras)


def _kept(task: TaskRows, rows: NDArray[np.int64]) -> TaskRows:
    extras = {name: Picked(column, rows) for name, column in task.cells.items()}
    return TaskRows(task.task, task.plan, task.kind, task.targets[rows], task.labelled[rows], extras)


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


def _told(table: pa.Table, evaluation: Evaluation) -> tuple[Told, NDArray[np.bool_] | None]:
    """What a column says of the part each row is in, and of which rows it says anything; None: there is no such column."""
    if evaluation.split_column is not None:
        words = [(word or "").strip() for word in _texts(table, evaluation.split_column)]
        return Told(words=words), np.isin(np.array(words, dtype=object), SPLITS)
    if evaluation.group_column is not None:
        groups = group_numbers(_texts(table, evaluation.group_column))
        return Told(groups=groups), groups >= 0
    if evaluation.time_column is not None:
        times = times_of(_texts(table, evaluation.time_column), evaluation.time_column)
        return Told(times=times), ~np.isnan(times)
    return Told(), None
