"""Jobs whose tasks learn from different datasets, over HTTP."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from headstart.blobs.local import LocalBlobs
from headstart.settings import Settings
from headstart.specs.ids import new_id
from headstart.store import datasets, jobs, leases
from headstart.store.tables import Dataset
from tests.app.requests import JOB
from tests.app.service import Running, problem
from tests.store import world
from worker.jobs import JobWork

NAMES = ("label", "second", "third")


def job(*references: str | None) -> dict[str, Any]:
    """A job with a task for each reference."""
    return {**JOB, "tasks": [{**JOB["tasks"][0], "name": name, "dataset": each} for name, each in zip(NAMES, references, strict=False)]}


@pytest.fixture
def tweets(running: Running, ids: dict[str, str]) -> str:
    """A second dataset in the first workspace; its id."""
    return add(running, "tweets")


def add(running: Running, name: str, who: str = "workspace", *, ready: bool = True) -> str:
    with running.services.database.write() as session:
        return world.add_dataset(session, running.ids[who], name=name, ready=ready).id


def told(response: httpx.Response) -> tuple[int, dict[str, Any]]:
    return response.status_code, problem(response)


@pytest.mark.parametrize("route", ["/v1/plans", "/v1/jobs"])
def test_foreign_dataset_of_a_task_is_answered_like_one_that_never_was(running, ids, writer, route: str):
    theirs = add(running, "theirs", "other")
    answers = [told(writer.post(route, json=job(None, reference))) for reference in (theirs, new_id("ds"))]
    assert answers[0] == answers[1]
    assert answers[0] == (
        422,
        {
            "type": "/docs/errors#dataset_not_found",
            "title": "Dataset not found",
            "status": 422,
            "code": "dataset_not_found",
            "detail": "There is no such dataset.",
            "hint": "GET /v1/datasets lists those that are.",
            "errors": [{"pointer": "/tasks/1/dataset", "row": None, "message": "no such dataset"}],
        },
    )
    by_name = [told(writer.post(route, json=job(None, reference))) for reference in ("theirs", "nobodys")]
    assert by_name[0] == by_name[1] == answers[0]


def test_dataset_of_a_task_that_is_still_being_read_is_to_be_waited_for(running, ids, writer):
    add(running, "late", ready=False)
    response = writer.post("/v1/jobs", json=job(None, "late"))
    assert (response.status_code, problem(response)["code"], response.headers["retry-after"]) == (409, "dataset_not_ready", "1")


@pytest.mark.parametrize("reference", ["Tweets", "", 3, ["tweets"], {"name": "tweets"}, "x" * 129])
def test_reference_of_another_shape_is_pointed_at(running, ids, writer, reference: Any):
    response = writer.post("/v1/plans", json=job(None, reference))
    assert (response.status_code, problem(response)["errors"][0]["pointer"]) == (422, "/tasks/1/dataset")


def test_plan_says_what_each_task_learns_from_and_spec_keeps_the_users_word(running, ids, tweets, writer):
    spec = job(None, tweets, "tweets")
    made = writer.post("/v1/jobs", json=spec).json()
    assert [task["dataset"] for task in made["plan"]["tasks"]] == ["reviews:1", "tweets:1", "tweets:1"]
    assert [task["dataset"] for task in made["spec"]["tasks"]] == [None, tweets, "tweets"]
    rows = made["plan"]["rows"]
    assert rows["train"] + rows["validation"] + rows["test"] == 4000
    assert writer.post("/v1/plans", json=spec).json() == made["plan"]
    assert writer.get(f"/v1/jobs/{made['id']}").json()["plan"] == made["plan"]


def test_dataset_that_a_task_names_stays_until_the_job_has_ended(running, ids, tweets, writer):
    made = writer.post("/v1/jobs", json=job(None, "tweets")).json()
    response = writer.delete(f"/v1/datasets/{tweets}")
    assert told(response) == (
        409,
        {
            "type": "/docs/errors#in_use",
            "title": "In use",
            "status": 409,
            "code": "in_use",
            "detail": f"Job {made['id']} needs this dataset.",
            "hint": "Wait for it, or cancel it.",
            "errors": [],
        },
    )
    assert writer.get(f"/v1/datasets/{tweets}").status_code == 200
    writer.post(f"/v1/jobs/{made['id']}/cancel")
    assert writer.delete(f"/v1/datasets/{tweets}").status_code == 204


def test_same_job_sent_twice_is_one_job_and_another_dataset_of_a_task_is_another_body(running, ids, tweets, writer):
    headers = {"Idempotency-Key": "k"}
    first, second = (writer.post("/v1/jobs", json=job(None, "tweets"), headers=headers).json() for _ in range(2))
    assert first["id"] == second["id"]
    assert problem(writer.post("/v1/jobs", json=job(None, None), headers=headers))["code"] == "idempotency_mismatch"
    with running.services.database.read() as session:
        row = jobs.get_job(session, running.workspace, first["id"])
        assert [datasets.versioned(each) for each in jobs.datasets_of(session, row)] == ["reviews:1", "tweets:1"]


def test_every_attempt_gets_the_versions_that_were_planned_whatever_came_since(running, tweets, writer, tmp_path):
    made = writer.post("/v1/jobs", json=job(None, "tweets")).json()
    with running.services.database.write() as session:
        workspace = running.ids["workspace"]
        blobs, settings = LocalBlobs(tmp_path / "blobs"), Settings(home=tmp_path)
        asked = []
        for _ in range(2):
            lease = world.claim(session)
            assert lease.id == made["id"]
            asked.append(JobWork().request(session, lease, settings, blobs)["tables"])
            leases.lose(session, "job", lease.id, lease.epoch, failure=world.FAILURE, now=world.NOW)
            for name in ("tweets", "reviews"):  # newer versions
                assert world.add_dataset(session, workspace, name=name).version > 1
        assert asked[0] == asked[1]
        assert [table["name"] for table in asked[0]] == ["reviews:1", "tweets:1"]
        row = session.get_one(Dataset, tweets)
        assert asked[0][1] == {
            "name": "tweets:1",
            "path": str(blobs.path(datasets.table_key(tweets, row.epoch))),
            "sha256": row.sha256,
            "table_sha256": None,
        }


def test_relationship_of_a_job_to_a_model_is_by_the_datasets_of_both(running, ids, tweets, writer):
    answers = {}
    for reference in (None, "tweets"):
        spec = {**job(reference), "backbone": "reviews:1"}
        answers[reference] = writer.post("/v1/plans", json=spec).json()["relationship"]["why"]
    assert answers[None] == "The model 'reviews:1' learnt from the dataset 'reviews' too."
    assert answers["tweets"] == "The model 'reviews:1' tells 2 of the 2 classes of both apart already."
