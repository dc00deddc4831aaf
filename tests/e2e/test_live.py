"""Events as they happen: each once, in order, resumed where a stream broke off, closed after the last."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from headstart.client import Headstart
from tests.e2e.service import Service


def listen(service: Service, job: str, key: str | None = None, **headers: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(id, event, data) of each message until the server closes."""
    key = key or json.loads((service.home / "credentials.json").read_text())["key"]
    sent = {"Authorization": f"Bearer {key}", "Accept": "text/event-stream", **headers}
    with httpx.stream("GET", f"{service.url}/v1/jobs/{job}/events", headers=sent, timeout=60, trust_env=False) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        message: dict[str, str] = {}
        for line in response.iter_lines():
            if line.startswith(":"):
                continue
            if not line:
                yield message["id"], message["event"], json.loads(message["data"])
                message = {}
                continue
            name, _, value = line.partition(": ")
            message[name] = value


@pytest.fixture
def finished(client: Headstart, few_tweets: Path) -> str:
    dataset = client.find_dataset("live") or client.upload(few_tweets, name="live")
    return client.adapt(dataset, target="label", model="live", wait=True).id


def test_stream_tells_a_running_job_to_its_end_and_closes(client: Headstart, service: Service, few_tweets: Path):
    dataset = client.find_dataset("live") or client.upload(few_tweets, name="live")
    job = client.adapt(dataset, target="label", model="live", layer="encoder.layer.3", pooling="max")
    messages = list(listen(service, job.id))
    assert [int(number) for number, _, _ in messages] == list(range(1, len(messages) + 1))
    assert messages[-1][2]["data"]["to"] == "succeeded"
    assert [data for _, _, data in messages] == [event.model_dump(mode="json") for event in job.events()]


def test_stream_goes_on_where_it_broke_off(client: Headstart, service: Service, finished: str):
    messages = list(listen(service, finished, **{"Last-Event-ID": "3"}))
    assert [int(number) for number, _, _ in messages] == list(range(4, len(messages) + 4))


def test_last_event_id_that_is_no_number_is_422(client: Headstart, service: Service, finished: str):
    key = json.loads((service.home / "credentials.json").read_text())["key"]
    headers = {"Authorization": f"Bearer {key}", "Accept": "text/event-stream", "Last-Event-ID": "job_1"}
    answer = httpx.get(f"{service.url}/v1/jobs/{finished}/events", headers=headers, trust_env=False)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_field")


def test_stream_ends_soon_after_its_key_is_revoked(client: Headstart, service: Service, few_tweets: Path):
    dataset = client.find_dataset("live") or client.upload(few_tweets, name="live")
    job = client.adapt(dataset, target="label", model="live")
    job.wait(progress=False)
    key = client.create_key(name="short", scopes=["read"])
    seen: list[Any] = []
    # after the last event nothing more comes, so only the key ends this stream
    thread = threading.Thread(target=lambda: seen.extend(listen(service, job.id, key.key, **{"Last-Event-ID": "999999"})))
    thread.start()
    time.sleep(0.5)
    client.revoke_key(key.id)
    thread.join(6)
    assert not thread.is_alive()
    assert seen == []


def test_metrics_are_those_of_the_report(client: Headstart, finished: str):
    metrics = client.list_job_metrics(finished).data
    report = client.get_job_report(finished).tasks["label"].metrics
    assert {metric.name: metric.value for metric in metrics if metric.split == "test"} == report
