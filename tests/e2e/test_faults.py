"""Jobs are never lost: whoever is killed, at whatever moment, the job succeeds once."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import func, select

from headstart.client import Headstart
from headstart.store.database import Database
from headstart.store.states import may_follow
from headstart.store.tables import Artifact, Event, ModelVersion
from tests.e2e.service import Process, Service, kill, running_service, wait_for

STATES = ["queued", "preparing", "training", "evaluating", "publishing", "publish.before_commit"]
VICTIMS = ["supervisor", "child", "both"]
RECOVERY_SECONDS = 60
POOLINGS = ["mean", "first", "max"]


def victims(service: Service, which: str) -> list[Process]:
    wait_for(service.has_engine, 30, "an engine child")
    found = {"supervisor": [service.worker()], "child": [service.engine_child()]}
    return found["supervisor"] + found["child"] if which == "both" else found[which]


def assert_done_once(service: Service, client: Headstart, job_id: str) -> None:
    """Succeeded, one artifact row, one artifact folder, one version, a legal history."""
    deadline = time.monotonic() + RECOVERY_SECONDS
    while not (job := client.get_job(job_id, wait=5)).status.terminal:
        assert time.monotonic() < deadline, f"{job.status} after {RECOVERY_SECONDS} s\n{service.log[-3000:]}"
    assert job.status == "succeeded", job
    database = Database(f"sqlite:///{service.home / 'headstart.db'}")
    with database.read() as session:
        artifacts = list(session.scalars(select(Artifact).where(Artifact.job_id == job_id)))
        assert len(artifacts) == 1
        versions = session.scalar(select(func.count()).where(ModelVersion.artifact_id == artifacts[0].id))
        events = list(session.scalars(select(Event).where(Event.job_id == job_id).order_by(Event.seq)))
    database.close()
    assert versions == 1
    assert [path.name for path in (service.home / "blobs" / "artifacts" / job_id).iterdir()] == [artifacts[0].blob.rpartition("/")[2]]
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    moves = [(event.data["from"], event.data["to"]) for event in events if event.type == "status"]
    assert all(before is None or may_follow(before, after) for before, after in moves)
    assert moves[-1][1] == "succeeded"


@pytest.mark.slow
@pytest.mark.parametrize("state", STATES)
def test_job_survives_the_death_of_anyone_in_any_state(state: str, few_tweets: Path, tmp_path: Path):
    hold = tmp_path / "hold"
    with running_service(tmp_path / "home", HEADSTART_FAILPOINT=f"{state}={hold}") as service, service.client() as client:
        dataset = client.upload(few_tweets, name="few")
        client.adapt(dataset, target="label", model="few", wait=True)
        for which in VICTIMS:
            hold.touch()
            job = client.adapt(dataset, target="label", model="few", seed=VICTIMS.index(which))
            held_in = "publishing" if "." in state else state
            wait_for(lambda: client.get_job(job.id).status == held_in, 30, held_in)  # noqa: B023 - used at once
            time.sleep(0.3)
            dead = victims(service, which)
            kill(*dead)
            hold.unlink()
            assert_done_once(service, client, job.id)
            assert not any(process.alive for process in dead)


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory, tweets: Path) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("busy"), HEADSTART_MAX_ATTEMPTS="5") as service:
        yield service


@pytest.mark.slow
@pytest.mark.parametrize("number", range(20))
def test_job_survives_a_kill_at_a_random_moment(number: int, busy: Service, tweets: Path):
    generator = random.Random(number)
    with busy.client() as client:
        dataset = client.find_dataset("tweets") or client.upload(tweets, name="tweets")
        wait_for(busy.has_engine, 30, "an engine child")
        layer = f"encoder.layer.{number % 6}"
        job = client.adapt(dataset, target="label", model="tweets", layer=layer, pooling=POOLINGS[number % 3])
        moment, which = generator.uniform(0, 4), generator.choice(VICTIMS)
        print(f"kill {which} after {moment:.2f} s")
        time.sleep(moment)
        kill(*victims(busy, which))
        assert_done_once(busy, client, job.id)


def test_torn_message_missing_message_and_message_heard_twice_change_nothing_but_time(service: Service, few_tweets: Path):
    queue = service.home / "queue"
    with service.client() as client:
        dataset = client.find_dataset("rung") or client.upload(few_tweets, name="rung")
        (queue / "00000000000000000001_torn.headstart.ring").touch()
        (queue / "00000000000000000002_cut.headstart.ring").write_bytes(b'{"body": "W1tdLCB7')
        torn = client.adapt(dataset, target="label", model="rung")
        assert_done_once(service, client, torn.id)
        assert not list(queue.glob("*torn*"))

        started = time.monotonic()
        lost = client.adapt(dataset, target="label", model="rung", seed=1)
        for message in queue.glob("*.ring"):
            message.unlink(missing_ok=True)
        assert_done_once(service, client, lost.id)
        assert time.monotonic() - started < 15 + 10

        from headstart.doorbell.ring import Doorbell
        from headstart.settings import load_settings

        bell = Doorbell(load_settings({}, home=service.home))
        twice = client.adapt(dataset, target="label", model="rung", seed=2)
        for _ in range(10):
            bell.ring(twice.id)
        bell.close()
        assert_done_once(service, client, twice.id)
        assert client.get_job(twice.id).attempt == 1


@pytest.mark.slow
def test_killed_child_costs_one_attempt_and_the_job_succeeds(service: Service, few_tweets: Path):
    with service.client() as client:
        dataset = client.find_dataset("hurt") or client.upload(few_tweets, name="hurt")
        wait_for(service.has_engine, 30, "an engine child")
        job = client.adapt(dataset, target="label", model="hurt")
        kill(service.engine_child())
        assert_done_once(service, client, job.id)


@pytest.mark.slow
def test_nothing_is_left_when_the_installation_itself_is_killed(tmp_path: Path, tweets: Path):
    home = tmp_path / "home"
    with running_service(home) as service:
        wait_for(service.has_engine, 30, "an engine child")
        everyone = service.processes()
        assert len(everyone) >= 4
        service.process.kill()
        wait_for(lambda: not [one for one in everyone if one.alive], 15, "the end of every process")
    with running_service(home) as again, again.client() as client:  # the stale pid file is no hindrance
        assert client.get_health()
