"""The order of things: a row is committed before its answer goes out, and a worker is told after that."""

from __future__ import annotations

import httpx
import pytest
from sqlalchemy import event

from tests.app.requests import OPERATIONS, Operation
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
