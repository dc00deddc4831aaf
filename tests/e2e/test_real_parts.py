"""The same job on the databases and brokers that teams use; each test makes and drops its own."""

from __future__ import annotations

import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from tests.e2e.service import kill, running_service, wait_for
from tests.store.databases import empty_database


@contextmanager
def own_redis() -> Iterator[dict[str, str]]:
    client = redis.Redis(host="127.0.0.1", port=6379, socket_connect_timeout=2)
    prefix = f"headstart-test-{uuid.uuid4().hex}:"
    try:
        client.ping()
    except redis.ConnectionError:
        pytest.skip("no Redis answers on 127.0.0.1:6379")
    try:
        yield {"HEADSTART_BROKER_URL": "redis://127.0.0.1:6379/0", "HEADSTART_BROKER_PREFIX": prefix}
    finally:
        for key in client.scan_iter(f"{prefix}*"):
            client.delete(key)
        client.close()


@contextmanager
def own_rabbitmq() -> Iterator[dict[str, str]]:
    vhost = f"headstart-test-{uuid.uuid4().hex}"

    def control(*words: str) -> bool:
        try:
            return subprocess.run(["rabbitmqctl", "-q", *words], capture_output=True, timeout=60, check=False).returncode == 0
        except FileNotFoundError:
            return False

    if not control("add_vhost", vhost):
        pytest.skip("no RabbitMQ is run here that rabbitmqctl can speak to")
    try:
        assert control("set_permissions", "-p", vhost, "guest", ".*", ".*", ".*")
        yield {"HEADSTART_BROKER_URL": f"amqp://guest:guest@127.0.0.1:5672/{vhost}"}
    finally:
        control("delete_vhost", vhost)


@pytest.mark.slow
@pytest.mark.parametrize("broker", [own_redis, own_rabbitmq], ids=["redis", "rabbitmq"])
def test_job_on_postgresql_and_a_broker_survives_the_death_of_its_worker(broker, tmp_path: Path, few_tweets: Path):
    with (
        empty_database("postgresql", tmp_path) as database,
        broker() as queue,
        running_service(tmp_path / "home", HEADSTART_DATABASE_URL=database, **queue) as service,
        service.client() as client,
    ):
        dataset = client.upload(few_tweets, name="few")
        first = client.adapt(dataset, target="label", model="few", wait=True)
        assert first.job.status == "succeeded"
        assert first.job.seconds.queued < 5  # the doorbell was heard, not the poll
        wait_for(service.has_engine, 30, "an engine child")
        second = client.adapt(dataset, target="label", model="few", layer="encoder.layer.2", pooling="max")
        kill(service.worker())
        assert client.get_job(second.id, wait=60).status == "succeeded"
        assert client.predict("few:2", ["what a day"]).version == 2
