"""Events and log lines, by pages and live: each once, in order, to those who may see them, until the job has ended."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from headstart.store import jobs, leases, logs
from headstart.store.tables import Job
from tests.app.service import Running, problem
from tests.store import world

both = pytest.mark.parametrize("what", ["events", "logs"])
ENDS_WITHIN = 5.0
"""Seconds that a stream may outlive its key, by the service's promise."""


def tell(running: Running, job: str, *messages: str) -> None:
    """What the attempt that has the job says, and how far it is."""
    with running.services.database.write() as session:
        epoch = session.get_one(Job, job).epoch
        row = jobs.find_running(session, job, epoch=epoch)
        assert row is not None
        now = running.services.clock()
        logs.add_lines(session, row, [logs.Said(message, now) for message in messages])
        jobs.note(session, row, [jobs.Happening("warning", {"code": "said", "message": message}, now) for message in messages])


def finish(running: Running, job: str) -> None:
    with running.services.database.write() as session:
        row = session.get_one(Job, job)
        leases.fail(session, "job", row, world.FAILURE, now=running.services.clock())


class Stream:
    """Server-sent events as they come, comments among them as (None, words, None)."""

    def __init__(self, response: httpx.Response) -> None:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        self._lines = response.iter_lines()

    def __iter__(self) -> Iterator[tuple[int | None, str, Any]]:
        fields: dict[str, str] = {}
        for line in self._lines:
            if line.startswith(":"):
                yield None, line[1:].strip(), None
            elif line:
                name, _, value = line.partition(": ")
                fields[name] = value
            elif fields:
                yield int(fields["id"]), fields["event"], json.loads(fields["data"])
                fields = {}


@contextmanager
def listening(running: Running, job: str, what: str, who: str = "reader", **headers: str) -> Iterator[Stream]:
    sent = {"Accept": "text/event-stream", **headers}
    with running.client(who) as client, client.stream("GET", f"/v1/jobs/{job}/{what}", headers=sent) as response:
        yield Stream(response)


@pytest.fixture
def job(running: Running, ids: dict[str, str]) -> str:
    """A claimed job that nobody works at."""
    return ids["job"]


@both
def test_pages_are_the_rows_from_any_number_on_oldest_first(running: Running, job: str, what: str):
    tell(running, job, *(f"line {number}" for number in range(7)))
    with running.client("reader") as client:
        pages: list[dict[str, Any]] = []
        after: str | None = "0"
        while after is not None:
            pages.append(client.get(f"/v1/jobs/{job}/{what}", params={"after": after, "limit": 3}).json())
            after = pages[-1]["next"]
    assert [page["has_more"] for page in pages] == [True] * (len(pages) - 1) + [False]
    rows = [row for page in pages for row in page["data"]]
    assert [row["seq"] for row in rows] == list(range(1, len(rows) + 1))
    assert len(rows) > 7


def test_a_line_has_the_shape_of_the_contract(running: Running, job: str):
    with running.client("reader") as client:
        line = client.get(f"/v1/jobs/{job}/logs").json()["data"][0]
    assert line == {
        "object": "log",
        "seq": 1,
        "attempt": 1,
        "at": "2026-11-24T03:00:00.000Z",
        "level": "info",
        "message": "Claimed by attempt 1 of 3.",
    }


@both
def test_a_stream_tells_what_was_what_comes_and_the_end(running: Running, job: str, what: str):
    tell(running, job, "before")
    with running.client("reader") as client, listening(running, job, what) as stream:
        messages = iter(stream)
        known = client.get(f"/v1/jobs/{job}/{what}").json()["data"]
        seen = [next(messages) for _ in known]
        tell(running, job, "then")
        seen.append(next(messages))
        finish(running, job)
        seen += messages
        rows = client.get(f"/v1/jobs/{job}/{what}").json()["data"]
    assert seen.pop() == (None, "end", None)
    assert [(number, data) for number, _, data in seen] == [(row["seq"], row) for row in rows]
    assert {name for _, name, _ in seen} == ({"log"} if what == "logs" else {"status", "warning"})
    assert "worker stopped answering" in rows[-1]["message"] if what == "logs" else rows[-1]["data"]["to"] == "failed"


@both
def test_a_stream_that_broke_off_goes_on_after_the_last_row_that_was_seen(running: Running, job: str, what: str):
    tell(running, job, *(f"line {number}" for number in range(150)))
    seen = []
    with listening(running, job, what) as stream:
        messages = iter(stream)
        seen += [next(messages)[0] for _ in range(40)]
    tell(running, job, "meanwhile")
    finish(running, job)
    with listening(running, job, what, **{"Last-Event-ID": str(seen[-1])}) as stream:
        seen += [number for number, _, _ in stream if number is not None]
    with running.client("reader") as client:
        last = client.get(f"/v1/jobs/{job}/{what}", params={"after": 140}).json()["data"][-1]["seq"]
    assert seen == list(range(1, last + 1))


@both
def test_a_stream_that_is_taken_up_after_the_last_row_of_an_ended_job_ends_at_once(running: Running, job: str, what: str):
    finish(running, job)
    with listening(running, job, what, **{"Last-Event-ID": "999"}) as stream:
        assert list(stream) == [(None, "end", None)]


@both
def test_a_stream_of_a_foreign_job_is_404_like_one_that_never_was(running: Running, job: str, what: str):
    with running.client("stranger") as client:
        answers = [client.get(f"/v1/jobs/{name}/{what}", headers={"Accept": "text/event-stream"}) for name in (job, "job_nothing")]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert problem(answers[0]) == problem(answers[1])


@both
@pytest.mark.parametrize("sent", ["job_1", "-1", "1.5", "9" * 17, "9" * 400, "٣"])
def test_a_last_event_id_that_is_no_number_of_ours_is_422(running: Running, job: str, what: str, sent: str):
    headers = {b"Accept": b"text/event-stream", b"Last-Event-ID": sent.encode()}
    with running.client("reader") as client:
        answer = client.get(f"/v1/jobs/{job}/{what}", headers=headers)
    assert (answer.status_code, problem(answer)["code"]) == (422, "invalid_field")


@both
def test_a_stream_ends_soon_after_its_key_is_revoked(running: Running, job: str, what: str):
    with running.client() as client:
        key = client.post("/v1/keys", json={"name": "short", "scopes": ["read"]}).json()
        running.secrets["short"] = key["key"]
        with listening(running, job, what, "short") as stream:
            messages = iter(stream)
            next(messages)
            client.delete(f"/v1/keys/{key['id']}")
            began = time.monotonic()
            rest = list(messages)
        assert time.monotonic() - began < ENDS_WITHIN
        assert (None, "end", None) not in rest
        assert problem(client.get(f"/v1/jobs/{job}/{what}", headers={"Authorization": f"Bearer {key['key']}"}))["code"] == "unauthenticated"


@both
def test_streams_end_with_the_service_and_without_saying_that_nothing_follows(running: Running, job: str, what: str):
    with listening(running, job, what) as stream:
        messages = iter(stream)
        next(messages)
        running.services.stopping.set()
        assert (None, "end", None) not in list(messages)
