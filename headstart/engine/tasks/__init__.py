"""Tasks: what a head learns. One file for each kind of answer, one entry for it in one table."""

from __future__ import annotations

from headstart.engine.tasks import multi_label, regression, single_label, token_classification
from headstart.engine.tasks.kinds import Cells, Targets, TaskKind

__all__ = ["TASKS", "Cells", "Targets", "TaskKind", "kind_of"]

TASKS: dict[str, TaskKind] = {
    "single-label": single_label.KIND,
    "multi-label": multi_label.KIND,
    "switches": multi_label.OF_SWITCHES,
    "regression": regression.KIND,
    "BIO": token_classification.OF_ENTITIES,
    "IOBES": token_classification.OF_ENTITIES,
    "none": token_classification.OF_WORDS,
}
"""A task's `type`, where it has an answer of its own, or the scheme of its tags, where words have some, or `switches`, where its target is a list
of columns, or else its `problem` → the task."""


def kind_of(type_: str, problem: str, scheme: str | None, *, switches: bool = False) -> TaskKind:
    """What the engine does for a task; `switches`: each label has a column of its own, which matters to reading them alone."""
    return TASKS.get(type_) or TASKS["switches" if switches else scheme or problem]
