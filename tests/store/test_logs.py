"""A job's log: numbered without gaps whoever writes, bounded, and with the words that its people get."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from headstart.specs.problems import Failure
from headstart.store import jobs, leases, logs
from headstart.store.database import Database
from headstart.store.tables import Job
from tests.store.world import FAILURE, NOW, add_job, add_workspace, at_once, claim, run_to_the_end

OUT_OF_MEMORY = Failure(code="out_of_memory", message="One row alone does not fit.", hint="Lower training.max_tokens.")


def said(*messages: str) -> list[logs.Said]:
    return [logs.Said(message, NOW) for message in messages]


def lines_of(database: Database, job_id: str) -> list[tuple[int, int, str, str]]:
    with database.read() as session:
        found = logs.list_lines(session, job_id, after=0, limit=2 * logs.MOST_LINES)
        return [(line.seq, line.attempt, line.level, line.message) for line in found]


def write(database: Database, lease: leases.Lease, lines: list[logs.Said]) -> bool:
    with database.write() as session:
        job = jobs.find_running(session, lease.id, epoch=lease.epoch)
        if job is not None:
            logs.add_lines(session, job, lines)
        return job is not None


@pytest.fixture
def lease(database: Database) -> leases.Lease:
    """The first attempt at a job."""
    with database.write() as session:
        add_job(session, add_workspace(session))
        return claim(session)


def test_the_log_tells_each_attempt_from_its_claim_to_its_end(database: Database, lease: leases.Lease):
    assert write(database, lease, said("One.", "Two."))
    with database.write() as session:
        leases.lose(session, lease.kind, lease.id, lease.epoch, failure=FAILURE, now=NOW)
        leases.give_back(session, claim(session), now=NOW)
        third = claim(session)
        row = leases.held(session, third)
        assert row is not None
        leases.fail(session, third.kind, row, OUT_OF_MEMORY, now=NOW)
    assert lines_of(database, lease.id) == [
        (1, 1, "info", "Claimed by attempt 1 of 3."),
        (2, 1, "info", "One."),
        (3, 1, "info", "Two."),
        (4, 1, "warning", "Lost: The worker stopped answering. The next attempt follows."),
        (5, 2, "info", "Claimed by attempt 2 of 3."),
        (6, 2, "info", "Given back: its worker is stopping. This attempt does not count."),
        (7, 2, "info", "Claimed by attempt 2 of 3."),
        (8, 2, "error", "Failed: One row alone does not fit. Lower training.max_tokens."),
    ]


def test_the_last_line_of_a_job_whose_attempts_all_died_is_what_its_people_read(database: Database, lease: leases.Lease):
    with database.write() as session:
        for _ in range(2):
            leases.lose(session, lease.kind, lease.id, lease.epoch, failure=FAILURE, now=NOW)
            lease = claim(session)
        leases.lose(session, lease.kind, lease.id, lease.epoch, failure=FAILURE, now=NOW)
        error = session.get_one(Job, lease.id).error
    assert error == {"code": "worker_lost", "message": "The worker stopped answering. That was attempt 3 of 3.", "hint": None}
    assert lines_of(database, lease.id)[-1][1:] == (3, "error", f"Failed: {error['message']}")


def test_a_cancelled_job_says_so_whether_it_waited_or_ran(database: Database, lease: leases.Lease):
    with database.write() as session:
        jobs.cancel_job(session, lease.workspace_id, lease.id, now=NOW)
        leases.lose(session, lease.kind, lease.id, lease.epoch, failure=FAILURE, now=NOW)
        waiting = add_job(session, lease.workspace_id, dataset=None, model="other").id
        jobs.cancel_job(session, lease.workspace_id, waiting, now=NOW)
    assert lines_of(database, lease.id)[-1] == (2, 1, "info", "Cancelled.")
    assert lines_of(database, waiting) == [(1, 0, "info", "Cancelled while it waited.")]


def test_an_attempt_that_lost_its_lease_writes_nothing(database: Database, lease: leases.Lease):
    with database.write() as session:
        leases.lose(session, lease.kind, lease.id, lease.epoch, failure=FAILURE, now=NOW)
        claim(session)
    before = lines_of(database, lease.id)
    assert not write(database, lease, said("I am still here."))
    assert lines_of(database, lease.id) == before


def test_numbers_have_no_gaps_and_no_repetition_when_many_write_at_once(database: Database, lease: leases.Lease):
    def tell(session: Session) -> None:
        job = jobs.find_running(session, lease.id, epoch=lease.epoch)
        assert job is not None
        logs.add_lines(session, job, said("One.", "Two.", "Three."))

    assert at_once(database, *[tell] * 6) == [None] * 6
    assert [line[0] for line in lines_of(database, lease.id)] == list(range(1, 1 + 1 + 6 * 3))


def test_a_log_that_is_full_says_so_once_and_still_tells_how_the_job_ended(database: Database, lease: leases.Lease):
    write(database, lease, said(*(f"Line {number}." for number in range(logs.MOST_LINES - 5))))
    for _ in range(3):
        assert write(database, lease, said(*"abcdefg"))
    with database.write() as session:
        leases.lose(session, lease.kind, lease.id, lease.epoch, failure=FAILURE, now=NOW)
        second = claim(session)
    write(database, second, said("Another attempt."))
    lines = lines_of(database, lease.id)
    assert [line[0] for line in lines] == list(range(1, logs.MOST_LINES + 3))
    assert [line[2:] for line in lines[-6:-2]] == [("info", "a"), ("info", "b"), ("info", "c"), ("warning", logs.FULL)]
    assert [line[3].partition(":")[0] for line in lines[-2:]] == ["Lost", "Claimed by attempt 2 of 3."]


def test_a_log_that_what_ended_an_attempt_has_filled_says_so_too(database: Database, lease: leases.Lease):
    write(database, lease, said(*["."] * (logs.MOST_LINES - 2)))
    with database.write() as session:
        leases.lose(session, lease.kind, lease.id, lease.epoch, failure=FAILURE, now=NOW)
        second = claim(session)
    for _ in range(2):
        write(database, second, said("Another attempt."))
    assert [line[3] for line in lines_of(database, lease.id)][logs.MOST_LINES :] == ["Claimed by attempt 2 of 3.", logs.FULL]


def test_a_long_line_is_cut(database: Database, lease: leases.Lease):
    write(database, lease, said("x" * 5_000, "y" * logs.MOST_CHARACTERS))
    cut, whole = (line[3] for line in lines_of(database, lease.id)[1:])
    assert (len(cut), cut[-2:]) == (logs.MOST_CHARACTERS, "x…")
    assert whole == "y" * logs.MOST_CHARACTERS


def test_lines_keep_the_time_at_which_they_were_said_and_are_given_from_any_number_on(database: Database, lease: leases.Lease):
    later = NOW + timedelta(milliseconds=250)
    write(database, lease, [*said("One."), logs.Said("Two.", later, "warning"), *said("Three.")])
    with database.read() as session:
        found = [logs.view(line) for line in logs.list_lines(session, lease.id, after=2, limit=1)]
    assert [(line.seq, line.at, line.level, line.message) for line in found] == [(3, later, "warning", "Two.")]


def test_another_jobs_log_is_its_own(database: Database, lease: leases.Lease):
    with database.write() as session:
        other = add_job(session, lease.workspace_id, model="other").id
        run_to_the_end(session)
    write(database, lease, said("One."))
    assert [line[0] for line in lines_of(database, lease.id)] == [1, 2]
    assert [line[3] for line in lines_of(database, other)] == ["Claimed by attempt 1 of 3."]
