"""The model card: what an artifact is, for people, as Markdown. Words that came from a user are escaped."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from headstart.engine.artifacts import Manifest
from headstart.engine.tables import DatasetTable
from headstart.errors import quote
from headstart.specs.jobs import JobSpec
from headstart.specs.reports import TaskReport
from headstart.specs.verdict import measured_on, verdict

LIMITS = (
    "The numbers above hold for inputs like those of the test split; their intervals say what another test set of that size could have "
    "given, not what another training would; those of means over folds say what other folds could have given. "
    "What is longer than the backbone takes is cut. "
    "The backbone was trained by others on data not known here; whatever bias it has, the head inherits. "
    "Scores are calibrated on rows of the same data; on other data they may say more or less than they mean."
)

WHAT = {
    "feature-extraction": "A head on frozen features of",
    "fine-tuning": "A head, and new values for some parameters, of",
    "bitfit": "A head, and new values for some biases, of",
    **dict.fromkeys(("lora", "dora", "loha", "lokr", "ia3"), "A head, and adapters that are merged into the weights, of"),
}

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|<>&~-])")


def model_card(
    manifest: Manifest,
    spec: JobSpec,
    reports: Mapping[str, TaskReport],
    *,
    job_id: str,
    data: Sequence[DatasetTable],
    splits: str,
    license_name: str | None,
) -> str:
    """The whole card.

    Args:
        job_id: the job that made it.
        data: what was learnt from.
        splits: how many rows trained, validated and tested, in words.
        license_name: of the backbone.
    """
    made = (
        f"{WHAT[manifest.method]} the backbone {_plain(manifest.backbone.name)} (sha256 `{manifest.backbone.sha256}`), "
        f"made on {manifest.created_at} by the job `{job_id}`, method {manifest.method}."
    )
    how = (
        f"Features: output of `{manifest.output}`, trained from `{manifest.boundary}` on, pooling {manifest.pooling}, {manifest.dtype}"
        f"{'' if manifest.max_tokens is None else f', at most {manifest.max_tokens} tokens of a text'}.\n\n{_code(spec)}"
    )
    known = _plain(license_name) if license_name else "not known"
    sections = [
        "# Model card",
        made,
        *(_task(name, report) for name, report in reports.items()),
        f"## Data\n\n{_data(data)} Rows: {splits}.",
        f"## How it was made\n\n{how}",
        f"## Licence\n\nThe backbone's licence is {known}. No weight that the backbone has already is in this artifact.",
        f"## Limits\n\n{LIMITS}",
    ]
    return "\n\n".join(sections) + "\n"


def _data(tables: Sequence[DatasetTable]) -> str:
    if len(tables) == 1:
        return f"sha256 of the file: `{tables[0].sha256}`."
    return "sha256 of the files: " + ", ".join(f"{_plain(table.name)} `{table.sha256}`" for table in tables) + "."


def _task(name: str, report: TaskReport) -> str:
    classes = f", {len(report.classes)} classes" if report.classes else ""
    of = f" of {_plain(report.dataset)}" if report.dataset else ""
    columns = ["metric", "model", "95 % interval", *map(_plain, report.baselines)]
    table = [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
    for metric, value in report.metrics.items():
        ends = report.intervals.get(metric)
        beside = [_number(metrics.get(metric)) for metrics in report.baselines.values()]
        cells = [_plain(metric), _number(value), "" if ends is None else f"{ends[0]:.4f} to {ends[1]:.4f}", *beside]
        table.append(f"| {' | '.join(cells)} |")
    sections = [
        f"## Task {_plain(name)}",
        _plain_words(verdict(report)),
        f"{measured_on(report).capitalize()}{of}{classes}:",
        "\n".join(table),
        "\n".join(f"- {_plain(baseline)}: {_plain_words(note)}" for baseline, note in report.baseline_notes.items()),
        _calibration(report),
    ]
    return "\n\n".join(section for section in sections if section)


def _calibration(report: TaskReport) -> str:
    """How scores were made to mean what they say, and how far off they still are."""
    told = []
    if report.calibration is not None:
        made = report.calibration
        how = (
            "as the head gives them"
            if made.temperature is None
            else f"of logits divided by {made.temperature:.4f}, found on the validation rows"
        )
        told.append(f"Scores are {how}; expected calibration error {made.ece_after:.4f} (without the temperature {made.ece_before:.4f}).")
    if report.thresholds is not None:
        least, most = min(report.thresholds), max(report.thresholds)
        told.append(f"A label is given from a score of its own on, {least:.2f} to {most:.2f}, chosen on the validation rows.")
    return " ".join(told)


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _code(spec: JobSpec) -> str:
    """The spec as an indented block: no fence that a name in it could close."""
    text = json.dumps(spec.model_dump(mode="json"), indent=2, ensure_ascii=True)
    return "\n".join(f"    {line}" for line in text.splitlines())


def _plain_words(sentence: str) -> str:
    """A sentence of ours, of any length."""
    return _MARKDOWN.sub(r"\\\1", sentence)


def _plain(text: str) -> str:
    return _MARKDOWN.sub(r"\\\1", quote(text)[1:-1])
