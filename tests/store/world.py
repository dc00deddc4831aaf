"""Rows to test with: each function makes one and takes what matters to a test as keywords."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from headstart.planning.plan import make_plan
from headstart.specs.backbones import CreateBackbone
from headstart.specs.datasets import Parent
from headstart.specs.ids import new_id
from headstart.specs.jobs import JobStatus
from headstart.specs.models import ModelTask
from headstart.specs.problems import Failure
from headstart.specs.workspaces import CreateWorkspace
from headstart.store import backbones, datasets, jobs, leases, models, uploads, workspaces
from headstart.store.database import Database
from headstart.store.leases import Lease
from headstart.store.tables import Artifact, Backbone, Dataset, Job, Upload
from tests.planning import factories

T = TypeVar("T")

NOW = datetime(2026, 11, 24, 3, tzinfo=UTC)
LATER = NOW + timedelta(days=1)
FAILURE = Failure(code="worker_lost", message="The worker stopped answering.", hint=None)
TASK = ModelTask(name="label", type="text-classification", problem="single-label", inputs=["text"], classes=["neg", "pos"])
METRICS = {"label": {"accuracy": 0.9}}
SPEC, PROFILE, ANATOMY = factories.spec(), factories.dataset(), factories.anatomy()
PLAN = make_plan(SPEC, PROFILE, ANATOMY, factories.HARDWARE, cache_budget_bytes=2**30)
STAGES = (JobStatus.TRAINING, JobStatus.EVALUATING, JobStatus.PUBLISHING)


def add_workspace(session: Session, name: str = "a") -> str:
    return workspaces.create_workspace(session, CreateWorkspace(name=name), now=NOW).id


def add_dataset(
    session: Session, workspace_id: str, *, name: str = "reviews", ready: bool = True, max_attempts: int = 3, parent: Parent | None = None
) -> Dataset:
    dataset = datasets.create_dataset(
        session,
        dataset_id=new_id("ds"),
        workspace_id=workspace_id,
        name=name,
        format="csv",
        types={},
        size_bytes=100,
        sha256="0" * 64,
        max_attempts=max_attempts,
        parent=parent,
        now=NOW,
    )
    if ready:
        datasets.mark_read(dataset, PROFILE)
        session.flush()
    return dataset


def add_upload(
    session: Session, workspace_id: str, *, size_bytes: int = 10, dataset: Dataset | None = None, expires_at: datetime = LATER
) -> Upload:
    upload = uploads.create_upload(
        session,
        upload_id=uploads.new_upload_id(),
        workspace_id=workspace_id,
        size_bytes=size_bytes,
        about="filename cmV2aWV3cy5jc3Y=",
        max_open=100,
        max_open_bytes=2**30,
        expires_at=expires_at,
        now=NOW,
    )
    if dataset is not None:
        uploads.use_upload(session, upload, dataset.id)
    return upload


def add_backbone(session: Session, workspace_id: str, *, name: str = "minilm-l6", ready: bool = True, sha256: str = "0" * 64) -> Backbone:
    body = CreateBackbone(name=name, source="demo:minilm-l6")
    backbone = backbones.create_backbone(session, workspace_id, body, max_attempts=3, now=NOW)
    if ready:
        backbones.mark_ready(backbone, ANATOMY.model_copy(update={"sha256": sha256}))
        session.flush()
    return backbone


def add_job(
    session: Session,
    workspace_id: str,
    *,
    dataset: Dataset | None = None,
    others: Sequence[Dataset] = (),
    backbone: Backbone | None = None,
    model: str = "reviews",
    parent: Artifact | None = None,
    max_attempts: int = 3,
) -> Job:
    """A queued job; dataset and backbone are made if none are given."""
    return jobs.create_job(
        session,
        workspace_id,
        SPEC.model_copy(update={"model": model}),
        PLAN,
        dataset=dataset or add_dataset(session, workspace_id),
        others=others,
        backbone=backbone or backbones.find_backbone(session, workspace_id, "minilm-l6") or add_backbone(session, workspace_id),
        parent=parent,
        max_attempts=max_attempts,
        now=NOW,
    )


def claim(session: Session, kind: str = jobs.KIND, *, owner: str = "worker") -> Lease:
    lease = leases.claim_next(session, [kind], owner=owner, now=NOW)
    assert lease is not None
    return lease


def publish(session: Session, lease: Lease, *, task: ModelTask = TASK, now: datetime = NOW) -> int | None:
    """What a worker does with a result: the model's version and the last state in one transaction, or neither."""
    job = leases.held(session, lease)
    if job is None:
        return None
    assert isinstance(job, Job)
    inner = session.begin_nested()
    blob = models.artifact_key(job.id, lease.epoch)
    version = models.publish(session, job, artifact_id=new_id("art"), blob=blob, size_bytes=1, tasks=[task], metrics=METRICS, now=now)
    if not jobs.move(session, lease.id, JobStatus.SUCCEEDED, fence=lease.epoch, now=now, owner=None):
        inner.rollback()
        return None
    inner.commit()
    leases.finish(session, lease, "succeeded", now=now)
    return version


def run_to_the_end(session: Session, *, task: ModelTask = TASK) -> int:
    """Claim the oldest job and bring it to `succeeded`; gives the version it published."""
    lease = claim(session)
    for stage in STAGES:
        assert jobs.move(session, lease.id, stage, fence=lease.epoch, now=NOW)
    version = publish(session, lease, task=task)
    assert version is not None
    return version


def add_model(session: Session, workspace_id: str, *, name: str = "reviews", task: ModelTask = TASK, **job: Any) -> int:
    """One more version of a model; no other job may be waiting."""
    add_job(session, workspace_id, model=name, **job)
    return run_to_the_end(session, task=task)


def at_once(database: Database, *actions: Callable[[Session], T]) -> list[T | Exception]:
    """What each action, in a transaction and a thread of its own, gives or raises; all begin together."""
    barrier = threading.Barrier(len(actions))
    results: list[T | Exception] = [RuntimeError("did not run")] * len(actions)

    def run(number: int) -> None:
        barrier.wait()
        try:
            with database.write() as session:
                results[number] = actions[number](session)
        except Exception as error:  # noqa: BLE001 - the test judges it
            results[number] = error

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(actions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return results
