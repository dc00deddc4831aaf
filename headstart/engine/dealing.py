"""The split of a job's rows: each dataset is dealt out by itself, so that a task is judged on the rows it would be judged on alone."""

from __future__ import annotations

import numpy as np

from headstart.engine.context import Context
from headstart.engine.rows import Rows
from headstart.engine.splits import Split, assign
from headstart.errors import EngineFault, quote
from headstart.planning.splits import Fold
from headstart.specs.evaluation import Evaluation


def deal(rows: Rows, evaluation: Evaluation, seed: int, fold: Fold | None = None) -> Split:
    """Who trains, who validates, who tests, of all datasets.

    Args:
        seed: of each dataset's split: it does not hang on what else the job learns from.
        fold: of cross-validation.

    Raises:
        EngineFault: as of `assign`, with the dataset where there are several.
    """
    splits = [_dealt(rows, number, evaluation, seed, fold) for number in range(len(rows.datasets))]
    return Split(*(np.concatenate([getattr(split, part) for split in splits]) for part in ("train", "validation", "test")))


def _dealt(rows: Rows, number: int, evaluation: Evaluation, seed: int, fold: Fold | None) -> Split:
    own = np.flatnonzero(rows.sources == number)
    try:
        split = assign(
            {task.task.name: task.kind.strata(task.targets)[own] for task in rows.tasks if task.source == number},
            rows.told.of(own),
            validation_size=evaluation.validation_size,
            test_size=evaluation.test_size,
            generator=np.random.default_rng(seed),
            fold=fold,
        )
    except EngineFault as fault:
        if len(rows.datasets) == 1:
            raise
        raise EngineFault(fault.code, f"In {quote(rows.datasets[number])}: {fault.message}", fault.hint) from fault
    return Split(own[split.train], own[split.validation], own[split.test])


def tell_of_datasets(context: Context, rows: Rows, split: Split) -> None:
    """The sizes of the parts of each dataset of several, and a warning of groups that more than one of them has."""
    for number, name in enumerate(rows.datasets if len(rows.datasets) > 1 else ()):
        train, validation, test = (int((rows.sources[part] == number).sum()) for part in (split.train, split.validation, split.test))
        context.reporter.log(f"Of {quote(name)} {train:,} train, {validation:,} validate and {test:,} test.")
    shared = _shared_groups(rows)
    if shared:
        message = (
            f"{shared:,} groups have rows in more than one dataset; each dataset is divided by itself, so that they may train and test."
        )
        context.warn("groups_shared", message)


def _shared_groups(rows: Rows) -> int:
    groups = rows.told.groups
    if groups is None:
        return 0
    pairs = np.unique(np.stack([groups, rows.sources]), axis=1)  # [2, groups of datasets]
    return int((np.unique(pairs[0], return_counts=True)[1] > 1).sum())
