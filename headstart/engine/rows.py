"""From a dataset's table to what a task learns from: examples, class numbers and the user's split, without the rows that lack one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from headstart.blobs.local import file_sha256
from headstart.data.table import cells, open_table
from headstart.data.table import texts as texts_of
from headstart.engine.examples import Paired, Picked
from headstart.engine.tasks import TASKS
from headstart.errors import EngineFault, quote
from headstart.specs.datasets import SPLITS
from headstart.specs.jobs import JobSpec
from headstart.specs.plans import Plan


@dataclass(frozen=True, slots=True)
class Rows:
    examples: Sequence[Any]
    """Texts, pairs of texts, or encoded images or recordings; the latter are read from the table when they are asked for."""
    targets: NDArray[np.int64]  # [N]
    splits: list[str | None] | None
    """The user's word for each row; None without a split column."""
    dropped: int


def check_table(path: Path, sha256: str | None) -> None:
    """A file that was cut would end the process once it is mapped; one that was changed would train on other labels.

    Raises:
        EngineFault: `bad_data`.
    """
    if sha256 is not None and not (path.is_file() and file_sha256(path) == sha256):
        raise EngineFault("bad_data", "The stored table of the dataset is damaged.", "Upload the dataset again.")


def read_rows(table_path: Path, spec: JobSpec, plan: Plan) -> Rows:
    """The usable rows, in the order of the file.

    Raises:
        EngineFault: `bad_data`, when a column is not there or no row is usable.
    """
    task, split_column = spec.tasks[0], spec.evaluation.split_column
    table = open_table(table_path)
    columns = [_column(table, name) for name in task.inputs.given.values()]
    splits = None if split_column is None else _texts(table, split_column)
    targets = TASKS[task.type].encode(_texts(table, task.target), plan.tasks[0].classes)
    there = np.logical_and.reduce([table.column(name).is_valid().to_numpy() for name in task.inputs.given.values()])
    kept = [row for row in np.flatnonzero(there & (targets >= 0)).tolist() if _has_split(splits, row)]
    if not kept:
        raise EngineFault("bad_data", "No row has an input, a label and a split.", "Look at the columns that the task names.")
    picked = [Picked(column, kept) for column in columns]
    return Rows(
        examples=picked[0] if len(picked) == 1 else Paired(*picked),
        targets=targets[kept],
        splits=None if splits is None else [splits[row] for row in kept],
        dropped=len(targets) - len(kept),
    )


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


def _has_split(splits: Sequence[str | None] | None, row: int) -> bool:
    return splits is None or (splits[row] or "").strip() in SPLITS
