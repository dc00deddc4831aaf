"""Carry out a plan: features, training, evaluation, artifact. The one path that every method takes.

Writes to the cache and into the artifact folder only; the caller publishes, and decides about attempts, leases and threads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import transformers

import headstart
from headstart.engine.artifacts import BackboneRef, Manifest, ParentRef, TaskEntry, write_artifact
from headstart.engine.backbones.loading import Backbone
from headstart.engine.cards import model_card
from headstart.engine.context import Context, Reporter
from headstart.engine.evaluation.scoring import Scoring
from headstart.engine.faults import told_in_words
from headstart.engine.group import group_now
from headstart.engine.judging import judge
from headstart.engine.learning import Learnt, learn
from headstart.engine.memory import forget_peak, peak_bytes
from headstart.engine.phases import prepare_phases
from headstart.engine.precision import Precision
from headstart.engine.preparing import Prepared, choose_precision, preparation_of, read, seen_by_training, with_seen
from headstart.engine.rows import TaskRows
from headstart.engine.tables import DatasetTable, check_tables, tables_of
from headstart.engine.trials import Trials
from headstart.errors import quote
from headstart.specs.fields import View
from headstart.specs.jobs import JobSpec, JobStatus
from headstart.specs.models import ModelTask
from headstart.specs.plans import INPUT, Estimate, Plan
from headstart.specs.reports import TaskReport


class JobOutcome(View):
    """What became of a job; plain JSON."""

    metrics: dict[str, dict[str, float]]
    baselines: dict[str, dict[str, dict[str, float]]]
    report_tasks: dict[str, TaskReport]
    trainable_parameters: int
    artifact_bytes: int
    seconds: dict[str, float]
    """`preparing`, `features` (a part of it), `training`, `evaluating`, `publishing`."""
    cache: dict[str, int]
    precision: dict[str, Any]
    actual: Estimate
    model_tasks: list[ModelTask]


def run_job(
    *,
    job_id: str,
    workspace: str,
    spec: JobSpec,
    plan: Plan,
    backbone: Backbone,
    tables: Sequence[DatasetTable],
    cache_root: Path,
    artifact_folder: Path,
    reporter: Reporter,
    clock: Callable[[], float],
    created_at: str,
    cache_bytes: int | None = None,
) -> JobOutcome:
    """Run a job that is in `preparing` up to an artifact ready to be published.

    Several processes that were joined (`engine.devices`) run it together: all call this alike, and the first writes the artifact.

    Args:
        job_id: goes into the model card.
        tables: the datasets that the plan names; a task whose plan names none learns from the first.
        cache_root: where features and measurements are kept, by workspace.
        artifact_folder: an empty folder to write into.
        clock: seconds, never going back.
        created_at: RFC 3339, for the manifest.
        cache_bytes: budget of the feature cache; what was used least recently goes when it is exceeded. None: no bound.

    Raises:
        EngineFault: `bad_data`, `too_few_classes`, `out_of_memory`, `disk_full`, `diverged`.
        BadInput: `layer_not_found` and the like, when the plan does not fit the backbone.
    """
    context = Context(
        workspace=workspace,
        spec=spec,
        plan=plan,
        backbone=backbone,
        cache_root=cache_root,
        cache_bytes=cache_bytes,
        reporter=reporter,
        clock=clock,
    )
    stages = _Stages(reporter, clock)
    forget_peak()
    with told_in_words():
        reporter.log(_intention(context))
        used, _ = tables_of(tables, plan.tasks)
        check_tables(used)
        rows, (split, *others) = read(context, used)
        precision = choose_precision(context, rows.examples)
        views, examples = seen_by_training(context, rows.examples, split)
        phases = prepare_phases(context, preparation_of(context), examples, precision)
        rows = with_seen(context, rows, phases[0].beginnings)
        stages.enter(JobStatus.TRAINING)
        learnt = learn(context, phases, rows.tasks, split, views)
        done = {
            "step": learnt.steps,
            "steps": learnt.steps,
            "epoch": learnt.epoch,
            "epochs": spec.training.epochs if context.stepped else 1,
        }
        reporter.progress(fraction=0.95, **done)
        stages.enter(JobStatus.EVALUATING)
        judged = judge(context, phases[-1], learnt, rows, split)
        reports, trials = judged.reports, Trials(context, precision)
        if others:
            reports = trials.folds(rows, others, reports)
        if spec.evaluation.single_task and len(rows.tasks) > 1:
            reports = trials.alone(rows, split, reports)
        stages.enter(JobStatus.PUBLISHING)
        manifest = _manifest(context, rows.tasks, judged.scorings, precision.dtype, created_at)
        splits = f"{len(split.train)} to train, {len(split.validation)} to validate, {len(split.test)} to test, {rows.dropped} left out"
        card = model_card(manifest, spec, reports, job_id=job_id, data=used, splits=splits, license_name=backbone.anatomy.license)
        heads = {task.name: head for task, head in zip(spec.tasks, learnt.heads, strict=True)}
        artifact_bytes = write_artifact(artifact_folder, manifest, heads, learnt.delta, card) if group_now().first else 0
        stages.end()
        reporter.progress(fraction=1.0, **done)
        reporter.log(f"The artifact has {artifact_bytes:,} bytes; at most {peak_bytes():,} bytes of memory were in use.")
    return _outcome(manifest, reports, learnt, phases, precision, artifact_bytes, stages.seconds)


class _Stages:
    """The stages from `preparing` on: told as they begin, and timed."""

    def __init__(self, reporter: Reporter, clock: Callable[[], float]) -> None:
        self._reporter, self._clock = reporter, clock
        self._stage, self._since = JobStatus.PREPARING, clock()
        self.seconds: dict[str, float] = {}

    def enter(self, stage: JobStatus) -> None:
        """End the present stage and begin the next."""
        before = self._stage
        self.end()
        self._reporter.stage(stage)
        self._reporter.log(f"{before.capitalize()} took {self.seconds[before]:.1f} s; {stage} begins.")
        self._stage = stage

    def end(self) -> None:
        now = self._clock()
        self.seconds[self._stage], self._since = now - self._since, now


def _intention(context: Context) -> str:
    """What the plan is, in a sentence."""
    plan, learning = context.plan, context.plan.trainable.parameters
    where = "lies below the first layer" if plan.boundary == INPUT else f"is {quote(plan.boundary)}"
    if plan.adapter is not None:
        what = f"{learning:,} parameters in {len(plan.adapter.targets):,} adapters learn"
    else:
        what = f"{learning:,} of its {context.backbone.anatomy.parameters:,} parameters learn" if learning else "only the head learns"
    return f"Preparing {plan.method} on {quote(context.spec.backbone)}: {what}; the boundary {where}."


def _manifest(context: Context, tasks: Sequence[TaskRows], scorings: Sequence[Scoring], dtype: str, created_at: str) -> Manifest:
    parent = context.backbone.parent
    entries = [
        TaskEntry(
            name=each.task.name,
            type=each.task.type,
            problem=each.plan.problem,
            scheme=each.plan.scheme,
            inputs=list(each.task.inputs.given),
            features=each.extras,
            classes=each.plan.classes,
            head=context.spec.method.head.type,
            temperature=scoring.temperature,
            thresholds=None if scoring.thresholds is None else list(scoring.thresholds),
        )
        for each, scoring in zip(tasks, scorings, strict=True)
    ]
    return Manifest.model_validate(
        {
            "format": 1,
            "method": context.plan.method,
            "backbone": BackboneRef(name=context.spec.backbone, sha256=context.backbone.anatomy.sha256),
            "parent": None if parent is None else ParentRef(model=context.plan.parent or "", sha256=parent),
            "adapter": context.plan.adapter,
            "boundary": context.plan.boundary,
            "output": context.output,
            "pooling": context.spec.pooling,
            "dtype": dtype,
            "max_tokens": context.limit,
            "batch_tokens": context.plan.batch_tokens,
            "preprocessing": context.preprocessing,
            "tasks": entries,
            "versions": {"headstart": headstart.__version__, "torch": torch.__version__, "transformers": transformers.__version__},
            "created_at": created_at,
            "files": {},
        }
    )


def _outcome(
    manifest: Manifest,
    reports: Mapping[str, TaskReport],
    learnt: Learnt,
    phases: Sequence[Prepared],
    precision: Precision,
    artifact_bytes: int,
    seconds: Mapping[str, float],
) -> JobOutcome:
    return JobOutcome(
        metrics={name: report.metrics for name, report in reports.items()},
        baselines={name: report.baselines for name, report in reports.items()},
        report_tasks=dict(reports),
        trainable_parameters=sum(
            tensor.size for tensor in (*(each for head in learnt.heads for each in head.values()), *learnt.delta.values())
        ),
        artifact_bytes=artifact_bytes,
        seconds={**seconds, "features": sum(prepared.seconds for prepared in phases)},
        cache={
            "rows_computed": sum(prepared.rows_computed for prepared in phases),
            "rows_reused": sum(prepared.rows_reused for prepared in phases),
        },
        precision=precision.record(),
        actual=Estimate(
            preparing_seconds=seconds["preparing"],
            training_seconds=seconds["training"],
            evaluating_seconds=seconds["evaluating"],
            peak_memory_bytes=peak_bytes(),
            artifact_bytes=artifact_bytes,
        ),
        model_tasks=[
            ModelTask(
                name=task.name,
                type=task.type,
                problem=task.problem,
                inputs=task.inputs,
                features=[extra.column for extra in task.features],
                classes=task.classes,
            )
            for task in manifest.tasks
        ],
    )
