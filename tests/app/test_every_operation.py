"""What holds for every operation: keys, scopes, workspaces."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from headstart.specs.ids import new_id
from tests.app import service
from tests.app.requests import OPERATIONS, Operation
from tests.app.service import Running, problem

World = tuple[Running, dict[str, str], dict[str, str]]
KINDS = {"dataset": "ds", "backbone": "bb", "job": "job", "model": "mdl", "key": "key", "workspace": "ws", "upload": "upl"}

each = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
with_id = pytest.mark.parametrize("operation", [each for each in OPERATIONS if each.kind], ids=lambda operation: operation.name)


@pytest.fixture
def own(running: Running, ids: dict[str, str]) -> dict[str, str]:
    return {**ids, "workspace": running.ids["workspace"], "key": running.ids["reader_key"]}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One server for all that is refused, with the ids of the first workspace and of the other."""
    with service.running(tmp_path_factory.mktemp("home")) as running:
        with running.client() as client:
            running.secrets["blind"] = client.post("/v1/keys", json={"name": "blind", "scopes": ["admin"]}).json()["key"]
        own = {**service.fill(running), "workspace": running.ids["workspace"], "key": running.ids["reader_key"]}
        foreign = {**service.fill(running, "other"), "workspace": running.ids["other"], "key": running.ids["stranger_key"]}
        yield running, own, foreign


def test_the_table_holds_every_operation_of_the_document():
    document = json.loads(Path(__file__).parents[2].joinpath("openapi.json").read_text())
    named = {operation["operationId"] for paths in document["paths"].values() for operation in paths.values()}
    assert {operation.name for operation in OPERATIONS} == named - {"get_liveness", "get_health"}


@each
def test_an_operation_answers_as_declared(running: Running, own: dict[str, str], operation: Operation):
    with running.client() as client:
        response = client.request(**operation.arguments(own))
    assert response.status_code == operation.status, response.text
    if response.status_code in {201, 202} and operation.name != "cancel_job":
        assert response.headers["location"].startswith("/v1/")


@each
def test_an_operation_without_a_key_is_401(world: World, operation: Operation):
    running, own, _ = world
    with running.client(None) as client:
        response = client.request(**operation.arguments(own))
    assert response.headers["www-authenticate"] == "Bearer"
    assert problem(response) == {
        "type": "/docs/errors#unauthenticated",
        "title": "Unauthenticated",
        "status": 401,
        "code": "unauthenticated",
        "detail": "There is no API key.",
        "hint": "Send `Authorization: Bearer hs_…`.",
        "errors": [],
    }


@each
def test_an_operation_with_too_small_a_scope_is_403(world: World, operation: Operation):
    running, own, _ = world
    who = {"read": "blind", "write": "reader", "admin": "writer"}[operation.scope]
    with running.client(who) as client:
        response = client.request(**operation.arguments(own))
    assert problem(response) == {
        "type": "/docs/errors#scope_missing",
        "title": "Scope missing",
        "status": 403,
        "code": "scope_missing",
        "detail": f"This needs a key with the scope '{operation.scope}'.",
        "hint": "An admin makes keys at POST /v1/keys.",
        "errors": [],
    }


@with_id
def test_a_foreign_id_is_answered_like_one_that_never_was(world: World, operation: Operation):
    running, own, foreign = world
    kind = operation.kind
    assert kind is not None
    who = "stranger" if kind == "workspace" else "admin"  # the operator may see all workspaces
    target = own if kind == "workspace" else foreign
    with running.client(who) as client:
        theirs = client.request(**operation.arguments(target))
        nobodys = client.request(**operation.arguments({kind: new_id(KINDS[kind])}))  # type: ignore[arg-type]
    assert problem(theirs) == problem(nobodys)
    assert theirs.status_code == 404
    assert set(theirs.headers) == set(nobodys.headers)


@with_id
@pytest.mark.parametrize("odd", ["%00", "..%2f..%2fetc", "%2e%2e", "..%252f", "x" * 10_000, "-1", "%F0%9F%98%80", "%FF", "job_'--"])
def test_an_id_of_the_wrong_shape_is_404(world: World, operation: Operation, odd: str):
    running, _, _ = world
    with running.client() as client:
        response = client.request(**operation.arguments(dict.fromkeys(KINDS, odd)))
    assert response.status_code == 404, response.text
    assert problem(response)["code"] == "not_found"
