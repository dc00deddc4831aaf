"""What a job has learnt, judged: how logits become answers by the validation rows, then each task's report by the test rows.

The test rows are looked at once everything that goes into the artifact is fixed.

Axes: N rows, K numbers that a head gives.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from headstart.engine.comparing import raw_baseline
from headstart.engine.context import Context
from headstart.engine.evaluation.baselines import Baseline
from headstart.engine.evaluation.reports import Trial
from headstart.engine.evaluation.scoring import Scoring
from headstart.engine.group import group_now
from headstart.engine.heads import HEADS, HeadTensors
from headstart.engine.learning import Learnt, features_of
from headstart.engine.preparing import Prepared
from headstart.engine.rows import Rows, TaskRows
from headstart.engine.splits import Split
from headstart.engine.tasks.tagged import for_each
from headstart.engine.vectors import InOrder, through
from headstart.errors import quote
from headstart.specs.reports import TaskReport
from headstart.specs.tasks import Reads

Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Judged:
    reports: dict[str, TaskReport]
    """By task, on the test rows."""
    scorings: list[Scoring]
    """In the order of the tasks."""


def judge(context: Context, prepared: Prepared, learnt: Learnt, rows: Rows, split: Split) -> Judged:
    """Metrics of validation and test become events, and sentences of the log."""
    judging = _Judging(context, learnt, rows, split)
    logits = judging.logits(split.validation, features_of(context, prepared, split.validation))
    scorings = [judging.scoring(task, each) for task, each in zip(rows.tasks, logits, strict=True)]
    for task, each, scoring in zip(rows.tasks, logits, scorings, strict=True):
        if len(each):
            judging.validated(task, each, scoring)
    logits = judging.logits(split.test, features_of(context, prepared, split.test))
    reports = [judging.tested(task, each, scoring) for task, each, scoring in zip(rows.tasks, logits, scorings, strict=True)]
    return Judged({task.task.name: report for task, report in zip(rows.tasks, reports, strict=True)}, scorings)


@dataclass(frozen=True, slots=True)
class _Judging:
    context: Context
    learnt: Learnt
    rows: Rows
    split: Split

    def logits(self, rows: Numbers, vectors: Mapping[Reads, InOrder]) -> list[NDArray[np.float64]]:
        """Of each task, for those of `rows` that have its answer, or for their words, [N, K]; `vectors` are of all of them."""
        made = HEADS[self.context.spec.method.head.type].logits

        def of(task: TaskRows, head: HeadTensors) -> NDArray[np.float64]:
            if not task.labelled[rows].any():
                return np.empty((0, task.plan.outputs))
            read = task.read(vectors[task.reads], rows, for_each(task.labelled, task.targets, rows))
            return through(partial(made, head), read)

        return [of(task, head) for task, head in zip(self.rows.tasks, self.learnt.heads, strict=True)]

    def scoring(self, task: TaskRows, logits: NDArray[np.float64]) -> Scoring:
        scoring = task.kind.scoring(logits, task.targets[task.among(self.split.validation)])
        if scoring.temperature is not None:
            chosen = "" if scoring.thresholds is None else f"; labels are given from scores of {_span(scoring.thresholds)} on"
            self.context.reporter.log(f"The validation rows set the temperature{self._of(task)} to {scoring.temperature:.3f}{chosen}.")
        return scoring

    def validated(self, task: TaskRows, logits: NDArray[np.float64], scoring: Scoring) -> None:
        labelled = task.among(self.split.validation)
        trial = Trial("validation", self.rows.numbers[labelled], self._guesses(task, labelled), resamples=0)
        self._tell(task, task.kind.evaluate(logits, task.targets[labelled], task.plan.classes, trial, scoring))

    def tested(self, task: TaskRows, logits: NDArray[np.float64], scoring: Scoring) -> TaskReport:
        labelled = task.among(self.split.test)
        baselines = self._guesses(task, labelled)
        if self.context.spec.evaluation.baselines and task.kind.problem is not None and group_now().first:
            baselines.append(raw_baseline(self.context, task, task.kind.problem, self.rows.examples, self.split))
        trial = Trial("test", self.rows.numbers[labelled], baselines, seed=self.context.spec.training.seed)
        report = task.kind.evaluate(logits, task.targets[labelled], task.plan.classes, trial, scoring)
        self._tell(task, report)
        return report.model_copy(update={"dataset": task.plan.dataset})

    def _guesses(self, task: TaskRows, rows: Numbers) -> list[Baseline]:
        return task.kind.guesses(task.targets[task.among(self.split.train)], task.targets[rows])

    def _tell(self, task: TaskRows, report: TaskReport) -> None:
        for metric, value in report.metrics.items():
            self.context.metric(task.task.name, report.split, metric, value, step=self.learnt.steps, epoch=self.learnt.epoch)
        compared = "; ".join(f"{name}: {_listed(metrics)}" for name, metrics in report.baselines.items())
        split = report.split.capitalize()
        self.context.reporter.log(f"{split}, {report.rows:,} rows{self._of(task)}: {_listed(report.metrics)} (beside {compared}).")

    def _of(self, task: TaskRows) -> str:
        return f" of {quote(task.task.name)}" if len(self.rows.tasks) > 1 else ""


def _listed(metrics: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4f}" for name, value in metrics.items())


def _span(thresholds: Sequence[float]) -> str:
    return f"{min(thresholds):.2f} to {max(thresholds):.2f}"
