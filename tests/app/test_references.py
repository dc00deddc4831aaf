"""What a body, a cursor or a query may name: one's own things by any of their names, and nobody else's, whatever they are called."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from headstart.specs.ids import new_id
from headstart.store.pages import encode_cursor
from tests.app import service
from tests.app.requests import JOB, OPERATIONS
from tests.app.service import Running, problem

KINDS = {"dataset": "ds", "backbone": "bb", "model": "mdl"}


@pytest.fixture
def foreign(running: Running) -> dict[str, str]:
    """One of each thing in the other workspace."""
    return service.fill(running, "other")


def told(response: httpx.Response) -> tuple[int, dict[str, Any]]:
    return response.status_code, problem(response)


@pytest.mark.parametrize("route", ["/v1/plans", "/v1/jobs"])
@pytest.mark.parametrize(("field", "kind"), [("dataset", "dataset"), ("backbone", "backbone"), ("backbone", "model")])
def test_foreign_id_in_a_body_is_answered_like_one_that_never_was(running, ids, foreign, route: str, field: str, kind: str):
    with running.client() as client:
        theirs = told(client.post(route, json={**JOB, field: foreign[kind]}))
        nobodys = told(client.post(route, json={**JOB, field: new_id(KINDS[kind])}))  # type: ignore[arg-type]
    assert theirs == nobodys
    assert (theirs[0], theirs[1]["code"], theirs[1]["errors"][0]["pointer"]) == (422, f"{field}_not_found", f"/{field}")


@pytest.mark.parametrize("field", ["dataset", "backbone"])
def test_name_that_only_the_other_workspace_has_is_answered_like_one_that_nobody_has(running, field: str):
    service.fill(running)
    with running.client("stranger") as client:
        theirs = told(client.post("/v1/plans", json={**JOB, field: "reviews"}))
        nobodys = told(client.post("/v1/plans", json={**JOB, field: "nobodys"}))
    assert theirs == nobodys
    assert theirs[0] == 422


def test_foreign_workspace_in_a_body_is_answered_like_one_that_never_was(running: Running):
    with running.client("stranger") as client:
        theirs = told(client.post("/v1/keys", json={"name": "x", "workspace": running.ids["workspace"]}))
        nobodys = told(client.post("/v1/keys", json={"name": "x", "workspace": new_id("ws")}))
    assert theirs == nobodys
    assert (theirs[0], theirs[1]["code"]) == (422, "workspace_not_found")


@pytest.mark.parametrize(
    "operation", [each for each in OPERATIONS if each.name.startswith("list_") and not each.kind], ids=lambda each: each.name
)
def test_cursor_made_of_a_foreign_id_shows_nothing_of_theirs(running, ids, foreign, operation):
    everything = {**foreign, "key": running.ids["stranger_key"], "workspace": running.ids["other"]}
    with running.client("writer" if operation.scope != "admin" else "admin") as client:
        for theirs in everything.values():
            answer = client.get(operation.path, params={"after": encode_cursor(theirs), "limit": 100})
            assert answer.status_code == 200
            shown = {row["id"] for row in answer.json()["data"]} - {running.ids["other"]}  # the operator sees all workspaces
            assert not shown & set(everything.values())


def test_dataset_and_backbone_go_by_id_and_by_name(running: Running, ids: dict[str, str]):
    with running.client() as client:
        plans = [
            client.post("/v1/plans", json={**JOB, "dataset": dataset, "backbone": backbone})
            for dataset in (ids["dataset"], "reviews", "reviews:1")
            for backbone in (ids["backbone"], "minilm-l6")
        ]
    assert {plan.status_code for plan in plans} == {200}
    assert len({plan.text for plan in plans}) == 1
    assert plans[0].json()["parent"] is None


def test_model_stands_in_for_a_backbone_by_each_of_its_names(running: Running, ids: dict[str, str]):
    with running.client() as client:
        client.put("/v1/models/reviews/aliases/prod", json={"version": 1})
        for reference in ("reviews", "reviews:1", "reviews@prod", ids["model"]):
            job = client.post("/v1/jobs", json={**JOB, "backbone": reference, "model": "next"})
            assert job.status_code == 202, job.text
            assert job.json()["plan"]["parent"] == "reviews:1"
            assert job.json()["spec"]["backbone"] == reference
        assert told(client.delete("/v1/models/reviews"))[1]["code"] == "in_use"


def test_from_scratch_only_the_architecture_of_a_model_is_left(running: Running, ids: dict[str, str]):
    spec = {**JOB, "backbone": "reviews:1", "init": "random", "method": {"type": "fine-tuning", "trainable": ["*"]}}
    with running.client() as client:
        assert client.post("/v1/plans", json=spec).json()["parent"] is None


def test_absent_backbone_lists_those_that_are_and_says_how_models_are_named(running: Running, ids: dict[str, str]):
    with running.client() as client:
        answer = client.post("/v1/jobs", json={**JOB, "backbone": "minilm"})
    assert problem(answer) == {
        "type": "/docs/errors#backbone_not_found",
        "title": "Backbone not found",
        "status": 422,
        "code": "backbone_not_found",
        "detail": "There is no such backbone.",
        "hint": "Did you mean 'minilm-l6'? Backbones are: minilm-l6. A model can stand in for one, as 'name', 'name:3' or 'name@alias'.",
        "errors": [{"pointer": "/backbone", "row": None, "message": "no such backbone"}],
    }
