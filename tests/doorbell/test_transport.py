"""The queue folder, and broker addresses that can never work."""

from __future__ import annotations

from pathlib import Path

import pytest

from headstart.doorbell import transport
from headstart.doorbell.celery import QUEUE, TASK, make_celery
from headstart.errors import BadInput
from headstart.settings import load_settings


def test_a_folder_that_no_worker_hears_stops_growing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(transport, "MOST_WAITING", 5)  # a limit, not a function: a thousand files say no more
    celery = make_celery(load_settings({}, home=tmp_path))
    for number in range(8):
        celery.send_task(TASK, [f"job_{number}"], queue=QUEUE, ignore_result=True, retry=False)
    celery.close()
    assert len(list((tmp_path / "queue").glob("*.ring"))) == 5


@pytest.mark.parametrize("url", ["redis", "http://host", "sqs://", "redis://host:port/0", "redis://host/name", "bogus://host"])
def test_a_broker_that_can_never_work_is_refused_at_once(url: str, tmp_path: Path):
    with pytest.raises(BadInput, match="HEADSTART_BROKER_URL"):
        make_celery(load_settings({}, home=tmp_path, broker_url=url))


@pytest.mark.parametrize(
    "url", ["redis://host:6379/0", "redis://host", "rediss://:secret@host/3", "amqp://user:secret@host/vhost", "amqp://host"]
)
def test_brokers_that_teams_use_are_taken_and_not_contacted(url: str, tmp_path: Path):
    make_celery(load_settings({}, home=tmp_path, broker_url=url)).close()
