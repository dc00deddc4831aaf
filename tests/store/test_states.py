"""The transition table, beside a second one written by hand from the design."""

from __future__ import annotations

import itertools

import pytest

from headstart.specs.jobs import JobStatus
from headstart.store import jobs
from headstart.store.states import NEXT, RUNNING, TERMINAL, may_follow
from headstart.store.tables import Event, Job
from tests.store.world import NOW, add_job, add_workspace

ALLOWED = {
    "queued → preparing", "preparing → training", "training → evaluating", "evaluating → publishing", "publishing → succeeded",
    "queued → cancelled", "preparing → cancelling", "training → cancelling", "evaluating → cancelling", "publishing → cancelling",
    "cancelling → cancelled",
    "preparing → queued", "training → queued", "evaluating → queued", "publishing → queued",
    "preparing → failed", "training → failed", "evaluating → failed", "publishing → failed",
}  # fmt: skip
PAIRS = list(itertools.product(JobStatus, JobStatus))


def test_the_table_says_what_the_design_says():
    assert {f"{before} → {after}" for before, after in PAIRS if may_follow(before, after)} == ALLOWED
    assert set(NEXT) == set(JobStatus)


def test_nothing_follows_an_end_and_everything_else_has_a_way_out():
    assert all((not NEXT[status]) == (status in TERMINAL) for status in JobStatus)
    assert {"preparing", "training", "evaluating", "publishing"} == RUNNING


def test_every_pair_is_moved_or_refused_by_the_table_with_one_event_or_none(database):
    with database.write() as session:
        workspace = add_workspace(session)
        job_id = add_job(session, workspace).id
    for before, after in PAIRS:
        with database.write() as session:
            job = session.get_one(Job, job_id)
            job.status, job.owner = before, "worker"
            count = job.last_seq
            session.flush()
            moved = jobs.move(session, job_id, after, fence=0, now=NOW)
            assert moved == (f"{before} → {after}" in ALLOWED), (before, after)
            job = session.get_one(Job, job_id)
            assert job.status == (after if moved else before)
            assert job.last_seq == count + moved
            if moved:
                assert session.get_one(Event, (job_id, job.last_seq)).data == {"from": before, "to": after}


@pytest.mark.parametrize("status", [status for status in JobStatus if not status.terminal])
def test_a_stale_epoch_moves_nothing(database, status):
    with database.write() as session:
        job_id = add_job(session, add_workspace(session)).id
        job = session.get_one(Job, job_id)
        job.status, job.owner, job.epoch = status, "worker", 7
        session.flush()
        for after in JobStatus:
            assert not jobs.move(session, job_id, after, fence=6, now=NOW)
            assert not jobs.move(session, job_id, after, fence=8, now=NOW)
        assert session.get_one(Job, job_id).last_seq == 1


def test_the_database_itself_refuses_an_unknown_state(database):
    from sqlalchemy import text
    from sqlalchemy.exc import IntegrityError

    with database.write() as session:
        add_job(session, add_workspace(session))
        with pytest.raises(IntegrityError), session.begin_nested():
            session.execute(text("UPDATE jobs SET status = 'asleep'"))
