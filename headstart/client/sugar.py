"""Whole errands over the plain operations: find, adapt, follow a job, predict for any number of inputs."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from headstart.client.inputs import Given, is_one, weight, written
from headstart.client.progress import Watch, watch
from headstart.errors import BadInput, Conflict, EngineFault, Fault, HeadstartError, NotFound, Unavailable, quote
from headstart.specs.backbones import Backbone
from headstart.specs.datasets import MEDIA_TYPES, Dataset
from headstart.specs.fields import NAME_PATTERN
from headstart.specs.jobs import Event, Job, JobStatus, LogLine
from headstart.specs.pages import MAX_LIMIT, Page
from headstart.specs.predictions import MAX_INPUTS, Prediction, Usage
from headstart.specs.reports import Report

if TYPE_CHECKING:
    from headstart.client.sync import Headstart

T = TypeVar("T")
Waiting = TypeVar("Waiting", Dataset, Backbone)

_SOURCES = ("demo:", "path:", "hub:")
BATCH_CHARS = 8 * 2**20
"""Of the inputs in one request, which a server's limit on bodies should allow; a larger input goes alone."""
_OUTAGE_SECONDS = 60.0
_LEAST_SECONDS = 0.25


def iterate(operation: Callable[..., Page[T]], *arguments: str, limit: int = MAX_LIMIT) -> Iterator[T]:
    """Every row of a list operation, following `next` until the end; pages of `limit` rows are fetched as they are needed."""
    after: str | None = None
    while True:
        page = operation(*arguments, limit=limit, after=after)
        yield from page.data
        if page.next is None:
            return
        after = page.next


def name_of(text: str) -> str:
    """A name that the contract takes, from a file's or folder's."""
    name = re.sub(r"[^a-z0-9._-]+", "-", text.lower()).strip("-._")[:63]
    if not re.fullmatch(NAME_PATTERN, name):
        raise BadInput("invalid_field", f"No name can be made from {quote(text)}.", "Give one with `name`.")
    return name


def ready(client: Headstart, row: Waiting, fetch: Callable[[str], Waiting], timeout: float | None) -> Waiting:
    """Wait until a worker has read a dataset or backbone.

    Raises:
        BadInput: it is invalid, with the worker's code and hint.
        HeadstartError: `still_waiting`, when `timeout` seconds have passed.
    """
    surroundings = client.connection.surroundings
    began = surroundings.clock()
    pause = 0.05
    while row.status not in {"ready", "invalid"}:
        if timeout is not None and surroundings.clock() - began >= timeout:
            hint = "It goes on; is a worker running?"
            raise HeadstartError("still_waiting", f"{row.object.capitalize()} {row.name} is {row.status} after {timeout:g} s.", hint)
        surroundings.sleep(pause)
        pause = min(1.0, pause * 1.5)
        row = fetch(row.id)
    if row.status == "invalid":
        raise _invalid(client, row)
    return row


def _invalid(client: Headstart, row: Dataset | Backbone) -> BadInput:
    faults: tuple[Fault, ...] = ()
    if isinstance(row, Dataset) and row.problem_count:
        problems = client.list_dataset_problems(row.id, limit=5).data
        faults = tuple(Fault(None, problem.message, problem.row) for problem in problems)
    if row.error is None:
        return BadInput("bad_data", f"{row.object.capitalize()} {row.name} is invalid.", faults=faults)
    return BadInput(row.error.code, row.error.message, row.error.hint, faults=faults)


def find_dataset(client: Headstart, reference: str) -> Dataset | None:
    """The dataset with this id, `name` or `name:2`; of several the newest ready one, else the newest. None: there is none."""
    if reference.startswith("ds_"):
        return _or_none(client.get_dataset, reference)
    name, _, version = reference.partition(":")
    named = (row for row in iterate(client.list_datasets) if row.name == name and (not version or str(row.version) == version))
    return _best(named)


def find_backbone(client: Headstart, reference: str) -> Backbone | None:
    """The backbone with this id, name or source; of several the newest ready one, else the newest. None: there is none."""
    if reference.startswith("bb_"):
        return _or_none(client.get_backbone, reference)
    return _best(row for row in iterate(client.list_backbones) if reference in {row.name, row.source})


def _or_none(fetch: Callable[[str], T], reference: str) -> T | None:
    try:
        return fetch(reference)
    except NotFound:
        return None


def _best(rows: Iterable[Waiting]) -> Waiting | None:
    """The first ready one; lists come newest first."""
    newest = None
    for row in rows:
        if row.status == "ready":
            return row
        newest = newest or row
    return newest


def ensure_backbone(client: Headstart, source: str, *, name: str | None = None, timeout: float | None = None) -> Backbone:
    """The ready backbone of a source such as `demo:minilm-l6`, registered if it is absent or was found invalid before."""
    row = find_backbone(client, source)
    if row is not None and row.status == "invalid":
        client.delete_backbone(row.id)
        row = None
    if row is None:
        try:
            row = client.create_backbone(name=name or name_of(re.split(r"[:/]", source.partition("@")[0])[-1]), source=source)
        except Conflict:  # someone else has just registered it
            row = find_backbone(client, source)
            if row is None:
                raise
    return ready(client, row, client.get_backbone, timeout)


def adapt(
    client: Headstart,
    dataset: Dataset | str,
    *,
    text: str | None = None,
    text_pair: str | None = None,
    tokens: str | None = None,
    image: str | None = None,
    audio: str | None = None,
    target: str,
    backbone: str,
    model: str | None = None,
    layer: str | None = None,
    pooling: str | None = None,
    seed: int | None = None,
    idempotency_key: str | None = None,
    **overrides: object,
) -> JobHandle:
    """Start a job that learns column `target` from a column of texts, images or recordings.

    Args:
        client: where.
        dataset: what `upload` gave, or an id or name.
        text: the column that holds the text.
        text_pair: the column of a second text, read with the first.
        tokens: the column that holds lists of words; `target` then holds lists of as many tags.
        image: the column that holds the image.
        audio: the column that holds the recording. When no column is named: the dataset's one column of images or recordings, or of words where
            `target` holds tags, else `text`.
        target: the column that holds the label, or the tags or spans; it also names the task.
        backbone: an id or name, or a source (`demo:…`, `path:…`), which is registered first if it is not there.
        model: gets the new version; None: the dataset's name.
        layer: whose output to take; None: the last hidden state.
        pooling: `mean`, `first`, `max` or `pooler`; None: the server's default.
        seed: of the split; None: the server's default.
        idempotency_key: the same again, with the same arguments, gives the same job again; None: a new one.
        overrides: more of the spec, merged into it: `evaluation={"test_size": 0.3}`.

    Raises:
        BadInput: columns of more than one kind are named.
    """
    columns = _named(text, text_pair, tokens, image, audio)
    if backbone.startswith(_SOURCES):
        backbone = ensure_backbone(client, backbone).id
    row = dataset if isinstance(dataset, Dataset) else None if columns else find_dataset(client, dataset)
    columns = columns or _found(row, target)
    tagged = "tokens" in columns or ("text" in columns and _type_of(target, row) == "tags")
    name = target if re.fullmatch(NAME_PATTERN, target) else "label"
    spec: dict[str, Any] = {
        "backbone": backbone,
        "dataset": dataset.id if isinstance(dataset, Dataset) else dataset,
        "tasks": [
            {
                "name": name,
                "type": "token-classification" if tagged else f"{next(iter(columns))}-classification",
                "inputs": columns,
                "target": target,
            }
        ],
    }
    if model is not None:
        spec["model"] = model
    method = {key: value for key, value in {"layer": layer, "pooling": pooling}.items() if value is not None}
    if method:
        spec["method"] = {"type": "feature-extraction"} | method
    if seed is not None:
        spec["training"] = {"seed": seed}
    return JobHandle(client, client.create_job(_merged(spec, overrides), idempotency_key=idempotency_key))


def _named(text: str | None, text_pair: str | None, tokens: str | None, image: str | None, audio: str | None) -> dict[str, str]:
    """The inputs of a task: column by name; empty when none is named."""
    if text_pair is not None and text is None:
        raise BadInput("invalid_field", "`text_pair` is given without `text`.", "Name the column of the first text too.")
    given = {"text": text, "tokens": tokens, "image": image, "audio": audio}
    kinds = {name: column for name, column in given.items() if column is not None}
    if len(kinds) > 1:
        raise BadInput("invalid_field", f"{' and '.join(f'`{name}`' for name in kinds)} are given.", "A task reads one of them.")
    return kinds if text_pair is None else kinds | {"text_pair": text_pair}


def _found(row: Dataset | None, target: str) -> dict[str, str]:
    """The inputs of a task whose columns nobody named."""
    columns = [] if row is None or row.columns is None else row.columns
    wanted = ("tokens",) if _type_of(target, row) == "tags" else MEDIA_TYPES
    found: list[tuple[str, str]] = [(column.type, column.name) for column in columns if column.type in wanted]
    return dict(found) if len(found) == 1 else {"text": "text"}


def _type_of(column: str, row: Dataset | None) -> str | None:
    columns = [] if row is None or row.columns is None else row.columns
    return next((each.type for each in columns if each.name == column), None)


def _merged(spec: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """`overrides` laid over `spec`, dictionary by dictionary; anything else replaces."""
    merged = dict(spec)
    for key, value in overrides.items():
        below = merged.get(key)
        merged[key] = _merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return merged


@dataclass(slots=True)
class JobHandle:
    """A job and the client it came from; `job` is how it was when last seen."""

    client: Headstart
    job: Job

    @property
    def id(self) -> str:
        return self.job.id

    @property
    def status(self) -> JobStatus:
        return self.job.status

    def refresh(self, wait: int | None = None) -> Job:
        self.job = self.client.get_job(self.id, wait=wait)
        return self.job

    def wait(self, progress: bool = True, timeout: float | None = None) -> Job:  # noqa: FBT001, FBT002 - `wait(False)` reads well enough
        """Follow the job to its end and give it back.

        Args:
            progress: show a bar on a terminal, or now and then a line elsewhere, on stderr.
            timeout: seconds; None: as long as it takes.

        Raises:
            EngineFault: it failed (the job's own code and hint) or was cancelled (`cancelled`).
            HeadstartError: `still_running`, when the time is up; the job goes on.
            Unavailable: the server was away for a minute.
        """
        with watch(self.id, show=progress, clock=self.client.connection.surroundings.clock) as watcher:
            self._follow(watcher, timeout)
        if self.job.status is JobStatus.SUCCEEDED:
            return self.job
        if self.job.error is not None:
            raise EngineFault(self.job.error.code, self.job.error.message, self.job.error.hint)
        raise EngineFault(self.job.status.value, f"Job {self.id} was {self.job.status.value}.")

    def _follow(self, watcher: Watch, timeout: float | None) -> None:
        clock, sleep = self.client.connection.surroundings.clock, self.client.connection.surroundings.sleep
        began = seen = clock()
        watcher.show(self.job)
        while not self.job.status.terminal:
            left = math.inf if timeout is None else began + timeout - clock()
            if left <= 0:
                hint = f"It goes on: `headstart jobs wait {self.id}`."
                raise HeadstartError("still_running", f"Job {self.id} is {self.job.status.value} after {timeout:g} s.", hint)
            asked = clock()
            try:
                self.refresh(wait=max(1, math.ceil(min(watcher.poll_seconds, left))))
                seen = clock()
            except Unavailable:  # a restart of the server does not end the job
                if clock() - seen > _OUTAGE_SECONDS:
                    raise
            watcher.show(self.job)
            if not self.job.status.terminal:  # a server that is stopping answers at once
                sleep(max(0.0, _LEAST_SECONDS - (clock() - asked)))

    def cancel(self) -> Job:
        self.job = self.client.cancel_job(self.id)
        return self.job

    def events(self) -> list[Event]:
        return list(iterate(self.client.list_job_events, self.id))

    def logs(self) -> list[LogLine]:
        return list(iterate(self.client.list_job_logs, self.id))

    def report(self) -> Report:
        return self.client.get_job_report(self.id)

    def report_page(self) -> str:
        """The report as one file of HTML that needs nothing else."""
        return self.client.get_job_report_page(self.id)

    def model(self) -> ModelHandle:
        """The model version this job made; waits for it, without a display, if need be."""
        result = self.job.result or self.wait(progress=False).result
        if result is None:
            raise EngineFault("internal", f"Job {self.id} succeeded without a result.")
        return ModelHandle(self.client, f"{result.model}:{result.version}")


@dataclass(frozen=True, slots=True)
class ModelHandle:
    """A model by reference: `name`, `name:3` or `name@prod`."""

    client: Headstart
    reference: str

    def predict(self, inputs: Given | Iterable[Given], *, top_k: int | None = None, tasks: Sequence[str] | None = None) -> Prediction:
        """Answers in the order of `inputs`, of any number: sent in batches, all to the version that answered the first.

        An input is a text, a file (bytes, `Path`, or opened), or an object of what the model reads. Files are read as they are sent.
        """
        batches = _batches([inputs] if is_one(inputs) else inputs)  # type: ignore[list-item, arg-type]
        first = self.client.predict(self.reference, next(batches, []), top_k=top_k, tasks=tasks)
        pinned, data, tokens = f"{first.model}:{first.version}", list(first.data), first.usage.tokens
        for rows in batches:
            batch = self.client.predict(pinned, rows, top_k=top_k, tasks=tasks)
            data += batch.data
            tokens += batch.usage.tokens
        return first.model_copy(update={"data": data, "usage": Usage(inputs=len(data), tokens=tokens)})


def _batches(inputs: Iterable[Given]) -> Iterator[list[Given]]:
    """Inputs as they are written, as many together as one request takes."""
    batch: list[Given] = []
    held = 0
    for each in inputs:
        row = written(each)
        size = weight(row)
        if batch and (len(batch) == MAX_INPUTS or held + size > BATCH_CHARS):
            yield batch
            batch, held = [], 0
        batch.append(row)
        held += size
    if batch:
        yield batch
