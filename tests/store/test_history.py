"""What plans learn from earlier jobs: those of the workspace, of the kind, and not more of them than it takes."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event, update
from sqlalchemy.orm import Session

from headstart.specs.history import Kind
from headstart.specs.jobs import JobStatus
from headstart.specs.plans import Correction
from headstart.store import history
from headstart.store.database import Database
from headstart.store.tables import Dataset, Job
from tests.store import world

KIND = Kind(learns="solved-head", modality="text")
CORRECTION = Correction(jobs=3, preparing=2.0, training=1.0, memory=1.5)


def add_finished(session: Session, workspace_id: str, *, training_seconds: float = 1.0, **overrides: Any) -> str:
    """A job that has succeeded and took so long; the overrides are columns."""
    datasets = session.query(Dataset).filter_by(workspace_id=workspace_id)
    job = world.add_job(session, workspace_id, dataset=datasets.first())
    report = {
        "actual": {**world.PLAN.estimate.model_dump(), "training_seconds": training_seconds},
        "cache": {"rows_computed": 7, "rows_reused": 2},
    }
    session.execute(update(Job).where(Job.id == job.id).values(**{"status": JobStatus.SUCCEEDED, "report": report, **overrides}))
    return job.id


def spec_with(method: dict[str, Any], task: str = "text-classification") -> dict[str, Any]:
    body = world.SPEC.model_dump(mode="json")
    return {**body, "method": method, "tasks": [{**body["tasks"][0], "type": task}]}


def test_history_holds_what_was_told_and_what_it_took_newest_first(database: Database):
    plan = world.PLAN.model_copy(update={"correction": CORRECTION}).model_dump(mode="json")
    with database.write() as session:
        workspace = world.add_workspace(session)
        add_finished(session, workspace, training_seconds=1.5)
        add_finished(session, workspace, training_seconds=2.5, plan=plan)
    with database.read() as session:
        newest, oldest = history.jobs_like(session, workspace, KIND)
    assert (newest.actual.training_seconds, oldest.actual.training_seconds) == (2.5, 1.5)
    assert (newest.correction, oldest.correction) == (CORRECTION, None)
    assert newest.estimate == oldest.estimate == world.PLAN.estimate
    assert (newest.rows_computed, newest.rows_reused) == (7, 2)


def test_job_that_was_planned_before_there_were_corrections_counts(database: Database):
    plan = {name: value for name, value in world.PLAN.model_dump(mode="json").items() if name != "correction"}
    with database.write() as session:
        workspace = world.add_workspace(session)
        add_finished(session, workspace, plan=plan)
    with database.read() as session:
        (job,) = history.jobs_like(session, workspace, KIND)
    assert job.correction is None


def test_jobs_of_another_workspace_are_never_seen(database: Database):
    with database.write() as session:
        own, other = world.add_workspace(session), world.add_workspace(session, "b")
        add_finished(session, other)
        add_finished(session, own, training_seconds=3.0)
        add_finished(session, other)
    with database.read() as session:
        assert [job.actual.training_seconds for job in history.jobs_like(session, own, KIND)] == [3.0]


def test_only_jobs_that_succeeded_count(database: Database):
    with database.write() as session:
        workspace = world.add_workspace(session)
        for status in JobStatus:
            add_finished(session, workspace, status=status)
        world.add_job(session, workspace, dataset=session.query(Dataset).first())
    with database.read() as session:
        assert len(history.jobs_like(session, workspace, KIND)) == 1


@pytest.mark.parametrize(
    "spec",
    [
        spec_with({"type": "feature-extraction", "head": {"type": "linear", "solver": None}}),
        spec_with({"type": "lora"}),
        spec_with(world.SPEC.method.model_dump(mode="json"), "image-classification"),
    ],
)
def test_jobs_of_another_kind_do_not_count(database: Database, spec: dict[str, Any]):
    with database.write() as session:
        workspace = world.add_workspace(session)
        add_finished(session, workspace, spec=spec)
    with database.read() as session:
        assert history.jobs_like(session, workspace, KIND) == []


def test_history_is_one_query_of_bounded_size(database: Database, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(history, "WINDOW", 4)
    monkeypatch.setattr(history, "MOST_JOBS", 2)
    lora, statements = spec_with({"type": "lora"}), []
    with database.write() as session:
        workspace = world.add_workspace(session)
        for number in range(6):
            add_finished(session, workspace, training_seconds=float(number))
    event.listen(database.engine, "before_cursor_execute", lambda *told: statements.append(told[2]))
    with database.read() as session:
        found = history.jobs_like(session, workspace, KIND)
    assert [job.actual.training_seconds for job in found] == [5.0, 4.0]
    assert sum(statement.startswith("SELECT") for statement in statements) == 1
    with database.write() as session:
        for _ in range(4):
            add_finished(session, workspace, spec=lora)
    with database.read() as session:
        assert history.jobs_like(session, workspace, KIND) == []
