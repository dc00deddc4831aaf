"""From a dataset's table to what a task learns from: texts, class numbers and the user's split, without the rows that lack one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from headstart.blobs.local import file_sha256
from headstart.data.table import open_table
from headstart.data.table import texts as cells_of
from headstart.engine.splits import SPLITS
from headstart.engine.tasks import TASKS
from headstart.errors import EngineFault, quote
from headstart.specs.jobs import JobSpec
from headstart.specs.plans import Plan

Cell = TypeVar("Cell")


@dataclass(frozen=True, slots=True)
class Rows:
    texts: list[str]
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
    task = spec.tasks[0]
    table = open_table(table_path)
    names = [task.inputs.text, task.target, *([spec.evaluation.split_column] if spec.evaluation.split_column is not None else [])]
    columns = []
    for name in names:
        if name not in table.column_names:
            raise EngineFault(
                "bad_data", f"The dataset has no column {quote(name)}.", "Run the job again on the version it was planned for."
            )
        columns.append(cells_of(table, name))
    texts, labels = columns[:2]
    splits = columns[2] if len(columns) > 2 else None
    targets = TASKS[task.type].encode(labels, plan.tasks[0].classes)
    kept = [row for row, text in enumerate(texts) if text is not None and targets[row] >= 0 and _has_split(splits, row)]
    if not kept:
        raise EngineFault("bad_data", "No row has a text, a label and a split.", "Look at the columns that the task names.")
    return Rows(
        texts=[text for text in _pick(texts, kept) if text is not None],
        targets=targets[kept],
        splits=_pick(splits, kept) if splits is not None else None,
        dropped=len(texts) - len(kept),
    )


def _has_split(splits: Sequence[str | None] | None, row: int) -> bool:
    return splits is None or (splits[row] or "").strip() in SPLITS


def _pick(cells: Sequence[Cell], rows: Sequence[int]) -> list[Cell]:
    return [cells[row] for row in rows]
