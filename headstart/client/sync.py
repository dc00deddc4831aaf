"""`Headstart`, the synchronous client: one plain method for each operation of the API, and the errands of `sugar`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, TypeVar

from headstart.client import backbones, cache, datasets, health, jobs, keys, models, sending, streams, sugar, uploading, uploads, workspaces
from headstart.client.credentials import find_credentials
from headstart.client.http import Connection, Surroundings
from headstart.client.inputs import Given
from headstart.client.protocol import Retries
from headstart.specs.backbones import Backbone, Layer
from headstart.specs.cache import Cache
from headstart.specs.datasets import Dataset, How, Profile, Row, RowProblem
from headstart.specs.jobs import Event, Job, JobSpec, LogLine, Metric
from headstart.specs.keys import Key, NewKey, Scope
from headstart.specs.models import Model, ModelVersion
from headstart.specs.pages import MAX_LIMIT, Page
from headstart.specs.plans import Plan
from headstart.specs.predictions import Prediction
from headstart.specs.reports import Report
from headstart.specs.suggestions import Suggestions
from headstart.specs.uploads import Upload
from headstart.specs.versions import DatasetDiff
from headstart.specs.workspaces import Workspace

T = TypeVar("T")


class Headstart:
    """A client of one server.

    Every method may raise the errors of `headstart.errors`, with the server's `code`, words and hint; `Unavailable` when there is no
    answer. A POST that makes or changes a row carries an idempotency key, so that trying again never does a thing twice.

    Args:
        url: the server's address; None: `HEADSTART_URL`, else what `headstart up` wrote into its home.
        key: an API key; None: `HEADSTART_KEY`, else the one in that file if it belongs to `url`.
        home: the home of an installation on this machine whose credentials to take.
        timeout: seconds without a byte before a request is given up.
        retries: how long to keep trying.
        surroundings: sleep, clock, randomness and transport, for tests.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        home: str | Path | None = None,
        timeout: float = 60.0,
        retries: Retries | None = None,
        surroundings: Surroundings | None = None,
    ) -> None:
        credentials = find_credentials(url, key, None if home is None else Path(home))
        self.connection = Connection(
            credentials, timeout=timeout, retries=retries or Retries(), surroundings=surroundings or Surroundings()
        )

    def __repr__(self) -> str:
        return f"Headstart({self.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    @property
    def url(self) -> str:
        return self.connection.url

    def close(self) -> None:
        self.connection.close()

    # datasets

    def create_dataset(
        self,
        file: str | Path | BinaryIO | None = None,
        *,
        name: str,
        upload: str | None = None,
        format: str | None = None,  # noqa: A002 - the contract's word
        schema: Mapping[str, str] | None = None,
        mode: str | None = None,
        idempotency_key: str | None = None,
    ) -> Dataset:
        """Send a file, streamed from disk, or name a finished upload; it is `pending` until it was read. `mode`: see `uploading.upload`."""
        more = {"upload": upload, "format": format, "schema": schema, "mode": mode, "idempotency_key": idempotency_key}
        return self.connection.send(datasets.create_dataset(file, name=name, **more))  # type: ignore[arg-type]

    def create_dataset_version(
        self,
        dataset: str,
        file: str | Path | BinaryIO | None = None,
        *,
        how: How = "append",
        key: str | None = None,
        upload: str | None = None,
        rows: Sequence[Mapping[str, Any]] | None = None,
        format: str | None = None,  # noqa: A002
        schema: Mapping[str, str] | None = None,
        mode: str | None = None,
        idempotency_key: str | None = None,
    ) -> Dataset:
        """The next version of a dataset: its rows and those of a file, a finished upload or `rows`, added or in place of others by `key`."""
        more = {"key": key, "upload": upload, "rows": rows, "format": format, "schema": schema, "mode": mode}
        return self.connection.send(datasets.create_dataset_version(dataset, file, how=how, idempotency_key=idempotency_key, **more))  # type: ignore[arg-type]

    def get_dataset_diff(
        self, dataset: str, *, against: str | None = None, key: str | None = None, limit: int | None = None, after: str | None = None
    ) -> DatasetDiff:
        """What changed from an earlier version, by default the one it was made from; a page of row numbers of each kind."""
        return self.connection.send(datasets.get_dataset_diff(dataset, against=against, key=key, limit=limit, after=after))

    def list_datasets(self, *, limit: int | None = None, after: str | None = None) -> Page[Dataset]:
        return self.connection.send(datasets.list_datasets(limit=limit, after=after))

    def get_dataset(self, dataset: str) -> Dataset:
        return self.connection.send(datasets.get_dataset(dataset))

    def list_dataset_rows(self, dataset: str, *, limit: int | None = None, after: str | None = None) -> Page[Row]:
        return self.connection.send(datasets.list_dataset_rows(dataset, limit=limit, after=after))

    def get_dataset_profile(self, dataset: str) -> Profile:
        return self.connection.send(datasets.get_dataset_profile(dataset))

    def get_dataset_suggestions(self, dataset: str) -> Suggestions:
        """What the dataset could be used for; `tasks[0].task` goes into a job's spec as it is."""
        return self.connection.send(datasets.get_dataset_suggestions(dataset))

    def list_dataset_problems(self, dataset: str, *, limit: int | None = None, after: str | None = None) -> Page[RowProblem]:
        return self.connection.send(datasets.list_dataset_problems(dataset, limit=limit, after=after))

    def delete_dataset(self, dataset: str) -> None:
        self.connection.send(datasets.delete_dataset(dataset))

    # resumable uploads

    def create_upload(self, *, size_bytes: int, metadata: Mapping[str, str] | None = None, idempotency_key: str | None = None) -> Upload:
        """Announce a file; `send_file` does all of it."""
        return self.connection.send(uploads.create_upload(size_bytes=size_bytes, metadata=metadata, idempotency_key=idempotency_key))

    def list_uploads(self, *, limit: int | None = None, after: str | None = None) -> Page[Upload]:
        return self.connection.send(uploads.list_uploads(limit=limit, after=after))

    def get_upload(self, upload: str) -> Upload:
        return self.connection.send(uploads.get_upload(upload))

    def patch_upload(self, upload: str, content: bytes, *, offset: int) -> None:
        self.connection.send(uploads.patch_upload(upload, content, offset=offset))

    def delete_upload(self, upload: str) -> None:
        self.connection.send(uploads.delete_upload(upload))

    def send_file(self, file: str | Path | BinaryIO, *, tell: sending.Told | None = None) -> Upload:
        """Send a file in pieces, on from where an earlier try was broken off; `tell` hears the bytes that are there, and all there will be."""
        return uploading.send_file(self, file, tell or sending.quietly)

    # backbones

    def create_backbone(self, *, name: str, source: str, idempotency_key: str | None = None) -> Backbone:
        """Register a backbone; it is `pending` until a worker has read it."""
        return self.connection.send(backbones.create_backbone(name=name, source=source, idempotency_key=idempotency_key))

    def list_backbones(self, *, limit: int | None = None, after: str | None = None) -> Page[Backbone]:
        return self.connection.send(backbones.list_backbones(limit=limit, after=after))

    def get_backbone(self, backbone: str) -> Backbone:
        return self.connection.send(backbones.get_backbone(backbone))

    def list_backbone_layers(self, backbone: str, *, limit: int | None = None, after: str | None = None) -> Page[Layer]:
        return self.connection.send(backbones.list_backbone_layers(backbone, limit=limit, after=after))

    def delete_backbone(self, backbone: str) -> None:
        self.connection.send(backbones.delete_backbone(backbone))

    # jobs

    def create_plan(self, spec: JobSpec | Mapping[str, Any]) -> Plan:
        """What a job of this spec would do, and how long it would take; starts nothing."""
        return self.connection.send(jobs.create_plan(spec))

    def create_job(self, spec: JobSpec | Mapping[str, Any], *, idempotency_key: str | None = None) -> Job:
        """Start a job from a whole spec; waits while its dataset or backbone is still being read. `adapt` writes the spec for you."""
        return self.connection.send(jobs.create_job(spec, idempotency_key=idempotency_key))

    def list_jobs(self, *, limit: int | None = None, after: str | None = None) -> Page[Job]:
        return self.connection.send(jobs.list_jobs(limit=limit, after=after))

    def get_job(self, job: str, *, wait: int | None = None) -> Job:
        """The job as it is; with `wait`, when it has ended or after so many seconds (at most 60)."""
        return self.connection.send(jobs.get_job(job, wait=wait))

    def cancel_job(self, job: str, *, idempotency_key: str | None = None) -> Job:
        return self.connection.send(jobs.cancel_job(job, idempotency_key=idempotency_key))

    def list_job_events(self, job: str, *, limit: int | None = None, after: int | str | None = None) -> Page[Event]:
        return self.connection.send(jobs.list_job_events(job, limit=limit, after=after))

    def list_job_logs(self, job: str, *, limit: int | None = None, after: int | str | None = None) -> Page[LogLine]:
        return self.connection.send(jobs.list_job_logs(job, limit=limit, after=after))

    def list_job_metrics(self, job: str, *, limit: int | None = None, after: int | str | None = None) -> Page[Metric]:
        return self.connection.send(jobs.list_job_metrics(job, limit=limit, after=after))

    def get_job_report(self, job: str) -> Report:
        return self.connection.send(jobs.get_job_report(job))

    def get_job_report_page(self, job: str) -> str:
        """The report as one file of HTML that needs nothing else."""
        return self.connection.send(jobs.get_job_report_page(job))

    def follow_job_events(self, job: str, *, after: int | None = None) -> Iterator[Event]:
        """Events as they happen, until the job has ended; a connection that breaks off is taken up again where it was."""
        stream = streams.job_events(job, after=after)
        return (stream.read(message) for message in self.connection.follow(stream))

    def follow_job_logs(self, job: str, *, after: int | None = None) -> Iterator[LogLine]:
        """The same of its log."""
        stream = streams.job_logs(job, after=after)
        return (stream.read(message) for message in self.connection.follow(stream))

    # models

    def list_models(self, *, limit: int | None = None, after: str | None = None) -> Page[Model]:
        return self.connection.send(models.list_models(limit=limit, after=after))

    def get_model(self, name: str) -> Model:
        return self.connection.send(models.get_model(name))

    def list_model_versions(self, name: str, *, limit: int | None = None, after: str | None = None) -> Page[ModelVersion]:
        return self.connection.send(models.list_model_versions(name, limit=limit, after=after))

    def get_model_version(self, name: str, version: int) -> ModelVersion:
        return self.connection.send(models.get_model_version(name, version))

    def put_model_alias(self, name: str, alias: str, *, version: int) -> Model:
        return self.connection.send(models.put_model_alias(name, alias, version=version))

    def delete_model_alias(self, name: str, alias: str) -> None:
        self.connection.send(models.delete_model_alias(name, alias))

    def delete_model(self, name: str) -> None:
        self.connection.send(models.delete_model(name))

    def predict(self, model: str, inputs: Sequence[Given], *, top_k: int | None = None, tasks: Sequence[str] | None = None) -> Prediction:
        """Answers for at most 256 inputs, each a text, a file (bytes, `Path`, or opened), or an object of what the model reads.

        `client.model(ref).predict` takes any number.
        """
        return self.connection.send(models.predict(model, inputs, top_k=top_k, tasks=tasks))

    # administration

    def create_key(
        self,
        *,
        name: str,
        scopes: Sequence[Scope] | None = None,
        workspace: str | None = None,
        expires_at: datetime | str | None = None,
        idempotency_key: str | None = None,
    ) -> NewKey:
        """A new key; its secret `key` is shown in this answer only."""
        return self.connection.send(
            keys.create_key(name=name, scopes=scopes, workspace=workspace, expires_at=expires_at, idempotency_key=idempotency_key)
        )

    def list_keys(self, *, limit: int | None = None, after: str | None = None) -> Page[Key]:
        return self.connection.send(keys.list_keys(limit=limit, after=after))

    def get_key(self, key: str) -> Key:
        return self.connection.send(keys.get_key(key))

    def revoke_key(self, key: str) -> None:
        self.connection.send(keys.revoke_key(key))

    def create_workspace(self, *, name: str, idempotency_key: str | None = None) -> Workspace:
        return self.connection.send(workspaces.create_workspace(name=name, idempotency_key=idempotency_key))

    def list_workspaces(self, *, limit: int | None = None, after: str | None = None) -> Page[Workspace]:
        return self.connection.send(workspaces.list_workspaces(limit=limit, after=after))

    def get_workspace(self, workspace: str) -> Workspace:
        return self.connection.send(workspaces.get_workspace(workspace))

    def get_cache(self) -> Cache:
        """Size, hit rate and content of the feature cache, by machine."""
        return self.connection.send(cache.get_cache())

    def get_health(self) -> dict[str, Any]:
        """What `/readyz` says; raises Unavailable while the server is not ready. Never tries twice."""
        return self.connection.send(health.get_health())

    # errands: several operations in one

    def iterate(self, operation: Callable[..., Page[T]], *arguments: str, limit: int = MAX_LIMIT) -> Iterator[T]:
        """Every row of a list, page by page: `for job in client.iterate(client.list_jobs): …`."""
        return sugar.iterate(operation, *arguments, limit=limit)

    def upload(
        self,
        source: str | Path | Iterable[Mapping[str, Any]],
        *,
        name: str | None = None,
        format: str | None = None,  # noqa: A002 - the contract's word
        schema: Mapping[str, str] | None = None,
        mode: str | None = None,
        resumable: bool | None = None,
        progress: bool = True,
        timeout: float | None = None,
    ) -> Dataset:
        """Send a file, a folder or rows, and wait until the dataset is ready. See `uploading.upload` and `uploading.Ways`."""
        ways = uploading.Ways(resumable, progress, timeout)
        return uploading.upload(self, source, name=name, format=format, schema=schema, mode=mode, ways=ways)

    def append(
        self,
        dataset: Dataset | str,
        source: str | Path | Iterable[Mapping[str, Any]],
        *,
        key: str | None = None,
        format: str | None = None,  # noqa: A002
        schema: Mapping[str, str] | None = None,
        mode: str | None = None,
        resumable: bool | None = None,
        progress: bool = True,
        timeout: float | None = None,
    ) -> Dataset:
        """Send more rows, or with `key` rows in place of others, and wait until the next version is ready. See `uploading.append`."""
        ways, begun = uploading.Ways(resumable, progress, timeout), dataset.id if isinstance(dataset, Dataset) else dataset
        return uploading.append(self, begun, source, key=key, format=format, schema=schema, mode=mode, ways=ways)

    def find_dataset(self, reference: str) -> Dataset | None:
        """By id, `name` or `name:2`; the newest ready one before any other."""
        return sugar.find_dataset(self, reference)

    def find_backbone(self, reference: str) -> Backbone | None:
        """By id, name or source such as `demo:minilm-l6`."""
        return sugar.find_backbone(self, reference)

    def ensure_backbone(self, source: str, *, name: str | None = None, timeout: float | None = None) -> Backbone:
        """The ready backbone of this source, registered first if it is not there yet."""
        return sugar.ensure_backbone(self, source, name=name, timeout=timeout)

    def adapt(
        self,
        dataset: Dataset | str,
        *,
        text: str | None = None,
        text_pair: str | None = None,
        tokens: str | None = None,
        image: str | None = None,
        audio: str | None = None,
        target: str = "label",
        backbone: str = "demo:minilm-l6",
        model: str | None = None,
        layer: str | None = None,
        pooling: str | None = None,
        seed: int | None = None,
        wait: bool = False,
        idempotency_key: str | None = None,
        **overrides: object,
    ) -> sugar.JobHandle:
        """Start a job that learns column `target` from a column of texts, images or recordings. See `sugar.adapt`."""
        handle = sugar.adapt(
            self,
            dataset,
            text=text,
            text_pair=text_pair,
            tokens=tokens,
            image=image,
            audio=audio,
            target=target,
            backbone=backbone,
            model=model,
            layer=layer,
            pooling=pooling,
            seed=seed,
            idempotency_key=idempotency_key,
            **overrides,
        )
        if wait:
            handle.wait()
        return handle

    def job(self, job: str) -> sugar.JobHandle:
        """A handle on a job by its id."""
        return sugar.JobHandle(self, self.get_job(job))

    def model(self, reference: str) -> sugar.ModelHandle:
        """A handle on a model: `name`, `name:3` or `name@prod`. Asks nothing of the server yet."""
        return sugar.ModelHandle(self, reference)
