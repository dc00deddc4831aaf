"""The sweeper ends what is silent for a whole lease by its own clock, and nothing else."""

from __future__ import annotations

from datetime import timedelta

import pytest

from headstart.store import leases
from headstart.store.database import Database
from headstart.store.leases import Lease
from headstart.store.tables import Job
from tests.store import world
from worker.outcomes import Outcomes
from worker.sweeper import Sweeper

LEASE_SECONDS = 30.0


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lease(database: Database) -> Lease:
    with database.write() as session:
        world.add_job(session, world.add_workspace(session))
        return world.claim(session)


def status_of(database: Database, job_id: str) -> str:
    with database.read() as session:
        return session.get_one(Job, job_id).status


def test_silent_lease_is_lost_after_its_time_and_the_job_waits_again(database: Database, outcomes: Outcomes, clock: Clock, lease: Lease):
    sweeper = Sweeper(database, outcomes, LEASE_SECONDS, clock)
    assert sweeper.sweep(world.NOW) == 0
    clock.now += LEASE_SECONDS - 1
    assert sweeper.sweep(world.NOW) == 0
    clock.now += 1
    assert sweeper.sweep(world.NOW) == 1
    assert status_of(database, lease.id) == "queued"


def test_lease_that_beats_is_never_lost(database: Database, outcomes: Outcomes, clock: Clock, lease: Lease):
    sweeper = Sweeper(database, outcomes, LEASE_SECONDS, clock)
    for _ in range(10):
        clock.now += LEASE_SECONDS - 1
        assert sweeper.sweep(world.NOW) == 0
        with database.write() as session:
            assert leases.renew(session, lease) is not None


def test_jump_of_the_wall_clock_loses_nothing(database: Database, outcomes: Outcomes, clock: Clock, lease: Lease):
    sweeper = Sweeper(database, outcomes, LEASE_SECONDS, clock)
    for days in (0, 400, -400):
        assert sweeper.sweep(world.NOW + timedelta(days=days)) == 0


def test_beat_between_look_and_end_saves_the_lease(database: Database, lease: Lease):
    with database.write() as session:
        leases.renew(session, lease)
        assert not leases.lose(session, lease.kind, lease.id, lease.epoch, beat=0, failure=world.FAILURE, now=world.NOW)


def test_work_that_loses_every_attempt_fails_with_worker_lost(database: Database, outcomes: Outcomes, clock: Clock):
    with database.write() as session:
        job_id = world.add_job(session, world.add_workspace(session), max_attempts=2).id
    for _ in range(2):
        with database.write() as session:
            world.claim(session)
        sweeper = Sweeper(database, outcomes, LEASE_SECONDS, clock)
        sweeper.sweep(world.NOW)
        clock.now += LEASE_SECONDS
        assert sweeper.sweep(world.NOW) == 1
    with database.read() as session:
        job = session.get_one(Job, job_id)
        assert (job.status, job.error["code"] if job.error else None) == ("failed", "worker_lost")
