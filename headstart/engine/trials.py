"""Trainings beside the job's own, for the report alone: the other folds of cross-validation, and each task by itself.

They start from the same features, go the same way, and leave nothing behind. What they reach goes into the task's report.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

from headstart.engine.context import Context, Reporter
from headstart.engine.judging import judge
from headstart.engine.learning import learn
from headstart.engine.phases import prepare_phases
from headstart.engine.precision import Precision
from headstart.engine.preparing import preparation_of, seen_by_training
from headstart.engine.rows import Rows
from headstart.engine.splits import Split
from headstart.specs.balancing import FixedWeights
from headstart.specs.jobs import JobStatus, LogLevel
from headstart.specs.reports import Interval, TaskReport

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Trials:
    """What all trainings of a job share."""

    context: Context
    precision: Precision

    def folds(self, rows: Rows, split_of: Callable[[int], Split], reports: Mapping[str, TaskReport]) -> dict[str, TaskReport]:
        """The reports with the metrics of all folds, and as their metrics the means.

        Args:
            split_of: the split in which a fold tests.
            reports: of the first fold.
        """
        count = self.context.spec.evaluation.folds or 1
        found = [reports, *(self._reports(self._beside(f"Fold {fold + 1} of {count}"), rows, split_of(fold)) for fold in range(1, count))]
        return {name: _over_folds([each[name] for each in found]) for name in reports}

    def alone(self, rows: Rows, split: Split, reports: Mapping[str, TaskReport]) -> dict[str, TaskReport]:
        """The reports with what each task reaches by itself."""
        found = {}
        for number, task in enumerate(rows.tasks):
            name = task.task.name
            beside = self._beside(f"{name} alone")
            training = beside.spec.training.model_copy(update={"balancing": FixedWeights(), "sampling": "proportional"})
            spec = beside.spec.model_copy(update={"tasks": [task.task], "training": training})
            plan = beside.plan.model_copy(update={"tasks": [beside.plan.tasks[number]]})
            single = dataclasses.replace(beside, spec=spec, plan=plan)
            parts = Split(*(task.among(part) for part in (split.train, split.validation, split.test)))
            report = self._reports(single, dataclasses.replace(rows, tasks=[task]), parts)[name]
            found[name] = reports[name].model_copy(update={"single_task": report.metrics})
        return found

    def _beside(self, what: str) -> Context:
        context = self.context
        evaluation = context.spec.evaluation.model_copy(update={"baselines": False})
        reporter = _Aside(context.reporter, what)
        return dataclasses.replace(context, spec=context.spec.model_copy(update={"evaluation": evaluation}), reporter=reporter)

    def _reports(self, context: Context, rows: Rows, split: Split) -> dict[str, TaskReport]:
        rows = dataclasses.replace(rows, tasks=[task.read_by(split.train) for task in rows.tasks])
        views, examples = seen_by_training(context, rows.examples, split)
        phases = prepare_phases(context, preparation_of(context), examples, self.precision)
        learnt = learn(context, phases, rows.tasks, split, views)
        return judge(context, phases[-1], learnt, rows, split).reports


def _over_folds(reports: Sequence[TaskReport]) -> TaskReport:
    """The first fold's report, with means for its metrics, and their intervals by Student's t over the folds."""
    folds = [report.metrics for report in reports]
    names = [name for name in folds[0] if all(name in fold for fold in folds)]
    values = {name: np.array([fold[name] for fold in folds]) for name in names}
    return reports[0].model_copy(
        update={
            "folds": folds,
            "metrics": {name: float(each.mean()) for name, each in values.items()},
            "intervals": {name: _interval(each) for name, each in values.items()},
        }
    )


def _interval(values: Any) -> Interval:  # noqa: ANN401 - float64 [K]
    mean, spread = float(values.mean()), float(values.std(ddof=1))
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * spread / math.sqrt(len(values))
    return mean - reach, mean + reach


class _Aside:
    """The reporter of a training beside the job's own: words with its name before them, the job's stage and progress as they are."""

    def __init__(self, reporter: Reporter, what: str) -> None:
        self._reporter, self._what = reporter, what

    def stage(self, status: JobStatus) -> None:
        """The job stays in its own."""

    def progress(self, *, fraction: float, step: int, steps: int, epoch: int, epochs: int) -> None:  # noqa: ARG002 - `Reporter`
        self._reporter.progress(fraction=0.95, step=step, steps=steps, epoch=epoch, epochs=epochs)  # the job is seen to live

    def event(self, type: str, data: dict[str, Any]) -> None:  # noqa: A002 - the word of the contract
        """Metrics and warnings are the job's own."""

    def log(self, message: str, level: LogLevel = "info") -> None:
        self._reporter.log(f"{self._what}: {message}", level)
