"""The order of things: a row is committed before its answer goes out, and a worker is told after that."""

from __future__ import annotations

import copy
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, event
from sqlalchemy.exc import OperationalError

from tests.app.requests import BYTES, OPERATIONS, TUS, Operation
from tests.app.service import Running, problem

WRITING = [each for each in OPERATIONS if each.method != "GET" and each.name not in {"predict", "create_plan"}]


@pytest.mark.parametrize("operation", WRITING, ids=lambda operation: operation.name)
def test_the_commit_comes_before_the_answer_and_the_bell_after_the_commit(running: Running, ids: dict[str, str], operation: Operation):
    own = {**ids, "workspace": running.ids["workspace"], "key": running.ids["reader_key"]}
    order: list[str] = []
    with running.client() as client:
        client.get("/v1/jobs")  # the key's use is noted now, not in the request that counts
        event.listen(running.services.database.engine, "commit", lambda _: order.append("commit"))
        running.bell.ring = lambda work_id: order.append(f"ring {work_id}"[:4])  # type: ignore[method-assign]
        app = running.app.middleware_stack
        assert app is not None

        async def watched(scope, receive, send):
            async def sending(message):
                order.append(message["type"])
                await send(message)

            await app(scope, receive, sending)

        running.app.middleware_stack = watched
        response = client.request(**operation.arguments(own))
    assert response.status_code == operation.status
    ours = [each for each in order if each in {"commit", "ring", "http.response.start"}]
    if response.status_code < 400:
        assert [each for each in ours if each != "ring"] == ["commit", "http.response.start"]
        assert ours in (["commit", "http.response.start"], ["commit", "ring", "http.response.start"])
    else:
        assert ours == ["http.response.start"]


def test_a_commit_that_fails_is_an_error_and_not_a_late_surprise(running: Running, writer: httpx.Client):
    writer.get("/v1/jobs")

    def fail(_connection: object) -> None:
        raise RuntimeError("the disk went away in COMMIT")

    event.listen(running.services.database.engine, "commit", fail)
    response = writer.post("/v1/backbones", json={"name": "a", "source": "demo:minilm-l6"})
    told = problem(response)
    assert (told["status"], told["code"]) == (500, "internal")
    assert told["detail"].startswith("Something failed on our side (incident ")
    assert "disk went away" not in response.text
    assert running.bell.rung == []


def lose_next_answer(running: Running) -> None:
    """The next COMMIT takes effect, and nobody hears so."""
    lost: list[bool] = []

    def lose(connection: Connection) -> None:
        if not lost:
            lost.append(True)
            connection.connection.commit()
            raise OperationalError("COMMIT", {}, Exception("the connection was closed"))

    event.listen(running.services.database.engine, "commit", lose)


ROWS = b"review,label\nfine,pos\n"
SENT: dict[str, dict[str, Any]] = {
    "a file": {"url": "/v1/datasets", "files": {"name": (None, "more"), "file": ("more.csv", ROWS)}},
    "a finished upload": {"url": "/v1/datasets", "json": {"name": "more", "upload": ""}},
    "rows": {"url": "/v1/datasets/{dataset}/versions", "json": {"append": {"rows": [{"label": "neg"}]}}},
    "an upload": {"url": "/v1/uploads", "headers": {"Upload-Length": "5"}},
}


@pytest.mark.parametrize("case", SENT)
def test_what_was_committed_though_its_answer_was_lost_keeps_its_file_and_is_what_a_repeat_gets(
    running: Running, writer: httpx.Client, ids: dict[str, str], case: str
):
    sent = copy.deepcopy(SENT[case])
    writer.get("/v1/jobs")  # the key's use is noted now, not in the request that counts
    if case == "a finished upload":
        made = writer.post("/v1/uploads", headers=TUS | {"Upload-Length": str(len(ROWS)), "Upload-Metadata": "filename YS5jc3Y="})
        writer.patch(made.headers["location"], headers=BYTES, content=ROWS)
        sent["json"]["upload"] = made.json()["id"]
    sent |= {"url": sent["url"].format(**ids), "headers": TUS | sent.get("headers", {}) | {"Idempotency-Key": "k"}}
    before = set(running.files())
    lose_next_answer(running)
    assert problem(writer.post(**sent))["code"] == "unavailable"
    again = writer.post(**sent)
    assert again.status_code in {201, 202}
    (kept,) = set(running.files()) - before
    assert f"/{again.json()['id']}/" in kept


def test_what_was_not_committed_leaves_no_file(running: Running, writer: httpx.Client, ids: dict[str, str]):
    writer.get("/v1/jobs")
    before = running.files()
    failed: list[bool] = []

    def fail(_connection: Connection) -> None:
        if not failed:
            failed.append(True)
            raise OperationalError("COMMIT", {}, Exception("the disk is full"))

    event.listen(running.services.database.engine, "commit", fail)
    for case in ("a file", "rows", "an upload"):
        failed.clear()
        response = writer.post(**{**SENT[case], "url": SENT[case]["url"].format(**ids), "headers": TUS | SENT[case].get("headers", {})})
        assert problem(response)["code"] == "unavailable"
    assert running.files() == before


def test_while_the_database_is_away_no_file_goes_that_may_be_needed(running: Running, writer: httpx.Client):
    def fail(_connection: Connection) -> None:
        raise OperationalError("COMMIT", {}, Exception("the connection was closed"))

    writer.get("/v1/jobs")
    event.listen(running.services.database.engine, "commit", fail)
    assert problem(writer.post(**SENT["a file"]))["code"] == "unavailable"
    assert len(running.files()) == 1


def test_a_database_that_does_not_answer_is_503(running: Running, writer: httpx.Client):
    writer.get("/v1/jobs")
    with running.services.database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE jobs RENAME TO gone")
    response = writer.get("/v1/jobs")
    assert response.headers["retry-after"] == "2"
    assert problem(response) == {
        "type": "/docs/errors#unavailable",
        "title": "Unavailable",
        "status": 503,
        "code": "unavailable",
        "detail": "The database did not answer.",
        "hint": "Try again shortly.",
        "errors": [],
    }
