"""What the engine will do for a spec, or why it cannot: (spec, profile, anatomy, hardware) → plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from headstart.errors import invalid_field, quote
from headstart.planning.augmentation import check_augmentation, fixed_views, is_fresh, reason_to_keep
from headstart.planning.balancing import check_balancing
from headstart.planning.classes import lookalikes
from headstart.planning.columns import task_columns
from headstart.planning.comparing import comparing_seconds, with_comparing, with_trials
from headstart.planning.estimates import (
    AUTO_BATCH,
    CHARS_PER_TOKEN,
    Work,
    estimate,
    kept_in,
    kept_numbers,
    mean_units,
    mean_words,
    pooled_width,
)
from headstart.planning.extras import plan_extras
from headstart.planning.heads import check_class_weights, check_head, check_problem, check_rows, head_warnings
from headstart.planning.history import corrected, correction_by
from headstart.planning.pooling import check_pooling, check_reads, pooled_layers, reads_words
from headstart.planning.relationship import Learnt, relationship_of
from headstart.planning.rows import Columns, Part, of_dataset, plan_parts, row_warnings, rows_in_all
from headstart.planning.schedule import Step, spans, steps_of
from headstart.planning.sources import Source, naming, sources_of
from headstart.planning.tagging import tag_warnings
from headstart.planning.targets import plan_target
from headstart.planning.trainable import Selection
from headstart.planning.tuning import Tuning, estimate_tuning
from headstart.specs.backbones import Anatomy, Layer, TextInput
from headstart.specs.datasets import DatasetProfile
from headstart.specs.fields import DType
from headstart.specs.history import PastJob
from headstart.specs.jobs import FeatureExtraction, FineTuning, JobSpec
from headstart.specs.plans import FEATURE_BYTES, INPUT, CachePlan, Hardware, Plan, PlanWarning, TaskPlan, Trainable, joined

BATCH_TOKENS = 1_024
MAX_PAIRS = 5

_NONE_NAMED: Mapping[str, Source] = {}


def make_plan(
    spec: JobSpec,
    profile: DatasetProfile,
    anatomy: Anatomy,
    hardware: Hardware | None,
    *,
    dataset: str | None = None,
    named: Mapping[str, Source] = _NONE_NAMED,
    parent: str | None = None,
    source: Learnt | None = None,
    cache_budget_bytes: int,
    history: Sequence[PastJob] = (),
) -> Plan:
    """The plan of a job.

    Args:
        profile: of the job's dataset.
        dataset: its name with its version; None: as the spec has it.
        named: the datasets that tasks name, by their references.
        parent: the model that stands in for the backbone; it has the same anatomy.
        source: what that model has learnt.
        history: jobs of the same kind, by which the estimate is corrected.

    Rows are exact when no row lacks an input and validation is not carved out of the user's own train rows; else it is not
    known which labels are meant, and the numbers of train, validation and test are in proportion.

    Raises:
        BadInput: `column_not_found`, `layer_not_found`, `dataset_not_found`, `too_few_classes`, `class_too_small` or `invalid_field`,
            each with a JSON pointer into the spec.
    """
    sources = sources_of(spec, Source(dataset or spec.dataset, profile), named)
    _check_tasks(spec, sources)
    _check_modality(spec, anatomy)
    check_head(spec)
    check_balancing(
        spec.training.balancing,
        spec.training.sampling,
        [task.weight for task in spec.tasks],
        stepped=not isinstance(spec.method, FeatureExtraction) or spec.method.head.stepped,
    )
    check_augmentation(spec)
    _check_init(spec)
    check_reads(spec)
    max_tokens = _max_tokens(spec, anatomy)
    cut = _cut(spec, anatomy)
    columns = [_columns(spec, number, sources) for number in range(len(spec.tasks))]
    check_class_weights(spec, {label for each in columns for label in each.target.classes})
    parts = plan_parts(spec.evaluation, sources, columns)
    rows = rows_in_all(parts)
    width = sum(pooled_width(layer, spec.pooling, anatomy) for layer in cut.outputs)
    fitted = {number: _fitted(spec, number, part) for part in parts for number in part.tasks}
    check_rows(spec, min(fitted.values()))
    tasks = [_task(spec, number, sources[number].name, each, width, fitted[number]) for number, each in enumerate(columns)]
    work = Work(
        rows=rows,
        mean_units=_mean_units(parts, anatomy, max_tokens),
        batch_tokens=max(BATCH_TOKENS, max_tokens or 0),
        boundary=cut.output,
        width=width,
        classes=sum(task.outputs for task in tasks),
        dtype=spec.training.dtype,
        head_steps=_head_steps(spec, rows.train),
        views=fixed_views(spec),
        passes=spec.training.epochs if is_fresh(spec) else 0,
        words=_mean_words(spec, parts),
    )
    sizes = {
        "head_parameters": sum(task.head_parameters for task in tasks),
        "label_bytes": sum(len(label.encode()) for task in tasks for label in task.classes),
    }
    if cut.tuned is None:
        estimated = estimate(work, anatomy, hardware, **sizes)
        kept_dtype: DType = "float32"  # a solver asks for more than 8 bits
        kept = work.kept_rows * work.width
        if reads_words(spec):  # every token's vector is kept
            kept = round(work.kept_rows * sum(kept_numbers(layer, anatomy, work.mean_units) for layer in cut.outputs))
    else:
        tunings = _tunings(cut.steps, anatomy, spec)
        estimated = estimate_tuning(work, tunings, anatomy, hardware, **sizes)
        kept_dtype = kept_in(hardware, work.dtype)
        cached = {tuning.boundary.name: tuning.boundary for tuning in tunings if tuning.boundary is not None}
        kept = int(work.kept_rows * sum(kept_numbers(layer, anatomy, work.mean_units) for layer in cached.values()))
    cache, correction = _cache(spec, cut.name, kept * FEATURE_BYTES[kept_dtype], kept_dtype, cache_budget_bytes), correction_by(history)
    whole, plain = (
        corrected(with_comparing(estimated, _comparing_seconds(spec, parts, tasks, baselines=wanted)), correction)
        for wanted in (spec.evaluation.baselines, False)
    )
    shares = [part.rows.train / max(rows.train, 1) for part in parts for _ in part.tasks]
    return Plan(
        object="plan",
        method=spec.method.type,
        parent=parent,
        boundary=cut.name,
        cache=cache,
        trainable=_trainable(cut),
        phases=[step.phase for step in cut.steps] if len(cut.steps) > 1 else [],
        adapter=None if cut.tuned is None else cut.tuned.adapter,
        relationship=relationship_of(
            spec.relationship,
            Learnt("", {each.family for each in sources}, {label for task in tasks for label in task.classes}),
            source,
            tasks=len(tasks),
            pretrained=spec.init == "pretrained",
        ),
        tasks=tasks,
        rows=rows,
        dtype=work.dtype,
        batch_tokens=work.batch_tokens,
        estimate=with_trials(whole, plain, spec.evaluation, shares, anew=cache.mode == "recomputed"),
        correction=correction,
        warnings=[
            *_data_warnings(spec, parts, max_tokens),
            *_label_warnings(columns),
            *_tag_warnings(spec, columns, sources),
            *head_warnings(spec, _kept(parts, fitted), work.width, what="words" if reads_words(spec) else "rows"),
            *(() if cut.tuned is None else cut.tuned.warnings),
        ],
    )


@dataclass(frozen=True, slots=True)
class _Cut:
    """Where the backbone is cut: the boundary, the layer whose output is pooled, and what learns between the two, from which epoch on."""

    name: str
    outputs: list[Layer]
    steps: list[Step]

    @property
    def output(self) -> Layer:
        """The highest of them."""
        return self.outputs[-1]

    @property
    def tuned(self) -> Selection | None:
        """All that learns in the end."""
        return self.steps[-1].selection if self.steps else None


def _cut(spec: JobSpec, anatomy: Anatomy) -> _Cut:
    if isinstance(spec.method, FeatureExtraction):
        layers = pooled_layers(spec, spec.method, anatomy)
        return _Cut(joined([layer.name for layer in layers]), layers, [])
    top = anatomy.layer(anatomy.default_layer)
    check_pooling(spec, top, anatomy)
    steps = steps_of(spec, anatomy)
    return _Cut(steps[-1].selection.boundary, [top], steps)


def _tunings(steps: Sequence[Step], anatomy: Anatomy, spec: JobSpec) -> list[Tuning]:
    sparing = not isinstance(spec.method, FineTuning)
    made = []
    for step, span in zip(steps, spans([step.epoch for step in steps], spec.training.epochs), strict=True):
        chosen = step.selection
        boundary = None if chosen.boundary == INPUT else anatomy.layer(chosen.boundary)
        made.append(Tuning(boundary, chosen.parameters, len(span), sparing))
    return made


def _comparing_seconds(spec: JobSpec, parts: Sequence[Part], tasks: Sequence[TaskPlan], *, baselines: bool) -> float:
    """Of all datasets."""
    modality = spec.tasks[0].modality
    return sum(comparing_seconds([tasks[number] for number in part.tasks], part.rows, modality, baselines=baselines) for part in parts)


def _head_steps(spec: JobSpec, train_rows: int) -> int:
    if not spec.method.head.stepped:
        return 0
    size = AUTO_BATCH if spec.training.batch_size == "auto" else spec.training.batch_size
    return spec.training.epochs * -(-train_rows // size)


def _trainable(cut: _Cut) -> Trainable:
    if cut.tuned is None:
        return Trainable(parameters=0, tensors=0, names=[])
    names = [tensor.name for tensor in cut.tuned.tensors]
    return Trainable(parameters=cut.tuned.parameters, tensors=len(names), names=names)


def _check_init(spec: JobSpec) -> None:
    if spec.init == "random" and not (isinstance(spec.method, FineTuning) and spec.method.trainable == ["*"]):
        message = "From random parameters all of the backbone must learn; frozen, they know nothing."
        raise invalid_field("/init", message, 'Use the method {"type": "fine-tuning", "trainable": ["*"]}, or init "pretrained".')


def _check_modality(spec: JobSpec, anatomy: Anatomy) -> None:
    for task in spec.tasks:
        if anatomy.modality != task.modality:
            message = f"The backbone {quote(spec.backbone)} takes {anatomy.modality}, and {task.type} needs {task.modality}."
            raise invalid_field("/backbone", message, f"Choose a backbone whose modality is {task.modality}.")


def _max_tokens(spec: JobSpec, anatomy: Anatomy) -> int | None:
    """The most tokens of a text; None for other inputs."""
    asked = spec.training.max_tokens
    if not isinstance(anatomy.input, TextInput):
        if asked is not None:
            raise invalid_field("/training/max_tokens", f"The backbone {quote(spec.backbone)} takes no tokens.", "Leave max_tokens out.")
        return None
    if asked is not None and asked > anatomy.input.max_tokens:
        message = f"The backbone {quote(spec.backbone)} takes at most {anatomy.input.max_tokens} tokens, not {asked}."
        raise invalid_field("/training/max_tokens", message, "Leave max_tokens out to use all it takes.")
    return asked or anatomy.input.max_tokens


def _columns(spec: JobSpec, number: int, sources: Sequence[Source]) -> Columns:
    task, profile = spec.tasks[number], sources[number].profile
    with naming(sources[number], sources):
        columns = task_columns(task, number, profile)
        target = plan_target(task, number, columns, profile, split_column=spec.evaluation.split_column)
        check_problem(spec.method.head, target.problem, spec.training, number)
        taken = {column.name for column in (*columns.inputs, *columns.targets)}
        return Columns(columns, target, plan_extras(task, number, profile, taken))


def _fitted(spec: JobSpec, number: int, part: Part) -> int:
    """Answers that a task's head learns from: rows in all their views, or words."""
    answers = part.rows.train * max(1, fixed_views(spec))
    return round(answers * mean_words(part.columns[0].of_task.inputs[0])) if spec.tasks[number].reads == "words" else answers


def _kept(parts: Sequence[Part], fitted: Mapping[int, int]) -> int:
    """Answers of all datasets."""
    return sum(max(fitted[number] for number in part.tasks) for part in parts)


def _mean_words(spec: JobSpec, parts: Sequence[Part]) -> float:
    """Vectors that heads read of an average example of all datasets: of its words where those are read, else one."""
    read = [any(spec.tasks[number].reads == "words" for number in part.tasks) for part in parts]
    words = [mean_words(part.columns[0].of_task.inputs[0]) if each else 1.0 for part, each in zip(parts, read, strict=True)]
    return fmean(words, [part.source.profile.rows for part in parts])


def _mean_units(parts: Sequence[Part], anatomy: Anatomy, max_tokens: int | None) -> float:
    """Units of an average example of all datasets."""
    units = [mean_units(part.columns[0].of_task.inputs, anatomy, max_tokens) for part in parts]
    return fmean(units, [part.source.profile.rows for part in parts])


def _task(spec: JobSpec, number: int, dataset: str, columns: Columns, width: int, train_rows: int) -> TaskPlan:
    task, target = spec.tasks[number], columns.target
    made = TaskPlan(
        name=task.name,
        type=task.type,
        dataset=dataset,
        problem=target.problem,
        classes=target.classes,
        scheme=target.scheme,
        features=columns.extras,
        head_parameters=0,
        labelled_rows=target.labelled,
    )
    read = width + sum(extra.width for extra in columns.extras)
    return made.model_copy(update={"head_parameters": spec.method.head.parameters(read, made.outputs, train_rows)})


def _check_tasks(spec: JobSpec, sources: Sequence[Source]) -> None:
    """See that tasks can be told apart, and that those of one dataset read the same."""
    for number, task in enumerate(spec.tasks):
        first = spec.tasks[[source.name for source in sources].index(sources[number].name)]
        if task.name in {other.name for other in spec.tasks[:number]}:
            message = f"Two tasks are called {quote(task.name)}; answers and metrics are keyed by a task's name."
            raise invalid_field(f"/tasks/{number}/name", message, "Give each task a name of its own.")
        if task.modality == first.modality and task.inputs.given != first.inputs.given:
            message = f"The tasks {quote(first.name)} and {quote(task.name)} read other columns, and one pass of the backbone serves all."
            raise invalid_field(f"/tasks/{number}/inputs", message, "Let all tasks of one dataset read the same columns.")


def _cache(spec: JobSpec, boundary: str, size: int, dtype: DType, budget: int) -> CachePlan:
    mode: Literal["cached", "recomputed"] = "recomputed"
    if is_fresh(spec):
        reason = "each epoch sees other pixels"
    elif boundary == INPUT and not size:
        reason = "training starts at the input: nothing below it stays the same"
    elif size <= budget:
        mode, reason = "cached", reason_to_keep(spec)
    else:
        reason = f"needs {size:,} bytes, and the budget is {budget:,}"
    return CachePlan(mode=mode, reason=reason, bytes=size, dtype=dtype, hit_fraction=0.0)


def _data_warnings(spec: JobSpec, parts: Sequence[Part], max_tokens: int | None) -> Iterable[PlanWarning]:
    names = [task.name for task in spec.tasks]
    for part in parts:
        for warning in (*row_warnings(spec.evaluation, part, names), *_text_warnings(spec, part, max_tokens)):
            yield of_dataset(warning, part, parts)


def _text_warnings(spec: JobSpec, part: Part, max_tokens: int | None) -> Iterable[PlanWarning]:
    if max_tokens is None:
        return
    first = part.tasks[0]
    for name, column in zip(spec.tasks[first].inputs.given, part.columns[0].of_task.inputs, strict=True):
        # Half as many characters again as a full window takes: sure to be cut, whatever the tokenizer.
        if column.longest > 1.5 * CHARS_PER_TOKEN * max_tokens:
            message = f"The longest text has {column.longest:,} characters; what goes beyond {max_tokens} tokens is not read."
            yield PlanWarning(code="truncated", pointer="/training/max_tokens", message=message)
        if column.type == "number":
            message = f"The column {quote(column.name)} holds numbers; they are read as text."
            yield PlanWarning(code="numbers_as_text", pointer=f"/tasks/{first}/inputs/{name}", message=message)


def _tag_warnings(spec: JobSpec, columns: Sequence[Columns], sources: Sequence[Source]) -> Iterable[PlanWarning]:
    for number, (task, each) in enumerate(zip(spec.tasks, columns, strict=True)):
        if task.reads == "words":
            yield from tag_warnings([*each.of_task.inputs, *each.of_task.targets], number, sources[number].profile)


def _label_warnings(columns: Sequence[Columns]) -> Iterable[PlanWarning]:
    for number, each in enumerate(columns):
        pairs = lookalikes(dict.fromkeys(each.target.classes, 1))
        if pairs:
            shown = "; ".join(f"{quote(one)} and {quote(other)}" for one, other in pairs[:MAX_PAIRS])
            more = f"; and {len(pairs) - MAX_PAIRS:,} more pairs" if len(pairs) > MAX_PAIRS else ""
            message = f"Classes that look alike stay apart: {shown}{more}."
            yield PlanWarning(code="similar_labels", pointer=f"/tasks/{number}/target", message=message)
