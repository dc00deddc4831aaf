"""A POST sent twice is done once."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import httpx
import pytest

from headstart.store.tables import IdempotencyKey
from tests.app.requests import OPERATIONS, Operation
from tests.app.service import Running, problem

CREATING = [each for each in OPERATIONS if each.method == "POST" and each.name != "predict"]
ROW: dict[str, Any] = {"name": (None, "more"), "file": ("more.csv", b"review,label\nfine,pos\n")}
OTHER: dict[str, Any] = {"name": (None, "more"), "file": ("more.csv", b"review,label\nfine,neg\n")}


@pytest.mark.parametrize("operation", CREATING, ids=lambda operation: operation.name)
def test_the_same_request_again_gives_the_first_answer(running: Running, ids: dict[str, str], operation: Operation):
    with running.client() as client:
        first, second = (client.request(**operation.arguments(ids, **{"Idempotency-Key": "k"})) for _ in range(2))
    assert (first.status_code, first.json()) == (second.status_code, second.json())
    assert first.status_code == operation.status
    assert first.headers.get("location") == second.headers.get("location")


def test_another_body_under_the_same_key_is_refused(running: Running, admin: httpx.Client):
    headers = {"Idempotency-Key": "k"}
    admin.post("/v1/workspaces", json={"name": "a"}, headers=headers)
    response = admin.post("/v1/workspaces", json={"name": "b"}, headers=headers)
    assert problem(response) == {
        "type": "/docs/errors#idempotency_mismatch",
        "title": "Idempotency mismatch",
        "status": 422,
        "code": "idempotency_mismatch",
        "detail": "This Idempotency-Key came before with another body.",
        "hint": "Use a new key for a new request.",
        "errors": [],
    }
    assert admin.post("/v1/keys", json={"name": "a"}, headers=headers).status_code == 201  # another route


def test_an_upload_again_keeps_one_file_and_another_file_is_refused(running: Running, admin: httpx.Client):
    headers = {"Idempotency-Key": "k"}
    first, second = (admin.post("/v1/datasets", files=ROW, headers=headers) for _ in range(2))
    third = admin.post("/v1/datasets", files=OTHER, headers=headers)
    assert first.json() == second.json()
    assert problem(third)["code"] == "idempotency_mismatch"
    assert running.files() == [f"datasets/{first.json()['id']}/upload"]
    assert running.bell.rung == [first.json()["id"]]


@pytest.mark.parametrize("key", ["", "é", "a\tb", "x" * 256])
def test_a_key_that_is_not_printable_ascii_is_422(lasting: Running, key: str):
    with lasting.client() as client:
        response = client.post("/v1/keys", json={"name": "a"}, headers={b"Idempotency-Key": key.encode()})
        multipart = client.post("/v1/datasets", files=ROW, headers={b"Idempotency-Key": key.encode()})
    assert problem(response)["code"] == problem(multipart)["code"] == "invalid_field"


def test_two_workspaces_do_not_meet_under_one_key(running: Running):
    made = []
    for who in ("admin", "stranger"):
        with running.client(who) as client:
            made.append(client.post("/v1/backbones", json={"name": "a", "source": "demo:minilm-l6"}, headers={"Idempotency-Key": "k"}))
    assert [response.status_code for response in made] == [202, 202]
    assert made[0].json()["id"] != made[1].json()["id"]


def test_fifty_at_once_make_one_row(running: Running):
    async def all_at_once() -> list[httpx.Response]:
        limits = httpx.Limits(max_connections=50)
        headers = {"Authorization": f"Bearer {running.secrets['writer']}", "Idempotency-Key": "k"}
        async with httpx.AsyncClient(base_url=running.url, headers=headers, limits=limits, timeout=30, trust_env=False) as client:
            body = {"name": "a", "source": "demo:minilm-l6"}
            return await asyncio.gather(*(client.post("/v1/backbones", json=body) for _ in range(50)))

    answers = asyncio.run(all_at_once())
    good = [answer.json()["id"] for answer in answers if answer.status_code == 202]
    assert good
    assert len(set(good)) == 1
    for answer in answers:
        if answer.status_code != 202:
            assert answer.headers["retry-after"] == "1"
            assert problem(answer)["code"] == "idempotency_running"
    assert running.bell.rung == [good[0]]


def test_while_the_first_still_runs_the_second_is_409(running: Running):
    answers: list[httpx.Response] = []

    def post() -> None:
        with running.client() as client:
            answers.append(client.post("/v1/keys", json={"name": "a"}, headers={"Idempotency-Key": "k"}))

    with running.services.database.write() as session:
        session.connection().exec_driver_sql("SELECT 1")  # takes the lock: the first request waits for it
        first = threading.Thread(target=post)
        first.start()
        while not running.app.state.running._keys:
            pass
        second = threading.Thread(target=post)
        second.start()
        second.join(5)
        assert problem(answers[0]) == {
            "type": "/docs/errors#idempotency_running",
            "title": "Idempotency running",
            "status": 409,
            "code": "idempotency_running",
            "detail": "The first request with this Idempotency-Key is still being answered.",
            "hint": "Try again shortly.",
            "errors": [],
        }
    first.join(5)
    assert answers[1].status_code == 201
    assert not running.app.state.running._keys


def test_the_answer_that_is_kept_for_repeats_holds_no_secret(running: Running, admin: httpx.Client):
    secret = admin.post("/v1/keys", json={"name": "ci"}, headers={"Idempotency-Key": "k"}).json()["key"]
    with running.services.database.read() as session:
        kept = session.query(IdempotencyKey).one()
    assert secret not in kept.body
    assert secret[7:20] not in kept.body
    database = running.services.settings.folder / "headstart.db"
    assert secret.encode() not in database.read_bytes()


def test_only_the_same_caller_sees_a_new_key_again(running: Running, admin: httpx.Client):
    other = admin.post("/v1/keys", json={"name": "second", "scopes": ["admin"]}).json()["key"]
    headers = {"Idempotency-Key": "k"}
    admin.post("/v1/keys", json={"name": "ci"}, headers=headers)
    response = admin.post("/v1/keys", json={"name": "ci"}, headers={**headers, "Authorization": f"Bearer {other}"})
    assert problem(response)["code"] == "idempotency_mismatch"


def test_a_refusal_is_not_kept(running: Running, writer: httpx.Client):
    body: dict[str, Any] = {"name": "a", "source": "demo:nothing"}
    headers = {"Idempotency-Key": "k"}
    assert writer.post("/v1/backbones", json=body, headers=headers).status_code == 422
    assert writer.post("/v1/backbones", json={**body, "source": "demo:minilm-l6"}, headers=headers).status_code == 202
