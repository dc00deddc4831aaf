"""What an attempt says is written by whoever holds the lease, once, and by nobody else."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, func, select

from headstart.blobs.local import LocalBlobs
from headstart.specs.jobs import JobStatus
from headstart.specs.problems import Failure
from headstart.store import datasets, jobs, leases, logs, models
from headstart.store.database import Database
from headstart.store.leases import Lease
from headstart.store.tables import Artifact, Dataset, Job, ModelVersion
from tests.store import world

REPORT = {
    "split": "test",
    "rows": 2,
    "classes": ["neg", "pos"],
    "metrics": {"accuracy": 0.5},
    "baselines": {"majority": {"accuracy": 0.5}},
    "per_class": [],
    "confusion": [[1, 0], [1, 0]],
}
OUTCOME: dict[str, Any] = {
    "metrics": {"label": {"accuracy": 0.5}},
    "baselines": {"label": {"majority": {"accuracy": 0.5}}},
    "report_tasks": {"label": REPORT},
    "trainable_parameters": 770,
    "artifact_bytes": 9,
    "seconds": {"features": 1.5},
    "cache": {"rows_computed": 10, "rows_reused": 0},
    "precision": {"dtype": "float32"},
    "actual": {
        "preparing_seconds": 1.0,
        "training_seconds": 1.0,
        "evaluating_seconds": 1.0,
        "peak_memory_bytes": 1,
        "artifact_bytes": 9,
    },
    "model_tasks": [world.TASK.model_dump()],
}
DONE = {"say": "done", "outcome": OUTCOME}
BAD = Failure(code="bad_data", message="The rows are no good.", hint=None)
LATER = world.NOW + timedelta(seconds=1)
NOTES = {
    "say": "notes",
    "events": [
        {"type": "metric", "data": {"name": "log_loss", "value": 0.5}, "at": world.NOW.isoformat()},
        {
            "type": "progress",
            "data": {"fraction": 0.5, "step": 1, "steps": 2, "epoch": 1, "epochs": 2},
            "at": LATER.isoformat(),
        },
    ],
    "lines": [
        {"level": "info", "message": "One.", "at": world.NOW.isoformat()},
        {"level": "warning", "message": "Two.", "at": LATER.isoformat()},
    ],
}


def leased_job(database: Database, blobs: LocalBlobs, *, stages: int = 3) -> Lease:
    """A claimed job with the files its attempt wrote."""
    with database.write() as session:
        world.add_job(session, world.add_workspace(session))
        lease = world.claim(session)
        for stage in world.STAGES[:stages]:
            assert jobs.move(session, lease.id, stage, fence=lease.epoch, now=world.NOW)
    write_artifact(blobs, lease)
    return lease


def write_artifact(blobs: LocalBlobs, lease: Lease) -> None:
    with blobs.write_folder(models.artifact_key(lease.id, lease.epoch)) as folder:
        (folder / "manifest.json").write_text("{}")


def test_success_makes_one_artifact_one_version_and_the_job_succeeded(database, blobs, outcomes):
    lease = leased_job(database, blobs)
    outcomes.succeed(lease, DONE, now=world.NOW)
    with database.read() as session:
        job = session.get_one(Job, lease.id)
        assert (job.status, job.owner, job.seconds["features"]) == ("succeeded", None, 1.5)
        assert session.scalar(select(func.count()).select_from(Artifact)) == 1
        assert session.scalar(select(func.count()).select_from(ModelVersion)) == 1
        assert jobs.view(job).result is not None
    assert list(blobs.children(models.artifacts_key(lease.id))) == [f"e{lease.epoch}"]


def test_success_whose_commit_was_not_heard_of_stands_when_it_is_told_again(database, blobs, outcomes):
    lease = leased_job(database, blobs)
    for _ in range(2):
        outcomes.succeed(lease, DONE, now=world.NOW)
    with database.read() as session:
        assert session.get_one(Job, lease.id).status == "succeeded"
        assert session.scalar(select(func.count()).select_from(Artifact)) == 1
    assert list(blobs.children(models.artifacts_key(lease.id))) == [f"e{lease.epoch}"]


def test_cancel_that_comes_before_the_result_wins_and_no_file_stays(database, blobs, outcomes):
    lease = leased_job(database, blobs)
    with database.write() as session:
        jobs.cancel_job(session, lease.workspace_id, lease.id, now=world.NOW)
    outcomes.succeed(lease, DONE, now=world.NOW)
    with database.read() as session:
        assert session.get_one(Job, lease.id).status == "cancelled"
        assert session.scalar(select(func.count()).select_from(Artifact)) == 0
        assert session.scalar(select(func.count()).select_from(ModelVersion)) == 0
    assert not blobs.exists(models.artifacts_key(lease.id))


def test_zombie_cannot_publish_nor_take_the_files_of_its_successor(database, blobs, outcomes):
    zombie = leased_job(database, blobs)
    with database.write() as session:
        assert leases.lose(session, "job", zombie.id, zombie.epoch, failure=world.FAILURE, now=world.NOW)
        successor = world.claim(session, owner="another")
    write_artifact(blobs, successor)
    outcomes.succeed(zombie, DONE, now=world.NOW)
    outcomes.fail(zombie, BAD, {}, now=world.NOW)
    assert not outcomes.stage(zombie, JobStatus.TRAINING, now=world.NOW)
    assert outcomes.renew(zombie) is None
    with database.read() as session:
        job = session.get_one(Job, zombie.id)
        assert (job.status, job.owner, job.error) == ("preparing", "another", None)
        assert session.scalar(select(func.count()).select_from(Artifact)) == 0
    assert list(blobs.children(models.artifacts_key(zombie.id))) == [f"e{successor.epoch}"]


def test_failure_that_trying_again_cannot_mend_ends_the_job_at_once(database, blobs, outcomes):
    lease = leased_job(database, blobs, stages=1)
    outcomes.fail(lease, BAD, {}, now=world.NOW)
    with database.read() as session:
        job = session.get_one(Job, lease.id)
        assert (job.status, job.attempt, job.error) == ("failed", 1, BAD.model_dump())
    assert not blobs.exists(models.artifacts_key(lease.id))


def test_death_of_the_last_attempt_fails_the_job_and_of_an_earlier_one_does_not(database, blobs, outcomes):
    lease = leased_job(database, blobs)
    for attempt in (1, 2, 3):
        assert lease.attempt == attempt
        outcomes.lose(lease.kind, lease.id, lease.epoch, world.FAILURE, now=world.NOW)
        if attempt < 3:
            with database.write() as session:
                lease = world.claim(session)
    with database.read() as session:
        assert session.get_one(Job, lease.id).status == "failed"


def test_invalid_dataset_keeps_its_problems_and_none_of_its_files(database, blobs, outcomes):
    with database.write() as session:
        row = world.add_dataset(session, world.add_workspace(session), ready=False)
        lease = world.claim(session, datasets.KIND)
    with blobs.write(datasets.upload_key(row.id)) as file:
        file.write(b"a,b\n1\n")
    problem = {"row": 1, "column": None, "code": "ragged_row", "message": "Row 1 has 1 field."}
    outcomes.fail(lease, BAD, {"problems": [problem], "problem_count": 1}, now=world.NOW)
    with database.read() as session:
        invalid = session.get_one(Dataset, row.id)
        assert (invalid.status, invalid.problem_count) == ("invalid", 1)
        assert [found.row for found in datasets.problems_of(invalid)] == [1]
    assert not blobs.exists(datasets.folder_key(row.id))


@pytest.mark.parametrize("how", ["succeeds", "fails", "is lost", "is lost after another has it"])
def test_dataset_that_was_deleted_while_it_was_read_leaves_no_file(database, blobs, outcomes, how: str):
    with database.write() as session:
        row = world.add_dataset(session, world.add_workspace(session), ready=False)
        lease = world.claim(session, datasets.KIND)
    if how == "is lost after another has it":
        outcomes.lose(lease.kind, lease.id, lease.epoch, world.FAILURE, now=world.NOW)
        with database.write() as session:
            world.claim(session, datasets.KIND)
    with database.write() as session:
        datasets.delete_dataset(session, lease.workspace_id, row.id, now=world.NOW)
    with blobs.write(datasets.table_key(row.id, lease.epoch)) as file:  # after the files of the dataset went
        file.write(b"rows")
    if how == "succeeds":
        outcomes.succeed(lease, {"profile": world.PROFILE.model_dump(mode="json")}, now=world.NOW)
    elif how == "fails":
        outcomes.fail(lease, BAD, {}, now=world.NOW)
    else:
        outcomes.lose(lease.kind, lease.id, lease.epoch, world.FAILURE, now=world.NOW)
    assert not blobs.exists(datasets.folder_key(row.id))


def history(database: Database, job_id: str) -> tuple[list[str], list[str]]:
    """Types of the events, and the lines of the log."""
    with database.read() as session:
        events = [event.type for event in jobs.list_events(session, job_id, after=0, limit=100)]
        return events, [line.message for line in logs.list_lines(session, job_id, after=0, limit=100)]


def test_what_an_attempt_tells_is_written_in_one_transaction_with_the_times_it_was_said(database, blobs, outcomes):
    lease = leased_job(database, blobs, stages=1)
    commits: list[int] = []
    event.listen(database.engine, "commit", lambda _: commits.append(1))
    assert outcomes.note(lease, NOTES)
    assert len(commits) == 1
    events, lines = history(database, lease.id)
    assert events == ["status", "status", "status", "metric", "progress"]
    assert lines == ["Claimed by attempt 1 of 3.", "One.", "Two."]
    with database.read() as session:
        job = session.get_one(Job, lease.id)
        assert (job.progress["step"], job.last_seq) == (1, 5)
        assert jobs.list_events(session, lease.id, after=4, limit=1)[0].at == LATER
        assert logs.list_lines(session, lease.id, after=2, limit=1)[0].at == LATER


def test_what_a_zombie_tells_is_refused_whole(database, blobs, outcomes):
    zombie = leased_job(database, blobs)
    with database.write() as session:
        leases.lose(session, "job", zombie.id, zombie.epoch, failure=world.FAILURE, now=world.NOW)
        world.claim(session, owner="another")
    before = history(database, zombie.id)
    assert not outcomes.note(zombie, NOTES)
    assert history(database, zombie.id) == before
    with database.read() as session:
        assert session.get_one(Job, zombie.id).progress == jobs.NO_PROGRESS


def test_log_ends_with_what_became_of_the_job_and_a_cancel_that_wins_says_so(database, blobs, outcomes):
    published = leased_job(database, blobs)
    outcomes.succeed(published, DONE, now=world.NOW)
    assert history(database, published.id)[1][-1] == "Succeeded: this is version 1 of the model 'reviews'."
    cancelled = leased_job(database, blobs)
    with database.write() as session:
        jobs.cancel_job(session, cancelled.workspace_id, cancelled.id, now=world.NOW)
    outcomes.succeed(cancelled, DONE, now=world.NOW)
    assert not outcomes.note(cancelled, NOTES)
    assert history(database, cancelled.id)[1] == ["Claimed by attempt 1 of 3.", "Cancelled."]
