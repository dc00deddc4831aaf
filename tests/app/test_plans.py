"""Plans over HTTP: what earlier jobs took is in them."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from headstart.store.tables import Job
from tests.app.requests import JOB
from tests.app.service import Running
from tests.store import world


def take_a_job_to_its_end(running: Running, job: dict[str, Any], *, slower: float) -> None:
    """As a worker would, with a report of so many times the seconds and bytes that arithmetic expects."""
    expected = job["plan"]["estimate"]
    actual = {name: value * slower if name.endswith("seconds") else round(value * slower) for name, value in expected.items()}
    report = {"actual": actual, "cache": {"rows_computed": 100, "rows_reused": 0}}
    with running.services.database.write() as session:
        world.run_to_the_end(session)
        session.get_one(Job, job["id"]).report = report


def add_parts(running: Running, who: str) -> None:
    with running.services.database.write() as session:
        world.add_dataset(session, running.ids[who])
        world.add_backbone(session, running.ids[who])


def test_plan_after_the_third_job_is_corrected_and_before_it_is_not(running: Running, writer: httpx.Client):
    add_parts(running, "workspace")
    add_parts(running, "other")
    plain = writer.post("/v1/plans", json=JOB).json()
    for _ in range(3):
        job = writer.post("/v1/jobs", json=JOB).json()
        assert job["plan"] == plain
        take_a_job_to_its_end(running, job, slower=2.0)
    made = writer.post("/v1/plans", json=JOB).json()
    assert plain["correction"] is None
    assert made["correction"] == {"jobs": 3, "preparing": 2.0, "training": 2.0, "memory": 2.0}
    assert made["estimate"]["preparing_seconds"] == pytest.approx(2 * plain["estimate"]["preparing_seconds"])
    assert made["estimate"]["peak_memory_bytes"] == 2 * plain["estimate"]["peak_memory_bytes"]
    assert writer.post("/v1/jobs", json=JOB).json()["plan"] == made
    other_kind = writer.post("/v1/plans", json={**JOB, "method": {"type": "fine-tuning", "top_layers": 1}}).json()
    assert other_kind["correction"] is None
    with running.client("stranger") as stranger:
        assert stranger.post("/v1/plans", json=JOB).json() == plain
