"""What the engine will do for a spec, or why it cannot: (spec, profile, anatomy, hardware) → plan."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from headstart.errors import invalid_field, quote
from headstart.planning.augmentation import check_augmentation, fixed_views, is_fresh, reason_to_keep
from headstart.planning.balancing import check_balancing
from headstart.planning.classes import lookalikes
from headstart.planning.columns import TaskColumns, split_counts, task_columns
from headstart.planning.comparing import comparing_seconds, with_comparing
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
from headstart.planning.evaluation import check_evaluation, evaluation_warnings
from headstart.planning.extras import plan_extras
from headstart.planning.heads import check_class_weights, check_head, check_problem, check_rows, head_warnings
from headstart.planning.history import corrected, correction_by
from headstart.planning.layers import resolve_layer
from headstart.planning.relationship import Learnt, relationship_of
from headstart.planning.schedule import Step, spans, steps_of
from headstart.planning.splits import Counted, carve_validation, count_rows
from headstart.planning.tagging import tag_warnings
from headstart.planning.targets import TargetPlan, plan_target
from headstart.planning.trainable import Selection
from headstart.planning.tuning import Tuning, estimate_tuning
from headstart.specs.backbones import Anatomy, Layer, TextInput
from headstart.specs.datasets import DatasetProfile
from headstart.specs.fields import DType
from headstart.specs.history import PastJob
from headstart.specs.jobs import Evaluation, FeatureExtraction, FineTuning, JobSpec
from headstart.specs.plans import FEATURE_BYTES, INPUT, CachePlan, Extra, Hardware, Plan, PlanWarning, RowsPlan, TaskPlan, Trainable, joined

BATCH_TOKENS = 1_024
FEW_TEST_ROWS = 100
MAX_PAIRS = 5


@dataclass(frozen=True, slots=True)
class _Columns:
    """A task's columns, and what its head learns and reads."""

    of_task: TaskColumns
    target: TargetPlan
    extras: list[Extra]


def make_plan(
    spec: JobSpec,
    profile: DatasetProfile,
    anatomy: Anatomy,
    hardware: Hardware | None,
    *,
    parent: str | None = None,
    source: Learnt | None = None,
    cache_budget_bytes: int,
    history: Sequence[PastJob] = (),
) -> Plan:
    """The plan of a job.

    Args:
        parent: the model that stands in for the backbone; it has the same anatomy.
        source: what that model has learnt.
        history: jobs of the same kind, by which the estimate is corrected.

    Rows are exact when no row lacks an input and validation is not carved out of the user's own train rows; else it is not
    known which labels are meant, and the numbers of train, validation and test are in proportion.

    Raises:
        BadInput: `column_not_found`, `layer_not_found`, `too_few_classes`, `class_too_small` or `invalid_field`, each with a
            JSON pointer into the spec.
    """
    _check_tasks(spec)
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
    _check_reads(spec)
    max_tokens = _max_tokens(spec, anatomy)
    cut = _cut(spec, anatomy)
    columns = [_columns(spec, number, profile) for number in range(len(spec.tasks))]
    first = columns[0]
    check_class_weights(spec, {label for each in columns for label in each.target.classes})
    rows, counted = _rows(spec.evaluation, columns, profile)
    width = sum(pooled_width(layer, spec.pooling, anatomy) for layer in cut.outputs)
    words = mean_words(first.of_task.inputs[0])
    answers = rows.train * max(1, fixed_views(spec))
    fitted = [round(answers * words) if task.reads == "words" else answers for task in spec.tasks]
    check_rows(spec, min(fitted))
    tasks = [_task(spec, number, each, width, fitted[number]) for number, each in enumerate(columns)]
    work = Work(
        rows=rows,
        mean_units=mean_units(first.of_task.inputs, anatomy, max_tokens),
        batch_tokens=max(BATCH_TOKENS, max_tokens or 0),
        boundary=cut.output,
        width=width,
        classes=sum(task.outputs for task in tasks),
        dtype=spec.training.dtype,
        head_steps=_head_steps(spec, rows.train),
        views=fixed_views(spec),
        passes=spec.training.epochs if is_fresh(spec) else 0,
        words=words if _reads_words(spec) else 1.0,
    )
    sizes = {
        "head_parameters": sum(task.head_parameters for task in tasks),
        "label_bytes": sum(len(label.encode()) for task in tasks for label in task.classes),
    }
    if cut.tuned is None:
        estimated = estimate(work, anatomy, hardware, **sizes)
        kept_dtype: DType = "float32"  # a solver asks for more than 8 bits
        kept = work.kept_rows * work.width
        if _reads_words(spec):  # every token's vector is kept
            kept = round(work.kept_rows * sum(kept_numbers(layer, anatomy, work.mean_units) for layer in cut.outputs))
    else:
        tunings = _tunings(cut.steps, anatomy, spec)
        estimated = estimate_tuning(work, tunings, anatomy, hardware, **sizes)
        kept_dtype = kept_in(hardware, work.dtype)
        cached = {tuning.boundary.name: tuning.boundary for tuning in tunings if tuning.boundary is not None}
        kept = int(work.kept_rows * sum(kept_numbers(layer, anatomy, work.mean_units) for layer in cached.values()))
    seconds = comparing_seconds(tasks, rows, spec.tasks[0].modality, baselines=spec.evaluation.baselines)
    estimated, correction = with_comparing(estimated, seconds), correction_by(history)
    return Plan(
        object="plan",
        method=spec.method.type,
        parent=parent,
        boundary=cut.name,
        cache=_cache(spec, cut.name, kept * FEATURE_BYTES[kept_dtype], kept_dtype, cache_budget_bytes),
        trainable=_trainable(cut),
        phases=[step.phase for step in cut.steps] if len(cut.steps) > 1 else [],
        adapter=None if cut.tuned is None else cut.tuned.adapter,
        relationship=relationship_of(
            spec.relationship,
            Learnt("", spec.dataset.partition(":")[0], {label for task in tasks for label in task.classes}),
            source,
            tasks=len(tasks),
            pretrained=spec.init == "pretrained",
        ),
        tasks=tasks,
        rows=rows,
        dtype=work.dtype,
        batch_tokens=work.batch_tokens,
        estimate=corrected(estimated, correction),
        correction=correction,
        warnings=[
            *_row_warnings(rows, first, profile, spec.evaluation),
            *_missing_warnings(tasks, profile),
            *evaluation_warnings(spec.evaluation, counted, profile),
            *_text_warnings(spec, first, max_tokens),
            *_label_warnings(columns),
            *_tag_warnings(spec, columns, profile),
            *head_warnings(spec, max(fitted), work.width, what="words" if _reads_words(spec) else "rows"),
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
        layers = _pooled_layers(spec, spec.method, anatomy)
        return _Cut(joined([layer.name for layer in layers]), layers, [])
    top = anatomy.layer(anatomy.default_layer)
    _check_pooling(spec, top, anatomy)
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


def _pooled_layers(spec: JobSpec, method: FeatureExtraction, anatomy: Anatomy) -> list[Layer]:
    """In forward order, each once."""
    if method.layers is None:
        return [_pooled_layer(spec, method.layer, anatomy, "/method/layer")]
    if method.layer is not None:
        raise invalid_field("/method/layers", "layer and layers are given at once.", "Name all in layers, and leave layer out.")
    named = [_pooled_layer(spec, name, anatomy, f"/method/layers/{number}") for number, name in enumerate(method.layers)]
    return sorted({layer.name: layer for layer in named}.values(), key=lambda layer: layer.index)


def _pooled_layer(spec: JobSpec, name: str | None, anatomy: Anatomy, pointer: str) -> Layer:
    layer = anatomy.layer(resolve_layer(name, anatomy, pointer))
    _check_pooling(spec, layer, anatomy)
    if spec.pooling == "pooler" and layer.name not in {anatomy.default_layer, "pooler"}:
        message = f"The pooler reads the last hidden state, not the output of {quote(layer.name)}."
        raise invalid_field("/method/pooling", message, "Leave layer out, or pool by mean, first or max.")
    if _reads_words(spec) and "T" not in layer.axes:
        message = f"What {quote(layer.name)} gives is one vector for a text, and token classification needs one for each token."
        raise invalid_field(pointer, message, f"Choose another layer, or leave it out for {quote(anatomy.default_layer)}.")
    return layer


def _check_pooling(spec: JobSpec, layer: Layer, anatomy: Anatomy) -> None:
    if spec.pooling == "pooler" and not anatomy.has_pooler:
        raise invalid_field("/method/pooling", f"The backbone {quote(spec.backbone)} has no pooler.", "Pooling may be mean, first or max.")
    if spec.pooling == "flatten" and "T" in layer.output:
        message = f"What {quote(layer.name)} gives is as long as its input, and cannot be laid out as one vector."
        raise invalid_field("/method/pooling", message, "Pooling may be mean, first or max.")


def _reads_words(spec: JobSpec) -> bool:
    return any(task.reads == "words" for task in spec.tasks)


def _check_reads(spec: JobSpec) -> None:
    """See that the pooling suits what the heads read."""
    examples = [task for task in spec.tasks if task.reads == "example"]
    if not examples and spec.pooling != "none":
        message = f"Token classification reads the vector of each word, and the pooling {spec.pooling} would make one vector of a text."
        raise invalid_field("/method/pooling", message, "Leave pooling out.")
    if examples and spec.pooling == "none":
        message = f"The head of {quote(examples[0].name)} reads one vector, and the pooling none makes none."
        raise invalid_field("/method/pooling", message, "Leave pooling out, or choose mean, first or max.")
    if examples and len(examples) < len(spec.tasks) and spec.pooling not in {"mean", "first", "max"}:
        message = f"Beside token classification texts are pooled from the vectors of their tokens, not by {spec.pooling}."
        raise invalid_field("/method/pooling", message, "Leave pooling out, or choose mean, first or max.")


def _columns(spec: JobSpec, number: int, profile: DatasetProfile) -> _Columns:
    task = spec.tasks[number]
    columns = task_columns(task, number, profile)
    target = plan_target(task, number, columns, profile, split_column=spec.evaluation.split_column)
    check_problem(spec.method.head, target.problem, spec.training, number)
    taken = {column.name for column in (*columns.inputs, *columns.targets)}
    return _Columns(columns, target, plan_extras(task, number, profile, taken))


def _task(spec: JobSpec, number: int, columns: _Columns, width: int, train_rows: int) -> TaskPlan:
    task, target = spec.tasks[number], columns.target
    made = TaskPlan(
        name=task.name,
        type=task.type,
        problem=target.problem,
        classes=target.classes,
        scheme=target.scheme,
        features=columns.extras,
        head_parameters=0,
        labelled_rows=target.labelled,
    )
    read = width + sum(extra.width for extra in columns.extras)
    return made.model_copy(update={"head_parameters": spec.method.head.parameters(read, made.outputs, train_rows)})


def _check_tasks(spec: JobSpec) -> None:
    """See that tasks can be told apart, and read the same."""
    first = spec.tasks[0]
    for number, task in enumerate(spec.tasks[1:], start=1):
        if task.name in {other.name for other in spec.tasks[:number]}:
            message = f"Two tasks are called {quote(task.name)}; answers and metrics are keyed by a task's name."
            raise invalid_field(f"/tasks/{number}/name", message, "Give each task a name of its own.")
        if task.modality == first.modality and task.inputs.given != first.inputs.given:
            message = f"The tasks {quote(first.name)} and {quote(task.name)} read other columns, and one pass of the backbone serves all."
            raise invalid_field(f"/tasks/{number}/inputs", message, "Let all tasks read the same columns.")


def _rows(evaluation: Evaluation, columns: Sequence[_Columns], profile: DatasetProfile) -> tuple[RowsPlan, Counted]:
    """Without the user's split the strata of the first task are dealt alike; rows that only other tasks have labels for are one more."""
    first, others = columns[0], len(columns) > 1
    targets = {column.name for each in columns for column in each.of_task.targets}
    check_evaluation(evaluation, profile, targets)
    labelled = profile.rows if others else first.target.labelled
    if evaluation.split_column is None:
        strata = list(first.target.strata.values())
        lacking = max(profile.rows - sum(strata), 0) if others else 0
        exact = not lacking and first.target.problem != "multi-label"
        counted = count_rows(evaluation, [*strata, lacking] if lacking else strata, exact=exact)
    else:
        counts = split_counts(evaluation.split_column, profile, targets | {column.name for column in first.of_task.inputs})
        train, validation, test = counts["train"], counts["validation"], counts["test"]
        if not validation:
            train, validation = carve_validation(train, evaluation.validation_size)
        counted = Counted(train, validation, test)
    return _without_missing(counted, labelled, first.of_task.missing, profile), counted


def _without_missing(counted: Counted, labelled: int, missing: int, profile: DatasetProfile) -> RowsPlan:
    """Take out rows that lack an input, and with the user's split those that lack a label, from each part alike."""
    train, validation, test = counted.train, counted.validation, counted.test
    kept = train + validation + test
    usable = max(kept - missing - max(kept - labelled, 0), 0)
    if usable < kept:
        validation, test = (round(part * usable / kept) for part in (validation, test))
        train = max(usable - validation - test, 0)
    return RowsPlan(train=train, validation=validation, test=test, dropped=profile.rows - train - validation - test)


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


def _row_warnings(rows: RowsPlan, columns: _Columns, profile: DatasetProfile, evaluation: Evaluation) -> Iterable[PlanWarning]:
    if rows.test < FEW_TEST_ROWS:
        pointer = "/evaluation/test_size" if evaluation.split_column is None else "/evaluation/split_column"
        message = f"The test split has {rows.test} rows; its metrics can be some points off by chance."
        yield PlanWarning(code="few_rows", pointer=pointer, message=message)
    if rows.dropped:
        message = f"{rows.dropped:,} of {profile.rows:,} rows are left out: they have no input, no label or no split."
        if columns.of_task.missing:
            message += " Rows of each split are estimates until the inputs are read."
        yield PlanWarning(code="rows_dropped", pointer=None, message=message)


def _missing_warnings(tasks: Sequence[TaskPlan], profile: DatasetProfile) -> Iterable[PlanWarning]:
    """With several tasks a row without a label of one may serve another."""
    for number, task in enumerate(tasks if len(tasks) > 1 else ()):
        lacking = profile.rows - task.labelled_rows
        if lacking:
            message = f"{lacking:,} of {profile.rows:,} rows have no label for {quote(task.name)}; they count for the other tasks alone."
            yield PlanWarning(code="labels_missing", pointer=f"/tasks/{number}/target", message=message)


def _text_warnings(spec: JobSpec, columns: _Columns, max_tokens: int | None) -> Iterable[PlanWarning]:
    if max_tokens is None:
        return
    for name, column in zip(spec.tasks[0].inputs.given, columns.of_task.inputs, strict=True):
        # Half as many characters again as a full window takes: sure to be cut, whatever the tokenizer.
        if column.longest > 1.5 * CHARS_PER_TOKEN * max_tokens:
            message = f"The longest text has {column.longest:,} characters; what goes beyond {max_tokens} tokens is not read."
            yield PlanWarning(code="truncated", pointer="/training/max_tokens", message=message)
        if column.type == "number":
            message = f"The column {quote(column.name)} holds numbers; they are read as text."
            yield PlanWarning(code="numbers_as_text", pointer=f"/tasks/0/inputs/{name}", message=message)


def _tag_warnings(spec: JobSpec, columns: Sequence[_Columns], profile: DatasetProfile) -> Iterable[PlanWarning]:
    for number, (task, each) in enumerate(zip(spec.tasks, columns, strict=True)):
        if task.reads == "words":
            yield from tag_warnings([*each.of_task.inputs, *each.of_task.targets], number, profile)


def _label_warnings(columns: Sequence[_Columns]) -> Iterable[PlanWarning]:
    for number, each in enumerate(columns):
        pairs = lookalikes(dict.fromkeys(each.target.classes, 1))
        if pairs:
            shown = "; ".join(f"{quote(one)} and {quote(other)}" for one, other in pairs[:MAX_PAIRS])
            more = f"; and {len(pairs) - MAX_PAIRS:,} more pairs" if len(pairs) > MAX_PAIRS else ""
            message = f"Classes that look alike stay apart: {shown}{more}."
            yield PlanWarning(code="similar_labels", pointer=f"/tasks/{number}/target", message=message)
