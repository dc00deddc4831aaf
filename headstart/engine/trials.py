"""Trainings beside the job's own, for the report alone: the other folds of cross-validation, and each task by itself.

They start from the same features, go the same way, and leave nothing behind. What they reach goes into the task's report.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
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
from headstart.specs.reports import Gain, Interval, TaskReport, bounds

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Trials:
    """What all trainings of a job share."""

    context: Context
    precision: Precision

    def folds(self, rows: Rows, others: Sequence[Split], reports: Mapping[str, TaskReport]) -> dict[str, TaskReport]:
        """The reports with the metrics of all folds; what they say of model and baselines is then said of the means.

        Args:
            others: the splits of the folds after the first.
            reports: of the first fold.
        """
        found, count = [reports], 1 + len(others)
        for number, split in enumerate(others, 2):
            found.append(self._reports(self._beside(f"Fold {number} of {count}"), rows, split))
        return {name: over_folds([each[name] for each in found]) for name in reports}

    def alone(self, rows: Rows, split: Split, reports: Mapping[str, TaskReport]) -> dict[str, TaskReport]:
        """The reports with what each task reaches by itself."""
        found = {}
        for number, task in enumerate(rows.tasks):
            name = task.task.name
            beside = _without_baselines(self._beside(f"{name} alone"))
            training = beside.spec.training.model_copy(update={"balancing": FixedWeights(), "sampling": "proportional"})
            spec = beside.spec.model_copy(update={"tasks": [task.task], "training": training})
            plan = beside.plan.model_copy(update={"tasks": [beside.plan.tasks[number]]})
            single = dataclasses.replace(beside, spec=spec, plan=plan)
            parts = Split(*(task.among(part) for part in (split.train, split.validation, split.test)))
            report = self._reports(single, dataclasses.replace(rows, tasks=[task]), parts)[name]
            found[name] = reports[name].model_copy(update={"single_task": report.metrics})
        return found

    def _beside(self, what: str) -> Context:
        return dataclasses.replace(self.context, reporter=_Aside(self.context.reporter, what))

    def _reports(self, context: Context, rows: Rows, split: Split) -> dict[str, TaskReport]:
        rows = dataclasses.replace(rows, tasks=[task.read_by(split.train) for task in rows.tasks])
        views, examples = seen_by_training(context, rows.examples, split)
        phases = prepare_phases(context, preparation_of(context), examples, self.precision)
        learnt = learn(context, phases, rows.tasks, split, views)
        return judge(context, phases[-1], learnt, rows, split).reports


def _without_baselines(context: Context) -> Context:
    evaluation = context.spec.evaluation.model_copy(update={"baselines": False})
    return dataclasses.replace(context, spec=context.spec.model_copy(update={"evaluation": evaluation}))


def over_folds(reports: Sequence[TaskReport]) -> TaskReport:
    """The first fold's report, with means for the metrics of model and baselines, and intervals and gains by Student's t over the folds."""
    first, folds = reports[0], [report.metrics for report in reports]
    gains: dict[str, dict[str, Gain]] = {}
    for name in first.gains:
        found = _in_all([{metric: gain.value for metric, gain in report.gains.get(name, {}).items()} for report in reports])
        gains[name] = {metric: _gain(metric, values) for metric, values in found.items()}
    return first.model_copy(
        update={
            "folds": folds,
            "metrics": _means(folds),
            "intervals": {name: _interval(values, *bounds(name)) for name, values in _in_all(folds).items()},
            "baselines": {name: _means([report.baselines.get(name, {}) for report in reports]) for name in first.baselines},
            "gains": gains,
        }
    )


def _in_all(folds: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    """By metric that every fold has, the folds' values, float64 [K]."""
    return {name: np.array([fold[name] for fold in folds]) for name in folds[0] if all(name in fold for fold in folds)}


def _means(folds: Sequence[Mapping[str, float]]) -> dict[str, float]:
    return {name: float(values.mean()) for name, values in _in_all(folds).items()}


def _gain(metric: str, values: Any) -> Gain:  # noqa: ANN401 - float64 [K]
    least, most = bounds(metric)
    low, high = _interval(values, least - most, most - least)
    return Gain(value=float(values.mean()), low=low, high=high)


def _interval(values: Any, least: float, most: float) -> Interval:  # noqa: ANN401 - float64 [K]
    mean, spread = float(values.mean()), float(values.std(ddof=1))
    reach = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * spread / math.sqrt(len(values))
    return max(mean - reach, least), min(mean + reach, most)


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
