"""The tables of the datasets that a job learns from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from headstart.blobs.local import file_sha256
from headstart.errors import EngineFault, quote
from headstart.specs.plans import TaskPlan


@dataclass(frozen=True, slots=True)
class DatasetTable:
    """A dataset as `headstart.data` wrote it.

    Attributes:
        name: with its version, as plans name it.
        path: of the table.
        sha256: of the file that was uploaded.
        table_sha256: what the table must be; None: not checked.
    """

    name: str
    path: Path
    sha256: str
    table_sha256: str | None = None


def tables_of(tables: Sequence[DatasetTable], tasks: Sequence[TaskPlan]) -> tuple[list[DatasetTable], list[int]]:
    """The tables that tasks learn from, in the order in which tasks name them, and of each task the number of its own.

    A task whose plan names none learns from the first of `tables`.

    Raises:
        EngineFault: `bad_data`, when a dataset is not among them.
    """
    known = {table.name: table for table in tables}
    names = [tables[0].name if task.dataset is None else task.dataset for task in tasks]
    missing = next((name for name in names if name not in known), None)
    if missing is not None:
        raise EngineFault("bad_data", f"The dataset {quote(missing)} that the plan names is not there.", "Run the job again.")
    used = list(dict.fromkeys(names))
    return [known[name] for name in used], [used.index(name) for name in names]


def check_tables(tables: Sequence[DatasetTable]) -> None:
    """A file that was cut would end the process once it is mapped; one that was changed would train on other labels.

    Raises:
        EngineFault: `bad_data`.
    """
    for table in tables:
        if table.table_sha256 is not None and not (table.path.is_file() and file_sha256(table.path) == table.table_sha256):
            raise EngineFault("bad_data", f"The stored table of the dataset {quote(table.name)} is damaged.", "Upload the dataset again.")
