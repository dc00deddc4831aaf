"""`AsyncHeadstart`: the same operations as `Headstart`, one for one, awaited."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from headstart.client import backbones, cache, datasets, health, jobs, keys, models, sending, streams, uploads, workspaces
from headstart.client.credentials import find_credentials
from headstart.client.http import AsyncConnection, AsyncSurroundings
from headstart.client.inputs import Given
from headstart.client.protocol import Retries
from headstart.specs.backbones import Backbone, Layer
from headstart.specs.cache import Cache
from headstart.specs.datasets import Dataset, How, Profile, Row, RowProblem
from headstart.specs.jobs import Event, Job, JobSpec, LogLine, Metric
from headstart.specs.keys import Key, NewKey, Scope
from headstart.specs.models import Model, ModelVersion
from headstart.specs.pages import Page
from headstart.specs.plans import Plan
from headstart.specs.predictions import Prediction
from headstart.specs.reports import Report
from headstart.specs.suggestions import Suggestions
from headstart.specs.uploads import Upload
from headstart.specs.versions import DatasetDiff
from headstart.specs.workspaces import Workspace


class AsyncHeadstart:
    """A client of one server for asynchronous programs; arguments and errors are those of `Headstart`."""

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        home: str | Path | None = None,
        timeout: float = 60.0,
        retries: Retries | None = None,
        surroundings: AsyncSurroundings | None = None,
    ) -> None:
        credentials = find_credentials(url, key, None if home is None else Path(home))
        self.connection = AsyncConnection(
            credentials, timeout=timeout, retries=retries or Retries(), surroundings=surroundings or AsyncSurroundings()
        )

    def __repr__(self) -> str:
        return f"AsyncHeadstart({self.url!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    @property
    def url(self) -> str:
        return self.connection.url

    async def close(self) -> None:
        await self.connection.close()

    # datasets

    async def create_dataset(
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
        return await self.connection.send(datasets.create_dataset(file, name=name, **more))  # type: ignore[arg-type]

    async def create_dataset_version(
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
        return await self.connection.send(datasets.create_dataset_version(dataset, file, how=how, idempotency_key=idempotency_key, **more))  # type: ignore[arg-type]

    async def get_dataset_diff(
        self, dataset: str, *, against: str | None = None, key: str | None = None, limit: int | None = None, after: str | None = None
    ) -> DatasetDiff:
        """What changed from an earlier version, by default the one it was made from; a page of row numbers of each kind."""
        return await self.connection.send(datasets.get_dataset_diff(dataset, against=against, key=key, limit=limit, after=after))

    async def list_datasets(self, *, limit: int | None = None, after: str | None = None) -> Page[Dataset]:
        return await self.connection.send(datasets.list_datasets(limit=limit, after=after))

    async def get_dataset(self, dataset: str) -> Dataset:
        return await self.connection.send(datasets.get_dataset(dataset))

    async def list_dataset_rows(self, dataset: str, *, limit: int | None = None, after: str | None = None) -> Page[Row]:
        return await self.connection.send(datasets.list_dataset_rows(dataset, limit=limit, after=after))

    async def get_dataset_profile(self, dataset: str) -> Profile:
        return await self.connection.send(datasets.get_dataset_profile(dataset))

    async def get_dataset_suggestions(self, dataset: str) -> Suggestions:
        """What the dataset could be used for; `tasks[0].task` goes into a job's spec as it is."""
        return await self.connection.send(datasets.get_dataset_suggestions(dataset))

    async def list_dataset_problems(self, dataset: str, *, limit: int | None = None, after: str | None = None) -> Page[RowProblem]:
        return await self.connection.send(datasets.list_dataset_problems(dataset, limit=limit, after=after))

    async def delete_dataset(self, dataset: str) -> None:
        await self.connection.send(datasets.delete_dataset(dataset))

    # resumable uploads

    async def create_upload(
        self, *, size_bytes: int, metadata: Mapping[str, str] | None = None, idempotency_key: str | None = None
    ) -> Upload:
        """Announce a file; `send_file` does all of it."""
        return await self.connection.send(uploads.create_upload(size_bytes=size_bytes, metadata=metadata, idempotency_key=idempotency_key))

    async def list_uploads(self, *, limit: int | None = None, after: str | None = None) -> Page[Upload]:
        return await self.connection.send(uploads.list_uploads(limit=limit, after=after))

    async def get_upload(self, upload: str) -> Upload:
        return await self.connection.send(uploads.get_upload(upload))

    async def patch_upload(self, upload: str, content: bytes, *, offset: int) -> None:
        await self.connection.send(uploads.patch_upload(upload, content, offset=offset))

    async def delete_upload(self, upload: str) -> None:
        await self.connection.send(uploads.delete_upload(upload))

    async def send_file(self, file: str | Path | BinaryIO, *, tell: sending.Told | None = None) -> Upload:
        """Send a file in pieces, on from where an earlier try was broken off; `tell` hears the bytes that are there, and all there will be."""
        with sending.opened(file) as opened:
            source = sending.described(opened, Path(str(getattr(opened, "name", "upload"))).name)
            steps = sending.sent(source, self.connection.retries, self.connection.surroundings.jitter, tell or sending.quietly)
            return await self.connection.run(steps)

    # backbones

    async def create_backbone(self, *, name: str, source: str, idempotency_key: str | None = None) -> Backbone:
        """Register a backbone; it is `pending` until a worker has read it."""
        return await self.connection.send(backbones.create_backbone(name=name, source=source, idempotency_key=idempotency_key))

    async def list_backbones(self, *, limit: int | None = None, after: str | None = None) -> Page[Backbone]:
        return await self.connection.send(backbones.list_backbones(limit=limit, after=after))

    async def get_backbone(self, backbone: str) -> Backbone:
        return await self.connection.send(backbones.get_backbone(backbone))

    async def list_backbone_layers(self, backbone: str, *, limit: int | None = None, after: str | None = None) -> Page[Layer]:
        return await self.connection.send(backbones.list_backbone_layers(backbone, limit=limit, after=after))

    async def delete_backbone(self, backbone: str) -> None:
        await self.connection.send(backbones.delete_backbone(backbone))

    # jobs

    async def create_plan(self, spec: JobSpec | Mapping[str, Any]) -> Plan:
        """What a job of this spec would do, and how long it would take; starts nothing."""
        return await self.connection.send(jobs.create_plan(spec))

    async def create_job(self, spec: JobSpec | Mapping[str, Any], *, idempotency_key: str | None = None) -> Job:
        """Start a job from a whole spec; waits while its dataset or backbone is still being read. `adapt` writes the spec for you."""
        return await self.connection.send(jobs.create_job(spec, idempotency_key=idempotency_key))

    async def list_jobs(self, *, limit: int | None = None, after: str | None = None) -> Page[Job]:
        return await self.connection.send(jobs.list_jobs(limit=limit, after=after))

    async def get_job(self, job: str, *, wait: int | None = None) -> Job:
        """The job as it is; with `wait`, when it has ended or after so many seconds (at most 60)."""
        return await self.connection.send(jobs.get_job(job, wait=wait))

    async def cancel_job(self, job: str, *, idempotency_key: str | None = None) -> Job:
        return await self.connection.send(jobs.cancel_job(job, idempotency_key=idempotency_key))

    async def list_job_events(self, job: str, *, limit: int | None = None, after: int | str | None = None) -> Page[Event]:
        return await self.connection.send(jobs.list_job_events(job, limit=limit, after=after))

    async def list_job_logs(self, job: str, *, limit: int | None = None, after: int | str | None = None) -> Page[LogLine]:
        return await self.connection.send(jobs.list_job_logs(job, limit=limit, after=after))

    async def list_job_metrics(self, job: str, *, limit: int | None = None, after: int | str | None = None) -> Page[Metric]:
        return await self.connection.send(jobs.list_job_metrics(job, limit=limit, after=after))

    async def get_job_report(self, job: str) -> Report:
        return await self.connection.send(jobs.get_job_report(job))

    async def get_job_report_page(self, job: str) -> str:
        """The report as one file of HTML that needs nothing else."""
        return await self.connection.send(jobs.get_job_report_page(job))

    def follow_job_events(self, job: str, *, after: int | None = None) -> AsyncIterator[Event]:
        """Events as they happen, until the job has ended; a connection that breaks off is taken up again where it was."""
        stream = streams.job_events(job, after=after)
        return (stream.read(message) async for message in self.connection.follow(stream))

    def follow_job_logs(self, job: str, *, after: int | None = None) -> AsyncIterator[LogLine]:
        """The same of its log."""
        stream = streams.job_logs(job, after=after)
        return (stream.read(message) async for message in self.connection.follow(stream))

    # models

    async def list_models(self, *, limit: int | None = None, after: str | None = None) -> Page[Model]:
        return await self.connection.send(models.list_models(limit=limit, after=after))

    async def get_model(self, name: str) -> Model:
        return await self.connection.send(models.get_model(name))

    async def list_model_versions(self, name: str, *, limit: int | None = None, after: str | None = None) -> Page[ModelVersion]:
        return await self.connection.send(models.list_model_versions(name, limit=limit, after=after))

    async def get_model_version(self, name: str, version: int) -> ModelVersion:
        return await self.connection.send(models.get_model_version(name, version))

    async def put_model_alias(self, name: str, alias: str, *, version: int) -> Model:
        return await self.connection.send(models.put_model_alias(name, alias, version=version))

    async def delete_model_alias(self, name: str, alias: str) -> None:
        await self.connection.send(models.delete_model_alias(name, alias))

    async def delete_model(self, name: str) -> None:
        await self.connection.send(models.delete_model(name))

    async def predict(
        self, model: str, inputs: Sequence[Given], *, top_k: int | None = None, tasks: Sequence[str] | None = None
    ) -> Prediction:
        """Answers for at most 256 inputs, each a text, a file (bytes, `Path`, or opened), or an object of what the model reads."""
        return await self.connection.send(models.predict(model, inputs, top_k=top_k, tasks=tasks))

    # administration

    async def create_key(
        self,
        *,
        name: str,
        scopes: Sequence[Scope] | None = None,
        workspace: str | None = None,
        expires_at: datetime | str | None = None,
        idempotency_key: str | None = None,
    ) -> NewKey:
        """A new key; its secret `key` is shown in this answer only."""
        return await self.connection.send(
            keys.create_key(name=name, scopes=scopes, workspace=workspace, expires_at=expires_at, idempotency_key=idempotency_key)
        )

    async def list_keys(self, *, limit: int | None = None, after: str | None = None) -> Page[Key]:
        return await self.connection.send(keys.list_keys(limit=limit, after=after))

    async def get_key(self, key: str) -> Key:
        return await self.connection.send(keys.get_key(key))

    async def revoke_key(self, key: str) -> None:
        await self.connection.send(keys.revoke_key(key))

    async def create_workspace(self, *, name: str, idempotency_key: str | None = None) -> Workspace:
        return await self.connection.send(workspaces.create_workspace(name=name, idempotency_key=idempotency_key))

    async def list_workspaces(self, *, limit: int | None = None, after: str | None = None) -> Page[Workspace]:
        return await self.connection.send(workspaces.list_workspaces(limit=limit, after=after))

    async def get_workspace(self, workspace: str) -> Workspace:
        return await self.connection.send(workspaces.get_workspace(workspace))

    async def get_cache(self) -> Cache:
        """Size, hit rate and content of the feature cache, by machine."""
        return await self.connection.send(cache.get_cache())

    async def get_health(self) -> dict[str, Any]:
        """What `/readyz` says; raises Unavailable while the server is not ready. Never tries twice."""
        return await self.connection.send(health.get_health())
