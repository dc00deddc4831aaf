"""Answers as tables for people. Text from the wire is shown as text: no markup, no control characters."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from headstart.specs.backbones import Backbone, Layer
from headstart.specs.cache import Cache
from headstart.specs.datasets import Dataset, RowProblem
from headstart.specs.jobs import Event, Job, LogLine, Metric
from headstart.specs.keys import Key, NewKey
from headstart.specs.models import Model, ModelVersion
from headstart.specs.pages import Page
from headstart.specs.predictions import Classification, Entities, Output, Prediction, Value
from headstart.specs.problems import Failure
from headstart.specs.reports import TRIVIAL, Report, TaskReport
from headstart.specs.suggestions import Suggestions
from headstart.specs.verdict import verdict
from headstart.specs.versions import DatasetDiff
from headstart.specs.workspaces import Workspace

Cell = object


def plain(text: str) -> str:
    """Text whose control and bidi characters are escaped, so that it cannot drive a terminal."""
    return "".join(
        c if unicodedata.category(c) not in {"Cc", "Cf", "Cs", "Zl", "Zp"} else c.encode("unicode_escape").decode() for c in text
    )


def table(headings: Sequence[str], rows: Sequence[Sequence[Cell]]) -> Table:
    """A table in which long cells fold, never vanish; None is a dash."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        made.add_column(heading, overflow="fold")
    for row in rows:
        made.add_row(*(_cell(value) for value in row))
    return made


def facts(pairs: Sequence[tuple[str, Cell]]) -> Table:
    """Two columns: what, and its value."""
    made = Table(box=None, pad_edge=False, show_header=False)
    made.add_column(style="bold", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in pairs:
        made.add_row(name, _cell(value))
    return made


def _cell(value: Cell) -> Text:
    if value is None:
        return Text("-")
    return Text(f"{value:.4g}" if isinstance(value, float) else plain(str(value)))


def _failure(error: Failure | None) -> str | None:
    return None if error is None else " ".join(part for part in (f"{error.code}: {error.message}", error.hint) if part)


def _metrics(metrics: dict[str, dict[str, float]]) -> str:
    return "; ".join(f"{task}: " + ", ".join(f"{name} {value:.4f}" for name, value in values.items()) for task, values in metrics.items())


def datasets(page: Page[Dataset]) -> RenderableType:
    rows = [(row.id, row.name, row.version, row.status, row.rows, row.bytes, row.problem_count) for row in page.data]
    return table(("id", "name", "version", "status", "rows", "bytes", "problems"), rows)


def dataset(row: Dataset) -> RenderableType:
    head = facts(
        [
            ("id", row.id),
            ("name", f"{row.name}:{row.version}"),
            ("status", row.status),
            ("rows", row.rows),
            ("dropped rows", row.dropped_rows),
            ("bytes", row.bytes),
            ("problems", row.problem_count),
            ("parent", None if row.parent is None else f"{row.parent.dataset} ({row.parent.how})"),
            ("error", _failure(row.error)),
        ]
    )
    columns = [(column.name, column.type, column.missing, column.distinct) for column in row.columns or []]
    return Group(head, "", table(("column", "type", "missing", "distinct"), columns)) if columns else head


def diff(row: DatasetDiff) -> RenderableType:
    columns, rows = row.columns, row.rows
    head = facts(
        [
            ("dataset", row.dataset),
            ("against", row.against),
            ("rows", f"{rows.before} before, {rows.after} after"),
            ("columns added", ", ".join(columns.added) or None),
            ("columns removed", ", ".join(columns.removed) or None),
            ("columns retyped", ", ".join(f"{each.column}: {each.before} to {each.after}" for each in columns.retyped) or None),
        ]
    )
    shown = [
        ("added", rows.added, _numbers(row.added)),
        ("removed", rows.removed, _numbers(row.removed)),
        ("changed", rows.changed, _numbers([each.after for each in row.changed])),
        ("unchanged", rows.unchanged, _numbers([each.after for each in row.unchanged])),
    ]
    parts: list[RenderableType] = [head, "", table(("rows", "count", "numbers"), shown)]
    for name, counts in row.labels.items():
        labels = dict.fromkeys([*counts.before, *counts.after])
        parts += [
            "",
            table((name, "before", "after"), [(label, counts.before.get(label, 0), counts.after.get(label, 0)) for label in labels]),
        ]
    return Group(*parts) if row.next is None else Group(*parts, "", Text(f"More: --after {row.next}"))


def _numbers(rows: Sequence[int]) -> str:
    return ", ".join(str(row) for row in rows)


def suggestions(found: Suggestions) -> RenderableType:
    types = [(each.column, each.type, each.confidence, each.reason) for each in found.types]
    tasks = [(json.dumps(each.task.model_dump(), ensure_ascii=False), each.confidence, each.reason) for each in found.tasks]
    columns = [
        (role, each.column, each.confidence, each.reason)
        for role, each in (("split", found.split_column), ("group", found.group_column))
        if each is not None
    ]
    parts: list[RenderableType] = [table(("column", "type", "sure", "because"), types), "", table(("task", "sure", "because"), tasks)]
    if columns:
        parts += ["", table(("used as", "column", "sure", "because"), columns)]
    if found.warnings:
        parts += ["", table(("warning", "column", "message"), [(each.code, each.column, each.message) for each in found.warnings])]
    return Group(*parts)


def problems(page: Page[RowProblem]) -> RenderableType:
    return table(("row", "column", "code", "message"), [(row.row, row.column, row.code, row.message) for row in page.data])


def backbones(page: Page[Backbone]) -> RenderableType:
    rows = [(row.id, row.name, row.source, row.status, row.architecture, row.parameters, row.license) for row in page.data]
    return table(("id", "name", "source", "status", "architecture", "parameters", "license"), rows)


def backbone(row: Backbone) -> RenderableType:
    return facts(
        [
            ("id", row.id),
            ("name", row.name),
            ("source", row.source),
            ("status", row.status),
            ("architecture", row.architecture),
            ("license", row.license),
            ("parameters", row.parameters),
            ("bytes", row.bytes),
            ("width", row.width),
            ("layers", row.layer_count),
            ("sha256", row.sha256),
            ("error", _failure(row.error)),
        ]
    )


def layers(page: Page[Layer]) -> RenderableType:
    rows = [
        (row.index, row.name, " × ".join(str(size) for size in row.output), row.parameters, "yes" if row.boundary else "no")
        for row in page.data
    ]
    return table(("index", "layer", "output", "parameters", "boundary"), rows)


def jobs(page: Page[Job]) -> RenderableType:
    rows = [
        (row.id, row.status.value, f"{row.progress.fraction:.0%}", _version(row), row.created_at.isoformat(timespec="seconds"))
        for row in page.data
    ]
    return table(("id", "status", "done", "model", "created"), rows)


def _version(row: Job) -> str | None:
    return f"{row.result.model}:{row.result.version}" if row.result is not None else row.spec.model


def job(row: Job) -> RenderableType:
    seconds = ", ".join(f"{name} {value:.1f}" for name, value in row.seconds.model_dump().items())
    return facts(
        [
            ("id", row.id),
            ("status", f"{row.status.value} ({row.progress.fraction:.0%})"),
            ("attempt", f"{row.attempt} of {row.max_attempts}"),
            ("model", _version(row)),
            ("metrics", None if row.result is None else _metrics(row.result.metrics)),
            ("without", None if row.result is None else _trivial(row.result.baselines)),
            ("seconds", seconds),
            ("error", _failure(row.error)),
        ]
    )


def _trivial(baselines: dict[str, dict[str, dict[str, float]]]) -> str:
    """What is reached by a guess that looks at no input."""
    return _metrics({f"{task}, {name}": kinds[name] for task, kinds in baselines.items() for name in kinds if name in TRIVIAL})


def events(page: Page[Event]) -> RenderableType:
    return table(("seq", "at", "attempt", "type", "data"), [_event(row) for row in page.data])


def event_line(row: Event) -> Text:
    """The same without a table, for rows that come one by one."""
    return _line(_event(row))


def _event(row: Event) -> Sequence[Cell]:
    data = ", ".join(f"{name}={value}" for name, value in row.data.items())
    return row.seq, row.at.isoformat(timespec="milliseconds"), row.attempt, row.type, data


def logs(page: Page[LogLine]) -> RenderableType:
    return table(("seq", "at", "attempt", "level", "message"), [_log(row) for row in page.data])


def log_line(row: LogLine) -> Text:
    return _line(_log(row))


def _log(row: LogLine) -> Sequence[Cell]:
    return row.seq, row.at.isoformat(timespec="milliseconds"), row.attempt, row.level, row.message


def _line(cells: Sequence[Cell]) -> Text:
    return Text("  ").join(_cell(value) for value in cells)


def metrics(page: Page[Metric]) -> RenderableType:
    rows = [(row.epoch, row.step, row.task, row.split, row.name, row.value) for row in page.data]
    return table(("epoch", "step", "task", "split", "metric", "value"), rows)


def report(row: Report) -> RenderableType:
    parts: list[RenderableType] = [
        facts([("job", row.job), ("method", row.method), ("trainable", row.trainable_parameters), ("artifact bytes", row.artifact_bytes)])
    ]
    for name, task in row.tasks.items():
        parts += ["", Text(f"{name}: {verdict(task)}"), "", _measured(task)]
        if task.per_class:
            classes = [(line.label, line.precision, line.recall, line.f1, line.support) for line in task.per_class]
            parts += ["", table(("class", "precision", "recall", "f1", "support"), classes)]
    return Group(*parts)


def _measured(task: TaskReport) -> RenderableType:
    """Each metric with its interval, beside that of each baseline."""
    rows = []
    for metric, value in task.metrics.items():
        low, high = task.intervals.get(metric, (None, None))
        rows.append((metric, value, low, high, *(metrics.get(metric) for metrics in task.baselines.values())))
    of = f"mean of {len(task.folds)} folds" if task.folds else f"{task.rows:,} {task.split} rows"
    return table((of, "model", "from", "to", *task.baselines), rows)


def models(page: Page[Model]) -> RenderableType:
    rows = [(row.name, row.latest, _aliases(row), row.created_at.isoformat(timespec="seconds")) for row in page.data]
    return table(("name", "latest", "aliases", "created"), rows)


def model(row: Model) -> RenderableType:
    return facts([("id", row.id), ("name", row.name), ("latest", row.latest), ("aliases", _aliases(row))])


def _aliases(row: Model) -> str | None:
    return ", ".join(f"{alias}={version}" for alias, version in row.aliases.items()) or None


def versions(page: Page[ModelVersion]) -> RenderableType:
    rows = [
        (
            f"{row.model}:{row.version}",
            row.backbone,
            ", ".join(task.name for task in row.tasks),
            row.artifact_bytes,
            _metrics(row.metrics),
            row.job,
        )
        for row in page.data
    ]
    return table(("version", "backbone", "tasks", "bytes", "metrics", "job"), rows)


def prediction(row: Prediction, inputs: Sequence[object]) -> RenderableType:
    """A line for each input and task, with as many scores as were asked for."""
    rows = [
        (
            text if len(text) <= 60 else text[:59] + "…",
            task,
            *_answer(output),
        )
        for text, answer in zip((str(value) for value in inputs), row.data, strict=False)
        for task, output in answer.outputs.items()
    ]
    return table(("input", "task", "answer", "score", "scores"), rows)


def _answer(output: Output) -> tuple[str, float | None, str]:
    """The answer, how sure it is, and every score; a number has neither, and entities have one each."""
    if isinstance(output, Value):
        return f"{output.value:.4g}", None, ""
    if isinstance(output, Entities):
        found = output.entities
        return ", ".join(f"{each.text} {each.label}" for each in found), None, ", ".join(f"{each.score:.3f}" for each in found)
    scores = ", ".join(f"{each.label} {each.score:.3f}" for each in output.scores)
    return (output.label, output.score, scores) if isinstance(output, Classification) else (", ".join(output.labels), None, scores)


def keys(page: Page[Key]) -> RenderableType:
    rows = [
        (row.id, row.name, row.prefix + "…", ", ".join(row.scopes), row.workspace, row.expires_at, row.last_used_at, row.revoked_at)
        for row in page.data
    ]
    return table(("id", "name", "key", "scopes", "workspace", "expires", "last used", "revoked"), rows)


def new_key(row: NewKey) -> RenderableType:
    return facts([("id", row.id), ("name", row.name), ("scopes", ", ".join(row.scopes)), ("workspace", row.workspace), ("key", row.key)])


def cache(row: Cache) -> RenderableType:
    parts: list[RenderableType] = []
    for machine in row.machines:
        size = f"{machine.bytes:,} bytes of {machine.budget_bytes:,}, in {machine.key_count:,} keys"
        served = f"{machine.rows_reused:,} reused, {machine.rows_computed:,} computed"
        rate = None if machine.hit_rate is None else f"{machine.hit_rate:.1%}"
        parts += [facts([("machine", machine.host), ("size", size), ("rows", served), ("hit rate", rate)]), ""]
        keys = [
            (
                key.workspace,
                key.backbone,
                key.boundary,
                key.pooling,
                key.storage,
                key.rows,
                key.bytes,
                key.last_used_at.isoformat(timespec="seconds"),
            )
            for key in machine.keys
        ]
        parts += [table(("workspace", "backbone", "boundary", "pooling", "kept in", "rows", "bytes", "last used"), keys), ""]
    return Group(*parts) if parts else Text("No worker has told of a cache yet.")


def workspaces(page: Page[Workspace]) -> RenderableType:
    return table(("id", "name", "created"), [(row.id, row.name, row.created_at.isoformat(timespec="seconds")) for row in page.data])


def workspace(row: Workspace) -> RenderableType:
    return facts([("id", row.id), ("name", row.name)])
