"""What the engine will do for a spec, or why it cannot: (spec, profile, anatomy, hardware) → plan."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from headstart.errors import invalid_field, quote
from headstart.planning.classes import check_classes, lookalikes, ordered_classes, smallest_class
from headstart.planning.columns import label_counts, split_counts, task_columns
from headstart.planning.estimates import CHARS_PER_TOKEN, Work, estimate, mean_tokens, output_width
from headstart.planning.heads import head_parameters
from headstart.planning.layers import find_layer, resolve_layer
from headstart.planning.splits import carve_validation, counts_for_class
from headstart.planning.trainable import Selection, select
from headstart.planning.tuning import Tuning, estimate_tuning
from headstart.specs.backbones import Anatomy, Layer
from headstart.specs.datasets import ColumnProfile, DatasetProfile
from headstart.specs.jobs import Evaluation, FeatureExtraction, FineTuning, JobSpec
from headstart.specs.plans import INPUT, CachePlan, Hardware, Plan, PlanWarning, RowsPlan, TaskPlan, Trainable

BATCH_TOKENS = 1_024
FEW_TEST_ROWS = 100
MAX_PAIRS = 5
FEATURE_BYTES = 4
"""The cache holds float32."""


@dataclass(frozen=True, slots=True)
class _Columns:
    """A task's columns and the rows of each of its classes."""

    text: ColumnProfile
    target: ColumnProfile
    labels: dict[str, int]


def make_plan(
    spec: JobSpec,
    profile: DatasetProfile,
    anatomy: Anatomy,
    hardware: Hardware | None,
    *,
    parent: str | None = None,
    cache_budget_bytes: int,
) -> Plan:
    """The plan of a job.

    Args:
        parent: the model that stands in for the backbone; it has the same anatomy.

    Rows are exact when no row lacks a text and validation is not carved out of the user's own train rows; else it is not
    known which labels are meant, and the numbers of train, validation and test are in proportion.

    Raises:
        BadInput: `column_not_found`, `layer_not_found`, `too_few_classes`, `class_too_small` or `invalid_field`, each with a
            JSON pointer into the spec.
    """
    _check_modality(spec, anatomy)
    _check_head(spec)
    _check_init(spec)
    max_tokens = _max_tokens(spec, anatomy)
    cut = _cut(spec, anatomy)
    columns = [_columns(spec, number, profile) for number in range(len(spec.tasks))]
    first = columns[0]
    rows = _rows(spec.evaluation, first, profile)
    tasks = [_task(spec, number, each, output_width(cut.output, anatomy)) for number, each in enumerate(columns)]
    work = Work(
        rows=rows,
        mean_tokens=mean_tokens(first.text, max_tokens),
        batch_tokens=max(BATCH_TOKENS, max_tokens),
        boundary=cut.output,
        width=output_width(cut.output, anatomy),
        classes=sum(len(task.classes) for task in tasks),
        dtype=spec.training.dtype,
    )
    sizes = {
        "head_parameters": sum(task.head_parameters for task in tasks),
        "label_bytes": sum(len(label.encode()) for task in tasks for label in task.classes),
    }
    if cut.tuned is None:
        estimated = estimate(work, anatomy, hardware, **sizes)
        kept_bytes = (rows.train + rows.validation + rows.test) * work.width * FEATURE_BYTES
    else:
        below = None if cut.tuned.boundary == INPUT else find_layer(cut.tuned.boundary, anatomy)
        tuning = Tuning(below, cut.tuned.parameters, spec.training.epochs)
        estimated = estimate_tuning(work, tuning, anatomy, hardware, **sizes)
        kept_bytes = (
            0 if below is None else int((rows.train + rows.validation + rows.test) * work.mean_tokens * anatomy.width * FEATURE_BYTES)
        )
    return Plan(
        object="plan",
        method=spec.method.type,
        parent=parent,
        boundary=cut.name,
        cache=_cache(cut.name, kept_bytes, cache_budget_bytes),
        trainable=_trainable(cut),
        adapter=None if cut.tuned is None else cut.tuned.adapter,
        tasks=tasks,
        rows=rows,
        dtype=work.dtype,
        batch_tokens=work.batch_tokens,
        estimate=estimated,
        warnings=[
            *_row_warnings(rows, first, profile, spec.evaluation),
            *_text_warnings(first, max_tokens),
            *_label_warnings(columns),
            *(() if cut.tuned is None else cut.tuned.warnings),
        ],
    )


@dataclass(frozen=True, slots=True)
class _Cut:
    """Where the backbone is cut: the boundary, the layer whose output is pooled, and what learns between the two."""

    name: str
    output: Layer
    tuned: Selection | None


def _cut(spec: JobSpec, anatomy: Anatomy) -> _Cut:
    if isinstance(spec.method, FeatureExtraction):
        layer = _boundary(spec.method, anatomy, spec.backbone)
        return _Cut(layer.name, layer, None)
    _check_pooler(spec.method.pooling, anatomy, spec.backbone)
    selection = select(spec.method, anatomy)
    return _Cut(selection.boundary, find_layer(anatomy.default_layer, anatomy), selection)


def _trainable(cut: _Cut) -> Trainable:
    if cut.tuned is None:
        return Trainable(parameters=0, tensors=0, names=[])
    names = [tensor.name for tensor in cut.tuned.tensors]
    return Trainable(parameters=cut.tuned.parameters, tensors=len(names), names=names)


def _check_init(spec: JobSpec) -> None:
    if spec.init == "random" and not (isinstance(spec.method, FineTuning) and spec.method.trainable == ["*"]):
        message = "From random parameters all of the backbone must learn; frozen, they know nothing."
        raise invalid_field("/init", message, 'Use the method {"type": "fine-tuning", "trainable": ["*"]}, or init "pretrained".')


def _check_head(spec: JobSpec) -> None:
    head = spec.method.head
    if isinstance(spec.method, FeatureExtraction) and head.solver is not None and head.dropout > 0:
        message = "A solved head has no dropout."
        raise invalid_field("/method/head/dropout", message, "Set the solver to null to train it by steps, or dropout to 0.")


def _check_modality(spec: JobSpec, anatomy: Anatomy) -> None:
    if anatomy.modality != "text":
        message = f"The backbone {quote(spec.backbone)} takes {anatomy.modality}, and {spec.tasks[0].type} needs text."
        raise invalid_field("/backbone", message, "Choose a backbone whose modality is text.")


def _max_tokens(spec: JobSpec, anatomy: Anatomy) -> int:
    asked = spec.training.max_tokens
    if asked is not None and asked > anatomy.max_tokens:
        message = f"The backbone {quote(spec.backbone)} takes at most {anatomy.max_tokens} tokens, not {asked}."
        raise invalid_field("/training/max_tokens", message, "Leave max_tokens out to use all it takes.")
    return asked or anatomy.max_tokens


def _boundary(method: FeatureExtraction, anatomy: Anatomy, backbone: str) -> Layer:
    name = resolve_layer(method.layer, anatomy)
    _check_pooler(method.pooling, anatomy, backbone)
    if method.pooling == "pooler" and name not in {anatomy.default_layer, "pooler"}:
        message = f"The pooler reads the last hidden state, not the output of {quote(name)}."
        raise invalid_field("/method/pooling", message, "Leave layer out, or pool by mean, first or max.")
    return find_layer(name, anatomy)


def _check_pooler(pooling: str, anatomy: Anatomy, backbone: str) -> None:
    if pooling == "pooler" and not anatomy.has_pooler:
        message = f"The backbone {quote(backbone)} has no pooler."
        raise invalid_field("/method/pooling", message, "Pooling may be mean, first or max.")


def _columns(spec: JobSpec, number: int, profile: DatasetProfile) -> _Columns:
    text, target = task_columns(spec.tasks[number], number, profile)
    labels = label_counts(target, number, profile)
    check_classes(labels, target.name, f"/tasks/{number}/target", smallest=smallest_class(spec.evaluation.split_column))
    return _Columns(text, target, labels)


def _task(spec: JobSpec, number: int, columns: _Columns, width: int) -> TaskPlan:
    task = spec.tasks[number]
    classes = ordered_classes(columns.labels)
    return TaskPlan(
        name=task.name,
        type=task.type,
        problem="single-label",
        classes=classes,
        head_parameters=head_parameters(spec.method.head, width, len(classes)),
        labelled_rows=sum(columns.labels.values()),
    )


def _rows(evaluation: Evaluation, columns: _Columns, profile: DatasetProfile) -> RowsPlan:
    if evaluation.split_column is None:
        if evaluation.validation_size + evaluation.test_size >= 1:
            message = "validation_size and test_size together leave no rows to train on."
            raise invalid_field("/evaluation/test_size", message, "Let their sum be below 1.")
        parts = [counts_for_class(rows, evaluation.validation_size, evaluation.test_size) for rows in columns.labels.values()]
        train, validation, test = (sum(part) for part in zip(*parts, strict=True))
    else:
        counts = split_counts(evaluation.split_column, profile, {columns.text.name, columns.target.name})
        train, validation, test = counts["train"], counts["validation"], counts["test"]
        if not validation:
            train, validation = carve_validation(train, evaluation.validation_size)
    return _without_missing(train, validation, test, columns, profile)


def _without_missing(train: int, validation: int, test: int, columns: _Columns, profile: DatasetProfile) -> RowsPlan:
    """Take out rows that lack a text, and with the user's split those that lack a label, from each part alike."""
    kept = train + validation + test
    lack = columns.text.missing + max(kept - sum(columns.labels.values()), 0)
    usable = max(kept - lack, 0)
    if usable < kept:
        validation, test = (round(part * usable / kept) for part in (validation, test))
        train = max(usable - validation - test, 0)
    return RowsPlan(train=train, validation=validation, test=test, dropped=profile.rows - train - validation - test)


def _cache(boundary: str, size: int, budget: int) -> CachePlan:
    if boundary == INPUT:
        return CachePlan(
            mode="recomputed", reason="training starts at the input: nothing below it stays the same", bytes=0, hit_fraction=0.0
        )
    if size <= budget:
        return CachePlan(mode="cached", reason="fits the budget", bytes=size, hit_fraction=0.0)
    return CachePlan(mode="recomputed", reason=f"needs {size:,} bytes, and the budget is {budget:,}", bytes=size, hit_fraction=0.0)


def _row_warnings(rows: RowsPlan, columns: _Columns, profile: DatasetProfile, evaluation: Evaluation) -> Iterable[PlanWarning]:
    if rows.test < FEW_TEST_ROWS:
        pointer = "/evaluation/test_size" if evaluation.split_column is None else "/evaluation/split_column"
        message = f"The test split has {rows.test} rows; its metrics can be some points off by chance."
        yield PlanWarning(code="few_rows", pointer=pointer, message=message)
    if rows.dropped:
        message = f"{rows.dropped:,} of {profile.rows:,} rows are left out: they have no text, no label or no split."
        if columns.text.missing:
            message += " Rows of each split are estimates until the texts are read."
        yield PlanWarning(code="rows_dropped", pointer=None, message=message)


def _text_warnings(columns: _Columns, max_tokens: int) -> Iterable[PlanWarning]:
    # Half as many characters again as a full window takes: sure to be cut, whatever the tokenizer.
    if columns.text.longest > 1.5 * CHARS_PER_TOKEN * max_tokens:
        message = f"The longest text has {columns.text.longest:,} characters; what goes beyond {max_tokens} tokens is not read."
        yield PlanWarning(code="truncated", pointer="/training/max_tokens", message=message)
    if columns.text.type == "number":
        message = f"The column {quote(columns.text.name)} holds numbers; they are read as text."
        yield PlanWarning(code="numbers_as_text", pointer="/tasks/0/inputs/text", message=message)


def _label_warnings(columns: Sequence[_Columns]) -> Iterable[PlanWarning]:
    for number, each in enumerate(columns):
        pairs = lookalikes(each.labels)
        if pairs:
            shown = "; ".join(f"{quote(one)} and {quote(other)}" for one, other in pairs[:MAX_PAIRS])
            more = f"; and {len(pairs) - MAX_PAIRS:,} more pairs" if len(pairs) > MAX_PAIRS else ""
            message = f"Classes that look alike stay apart: {shown}{more}."
            yield PlanWarning(code="similar_labels", pointer=f"/tasks/{number}/target", message=message)
