"""A job that is watched: its events and its log as they happen, each once, in order, resumed where a stream broke off, closed after the last."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from headstart.client import AsyncHeadstart, Headstart, JobHandle
from headstart.errors import NotFound, Unauthenticated
from headstart.specs.datasets import Dataset
from tests.e2e.service import Service, wait_for

both = pytest.mark.parametrize("what", ["events", "logs"])
HEAD = {"type": "feature-extraction", "head": {"type": "mlp", "hidden": [256]}}


def listen(service: Service, job: str, what: str, key: str | None = None, **headers: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(id, event, data) of each message until the server closes."""
    key = key or json.loads((service.home / "credentials.json").read_text())["key"]
    sent = {"Authorization": f"Bearer {key}", "Accept": "text/event-stream", **headers}
    with httpx.stream("GET", f"{service.url}/v1/jobs/{job}/{what}", headers=sent, timeout=60, trust_env=False) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        message: dict[str, str] = {}
        for line in response.iter_lines():
            if line.startswith(":"):
                continue
            if line:
                name, _, value = line.partition(": ")
                message[name] = value
            elif message:
                yield message["id"], message["event"], json.loads(message["data"])
                message = {}


def rows(handle: JobHandle, what: str) -> list[dict[str, Any]]:
    found = handle.events() if what == "events" else handle.logs()
    return [row.model_dump(mode="json") for row in found]


@pytest.fixture(scope="module")
def dataset(service: Service, few_tweets: Path) -> Dataset:
    with service.client() as client:
        return client.upload(few_tweets, name="live")


@pytest.fixture(scope="module")
def finished(service: Service, dataset: Dataset) -> str:
    with service.client() as client:
        return client.adapt(dataset, target="label", model="live", wait=True).id


def start(client: Headstart, dataset: Dataset, epochs: int) -> JobHandle:
    """A job that has something to say for a while."""
    return client.adapt(dataset, target="label", model="live", method=HEAD, training={"epochs": epochs})


@pytest.fixture
def endless(client: Headstart, dataset: Dataset) -> Iterator[JobHandle]:
    """A job that ends when it is cancelled."""
    handle = start(client, dataset, 10_000)
    yield handle
    handle.cancel()
    while not handle.refresh(wait=10).status.terminal:
        pass


@both
def test_stream_tells_a_running_job_to_its_end_and_closes(client: Headstart, service: Service, dataset: Dataset, what: str):
    job = client.adapt(dataset, target="label", model="live", layer="encoder.layer.3", pooling="max", seed=len(what))
    messages = list(listen(service, job.id, what))
    assert [int(number) for number, _, _ in messages] == list(range(1, len(messages) + 1))
    assert [data for _, _, data in messages] == rows(job, what)
    assert client.get_job(job.id).status == "succeeded"
    if what == "events":
        assert messages[-1][2]["data"]["to"] == "succeeded"
    else:
        assert re.match(r"Succeeded: this is version \d+ of the model 'live'\.", messages[-1][2]["message"])


def test_log_of_a_real_job_says_what_happened_in_its_order(client: Headstart, finished: str):
    lines = [line.message for line in client.job(finished).logs()]
    words = [line for line in lines if not line.startswith("A baseline was trained")]  # an earlier job on these rows may have done it
    expected = (
        r"Claimed by attempt 1 of 3\.",
        r"Preparing feature-extraction on '.*': only the head learns; the boundary is '.*'\.",
        r"300 rows, split by the seed: \d+ to train, \d+ to validate, \d+ to test\.",
        r"The backbone runs in (float32|bfloat16): .*",
        r"Features: .*",
        r"Preparing took \d+\.\d s; training begins\.",
        r"A linear head is solved on \d+ rows\.",
        r"Training took \d+\.\d s; evaluating begins\.",
        r"The validation rows set the temperature to \d+\.\d+\.",
        r"Validation, \d+ rows: accuracy .*",
        r"Test, \d+ rows: accuracy .*",
        r"Evaluating took \d+\.\d s; publishing begins\.",
        r"The artifact has [\d,]+ bytes; .*",
        r"Succeeded: .*",
    )
    assert len(words) == len(expected), words
    for pattern, line in zip(expected, words, strict=True):
        assert re.fullmatch(pattern, line), line


@both
def test_stream_goes_on_where_it_broke_off_while_the_job_runs(client: Headstart, service: Service, dataset: Dataset, what: str):
    job = start(client, dataset, 100)
    seen: list[dict[str, Any]] = []
    while len(seen) < 20:
        last = {"Last-Event-ID": str(seen[-1]["seq"])} if seen else {}
        seen += [data for _, _, data in itertools.islice(listen(service, job.id, what, **last), 5)]
    seen += [data for _, _, data in listen(service, job.id, what, **{"Last-Event-ID": str(seen[-1]["seq"])})]
    assert seen == rows(job, what)
    assert [row["seq"] for row in seen] == list(range(1, len(seen) + 1))
    assert job.refresh().status == "succeeded"


def test_client_follows_a_job_that_is_cancelled_to_its_last_line(endless: JobHandle):
    seen = []
    for line in endless.client.follow_job_logs(endless.id):
        seen.append(line)
        if len(seen) == 12:
            endless.cancel()
    assert seen == endless.logs()
    assert seen[-1].message == "Cancelled."


def test_asynchronous_client_follows_a_log_as_well(service: Service, client: Headstart, finished: str):
    async def work() -> list[Any]:
        async with AsyncHeadstart(home=service.home) as awaited:
            return [line async for line in awaited.follow_job_logs(finished, after=2)]

    assert asyncio.run(work()) == client.job(finished).logs()[2:]


@both
def test_stream_of_a_foreign_job_is_404(client: Headstart, service: Service, finished: str, what: str):
    workspace = client.create_workspace(name="others")
    key = client.create_key(name="theirs", scopes=["read"], workspace=workspace.id)
    with service.client(key.key) as stranger, pytest.raises(NotFound) as theirs:
        list(stranger.follow_job_events(finished) if what == "events" else stranger.follow_job_logs(finished))
    with service.client(key.key) as stranger, pytest.raises(NotFound) as nobodys:
        list(stranger.follow_job_events("job_nothing") if what == "events" else stranger.follow_job_logs("job_nothing"))
    assert str(theirs.value) == str(nobodys.value)


@both
def test_last_event_id_that_is_no_number_is_422(client: Headstart, service: Service, finished: str, what: str):
    key = json.loads((service.home / "credentials.json").read_text())["key"]
    headers = {"Authorization": f"Bearer {key}", "Accept": "text/event-stream", "Last-Event-ID": "job_1"}
    answer = httpx.get(f"{service.url}/v1/jobs/{finished}/{what}", headers=headers, trust_env=False)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_field")


def test_streams_end_soon_after_their_key_is_revoked(client: Headstart, service: Service, endless: JobHandle):
    key = client.create_key(name="short", scopes=["read"])
    seen: dict[str, int] = {"events": 0, "logs": 0}

    def count(what: str) -> None:
        for _ in listen(service, endless.id, what, key.key):
            seen[what] += 1

    threads = [threading.Thread(target=count, args=(what,)) for what in seen]
    for thread in threads:
        thread.start()
    wait_for(lambda: all(seen.values()), 30, "a first message")
    client.revoke_key(key.id)
    for thread in threads:
        thread.join(6)
    assert not any(thread.is_alive() for thread in threads)
    assert not endless.refresh().status.terminal  # so only the key ended them
    with service.client(key.key) as revoked, pytest.raises(Unauthenticated):
        list(revoked.follow_job_logs(endless.id))


def test_metrics_are_those_of_the_report(client: Headstart, finished: str):
    metrics = client.list_job_metrics(finished).data
    report = client.get_job_report(finished).tasks["label"].metrics
    assert {metric.name: metric.value for metric in metrics if metric.split == "test"} == report
