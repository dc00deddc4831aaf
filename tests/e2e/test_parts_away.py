"""A database or a broker that is away: at the start it is waited for, in the middle of a job it costs time alone."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from headstart.client import Headstart
from headstart.client.credentials import find_credentials
from tests.e2e.service import Service, running_service, wait_for
from tests.e2e.test_real_parts import own_rabbitmq, own_redis
from tests.proxy import Proxy, proxied
from tests.store.databases import empty_database

AWAY_SECONDS = 30.0
PROMISED_SECONDS = 5.0
REAL_LEASES = {"HEADSTART_BEAT_SECONDS": "5", "HEADSTART_LEASE_SECONDS": "30", "HEADSTART_POLL_SECONDS": "15"}

pytestmark = pytest.mark.slow


class Answer(NamedTuple):
    status: int
    seconds: float
    retry_after: str | None


@contextmanager
def postgresql_behind_a_proxy(folder: Path) -> Iterator[tuple[Proxy, dict[str, str]]]:
    with empty_database("postgresql", folder) as url, proxied(5432) as proxy:
        yield proxy, {"HEADSTART_DATABASE_URL": url.replace(":5432", f":{proxy.port}")}


@contextmanager
def redis_behind_a_proxy() -> Iterator[tuple[Proxy, dict[str, str]]]:
    with own_redis() as settings, proxied(6379) as proxy:
        yield proxy, settings | {"HEADSTART_BROKER_URL": settings["HEADSTART_BROKER_URL"].replace(":6379", f":{proxy.port}")}


@contextmanager
def rabbitmq_behind_a_proxy() -> Iterator[tuple[Proxy, dict[str, str]]]:
    with own_rabbitmq() as settings, proxied(5672) as proxy:
        yield proxy, {"HEADSTART_BROKER_URL": settings["HEADSTART_BROKER_URL"].replace(":5672", f":{proxy.port}")}


def ask(service: Service, path: str) -> Answer:
    credentials = find_credentials(home=service.home)
    headers = {"Authorization": f"Bearer {credentials.key}"}
    began = time.monotonic()
    response = httpx.get(f"{credentials.url}{path}", headers=headers, timeout=60, trust_env=False)
    return Answer(response.status_code, time.monotonic() - began, response.headers.get("retry-after"))


def ask_until(service: Service, moment: float) -> list[Answer]:
    """Twelve callers, who ask again and again."""
    paths = ["/v1/jobs", "/v1/models", "/readyz", "/v1/datasets"]

    def caller(number: int) -> list[Answer]:
        answers = []
        while time.monotonic() < moment:
            answers.append(ask(service, paths[number % len(paths)]))
            time.sleep(0.2)
        return answers

    with ThreadPoolExecutor(12) as threads:
        return [answer for answers in threads.map(caller, range(12)) for answer in answers]


@pytest.mark.parametrize(
    ("how", "seconds"),
    [(Proxy.cut, AWAY_SECONDS), (Proxy.stall, AWAY_SECONDS), (Proxy.stall, 10.0), (Proxy.cut, 10.0)],
    ids=["cut for 30 s", "silent for 30 s", "silent for 10 s", "cut for 10 s"],
)
def test_job_outlives_its_database_and_the_api_says_503_within_five_seconds(
    how: Callable[[Proxy], None], seconds: float, tmp_path: Path, few_tweets: Path
):
    hold = tmp_path / "hold"
    with (
        postgresql_behind_a_proxy(tmp_path) as (proxy, database),
        running_service(tmp_path / "home", HEADSTART_FAILPOINT=f"training={hold}", **database, **REAL_LEASES) as service,
        service.client() as client,
    ):
        dataset = client.upload(few_tweets, name="few")
        client.adapt(dataset, target="label", model="few", wait=True)
        hold.touch()
        job = client.adapt(dataset, target="label", model="few", layer="encoder.layer.2", pooling="max")
        wait_for(lambda: client.get_job(job.id).status == "training", 60, "a job in training")

        with ThreadPoolExecutor(1) as background:
            waiting = background.submit(job.wait, progress=False)  # the client, too, goes on
            how(proxy)
            began = time.monotonic()
            time.sleep(0.5)
            hold.unlink()  # what it has learnt waits for the database
            assert ask(service, "/livez").seconds < 1
            answers = ask_until(service, began + seconds)
            proxy.heal()
            healed = time.monotonic()
            wait_for(lambda: ask(service, "/readyz").status == 200, 10, "a ready API")
            assert waiting.result(120).status == "succeeded"
            assert time.monotonic() - healed < 20  # sooner than its lease would have run out
            print(f"succeeded {time.monotonic() - healed:.1f} s after the database was back")

        print(
            f"attempt {client.get_job(job.id).attempt};",
            Counter(answer.status for answer in answers),
            f"slowest {max(answer.seconds for answer in answers):.2f} s",
        )
        assert {answer.status for answer in answers} == {503}
        assert all(answer.retry_after is not None for answer in answers)
        assert max(answer.seconds for answer in answers) <= PROMISED_SECONDS
        assert client.get_job(job.id).attempt == 1  # let go or not, it was not the job's fault
        assert client.predict("few:2", ["what a day"]).version == 2
        assert "request_failed" not in service.log


def heard(client: Headstart, dataset: str, seed: int) -> bool:
    """Whether a job was begun because the doorbell rang: a poll would come by chance only."""
    return client.adapt(dataset, target="label", model="few", seed=seed, wait=True).job.seconds.queued < 2


@pytest.mark.parametrize("how", [Proxy.cut, Proxy.stall], ids=["cut", "silent"])
@pytest.mark.parametrize("broker", [redis_behind_a_proxy, rabbitmq_behind_a_proxy], ids=["redis", "rabbitmq"])
def test_broker_that_is_away_costs_time_alone_and_is_heard_again(broker, how: Callable[[Proxy], None], tmp_path: Path, few_tweets: Path):
    with (
        broker() as (proxy, settings),
        running_service(tmp_path / "home", **settings, HEADSTART_POLL_SECONDS="20") as service,
        service.client() as client,
    ):
        dataset = client.upload(few_tweets, name="few").id
        assert heard(client, dataset, 0)
        worker = service.worker()
        how(proxy)
        began = time.monotonic()
        job = client.adapt(dataset, target="label", model="few", seed=1)  # 202, or this would raise
        assert time.monotonic() - began < 2
        assert client.get_job(job.id, wait=40).status == "succeeded"
        time.sleep(max(0.0, began + AWAY_SECONDS - time.monotonic()))
        assert worker.alive  # it was not ended and started again
        proxy.heal()
        healed = time.monotonic()
        seeds = iter(range(10, 1000))
        wait_for(lambda: heard(client, dataset, next(seeds)) and heard(client, dataset, next(seeds)), 60, "a doorbell that is heard")
        print(f"heard again {time.monotonic() - healed:.1f} s after the broker was back")


@pytest.mark.parametrize("broker", [redis_behind_a_proxy, rabbitmq_behind_a_proxy], ids=["redis", "rabbitmq"])
def test_doorbell_whose_connections_were_forgotten_on_the_way_is_heard_again(broker, tmp_path: Path, few_tweets: Path):
    with (
        broker() as (proxy, settings),
        running_service(tmp_path / "home", **settings, HEADSTART_POLL_SECONDS="20") as service,
        service.client() as client,
    ):
        dataset = client.upload(few_tweets, name="few").id
        assert heard(client, dataset, 0)
        proxy.strand()
        stranded = time.monotonic()
        seeds = iter(range(1, 1000))
        wait_for(lambda: heard(client, dataset, next(seeds)) and heard(client, dataset, next(seeds)), 90, "a doorbell that is heard")
        print(f"heard again after {time.monotonic() - stranded:.1f} s")


def test_database_and_broker_that_are_down_at_the_start_are_waited_for(tmp_path: Path, few_tweets: Path):
    with postgresql_behind_a_proxy(tmp_path) as (database, settings), redis_behind_a_proxy() as (broker, more):
        database.cut()
        broker.cut()
        back = threading.Timer(12, database.heal)
        back.start()
        with running_service(tmp_path / "home", **settings, **more, HEADSTART_POLL_SECONDS="20") as service, service.client() as client:
            back.join()
            assert "The database did not answer." in service.log
            assert "Connection refused" in service.log
            assert "Traceback" not in service.log
            dataset = client.upload(few_tweets, name="few").id
            client.adapt(dataset, target="label", model="few", wait=True)
            assert "broker_away" in service.log
            broker.heal()
            seeds = iter(range(1, 1000))
            wait_for(lambda: heard(client, dataset, next(seeds)) and heard(client, dataset, next(seeds)), 60, "a doorbell that is heard")


def test_broker_that_refuses_the_password_does_not_end_the_worker(tmp_path: Path, few_tweets: Path):
    with own_rabbitmq() as settings:
        wrong = settings["HEADSTART_BROKER_URL"].replace("guest:guest", "guest:wrong")
        quick = {"HEADSTART_BROKER_URL": wrong, "HEADSTART_POLL_SECONDS": "2"}
        with running_service(tmp_path / "home", **quick) as service, service.client() as client:
            worker = service.worker()
            dataset = client.upload(few_tweets, name="few").id
            client.adapt(dataset, target="label", model="few", wait=True)
            wait_for(lambda: service.log.count("AccessRefused") >= 2, 20, "a second try")
            assert worker.alive
            assert "wrong" not in service.log


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--database", "mysql://root:secret@127.0.0.1/x"], "begins with 'mysql'"),
        (["--database", "postgresql+asyncpg://root:secret@127.0.0.1/x"], "begins with 'postgresql+asyncpg'"),
        (["--database", "no url"], "not a database URL"),
        (["--broker", "kafka://user:secret@127.0.0.1"], "HEADSTART_BROKER_URL"),
        (["--broker", "redis://:secret@127.0.0.1/name"], "HEADSTART_BROKER_URL"),
    ],
)
@pytest.mark.parametrize("command", ["up", "worker"])
def test_address_that_can_never_work_is_refused_at_once(command: str, options: list[str], words: str, tmp_path: Path):
    (tmp_path / "headstart.db").touch()
    started = time.monotonic()
    line = [
        sys.executable,
        "-m",
        "headstart.cli",
        command,
        "--home",
        str(tmp_path),
        *options,
        *(["--port", "0"] if command == "up" else []),
    ]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3
    assert time.monotonic() - started < 20
    assert words in done.stderr
    assert "secret" not in done.stderr
    assert "Traceback" not in done.stderr
