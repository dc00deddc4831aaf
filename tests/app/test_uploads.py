"""Resumable uploads: what the protocol says, and what a hostile sender gets."""

from __future__ import annotations

import base64
import os
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from headstart.specs.ids import new_id
from headstart.store import uploads as store
from tests.app import service
from tests.app.service import Running, problem

TUS = {"Tus-Resumable": "1.0.0"}
BYTES = {**TUS, "Content-Type": "application/offset+octet-stream"}
CONTENT = os.urandom(3_000_000)


def announced(client: httpx.Client, size: int = len(CONTENT), **headers: str) -> str:
    response = client.post("/v1/uploads", headers={**TUS, "Upload-Length": str(size), **headers})
    assert response.status_code == 201, response.text
    return response.headers["location"]


def send(client: httpx.Client, where: str, content: Any, offset: int, **headers: str) -> httpx.Response:
    return client.patch(where, content=content, headers={**BYTES, "Upload-Offset": str(offset), **headers})


def offset_of(client: httpx.Client, where: str) -> int:
    response = client.head(where, headers=TUS)
    assert response.status_code == 200
    return int(response.headers["upload-offset"])


def file_of(running: Running, where: str) -> Path:
    return running.services.blobs.path(store.file_key(where.rpartition("/")[2]))


def metadata(**pairs: str) -> str:
    return ",".join(f"{key} {base64.b64encode(value.encode()).decode()}".strip() for key, value in pairs.items())


@contextmanager
def sending(running: Running, where: str, size: int, *, offset: int = 0) -> Iterator[socket.socket]:
    """A PATCH whose head has gone out, and nothing of its body."""
    head = [f"PATCH {where} HTTP/1.1", "Host: a", f"Authorization: Bearer {running.secrets['writer']}", f"Content-Length: {size}"]
    head += [f"{name}: {value}" for name, value in {**BYTES, "Upload-Offset": str(offset)}.items()]
    with socket.create_connection(running.host) as connection:
        connection.settimeout(10)
        connection.sendall("\r\n".join([*head, "", ""]).encode())
        yield connection


def until(condition: Any) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_file_that_is_announced_and_sent_in_pieces_is_whole(running: Running, writer: httpx.Client):
    about = metadata(filename="réviews.csv", note="")
    made = writer.post("/v1/uploads", headers={**TUS, "Upload-Length": "3000000", "Upload-Metadata": about})
    where, shown = made.headers["location"], made.json()
    assert where == f"/v1/uploads/{shown['id']}"
    assert (made.headers["tus-resumable"], made.headers["upload-offset"]) == ("1.0.0", "0")
    assert shown == {
        "object": "upload",
        "id": shown["id"],
        "bytes": 3_000_000,
        "received_bytes": 0,
        "metadata": {"filename": "réviews.csv", "note": ""},
        "dataset": None,
        "created_at": shown["created_at"],
        "expires_at": shown["expires_at"],
    }
    expires = parsedate_to_datetime(made.headers["upload-expires"])
    assert expires == datetime.fromisoformat(shown["expires_at"]).replace(microsecond=0)
    for start in range(0, len(CONTENT), 1_300_000):
        piece = CONTENT[start : start + 1_300_000]
        answer = send(writer, where, piece, start)
        assert (answer.status_code, answer.headers["upload-offset"]) == (204, str(start + len(piece)))
        assert answer.headers["tus-resumable"] == "1.0.0"
        assert parsedate_to_datetime(answer.headers["upload-expires"]) >= expires
    head = writer.head(where, headers=TUS)
    assert (head.status_code, head.headers["upload-offset"], head.headers["upload-length"]) == (200, "3000000", "3000000")
    assert (head.headers["upload-metadata"], head.headers["cache-control"], head.content) == (about, "no-store", b"")
    assert writer.get(where).json()["received_bytes"] == 3_000_000
    assert writer.get("/v1/uploads").json()["data"] == [writer.get(where).json()]
    assert file_of(running, where).read_bytes() == CONTENT


def test_the_first_bytes_may_come_with_the_announcement(running: Running, writer: httpx.Client):
    made = writer.post("/v1/uploads", content=CONTENT[:1000], headers={**BYTES, "Upload-Length": "3000"})
    assert (made.status_code, made.headers["upload-offset"]) == (201, "1000")
    assert file_of(running, made.headers["location"]).read_bytes() == CONTENT[:1000]
    refused = writer.post("/v1/uploads", content=CONTENT[:1000], headers={**BYTES, "Upload-Length": "999"})
    assert problem(refused)["code"] == "too_large"
    assert len(running.files()) == 1


def test_a_server_tells_what_it_can(running: Running, writer: httpx.Client):
    answer = writer.request("OPTIONS", "/v1/uploads")
    assert answer.status_code == 204
    assert {name: answer.headers[name] for name in ("tus-version", "tus-resumable", "tus-max-size", "tus-extension")} == {
        "tus-version": "1.0.0",
        "tus-resumable": "1.0.0",
        "tus-max-size": str(running.services.settings.max_upload_bytes),
        "tus-extension": "creation,creation-with-upload,expiration,termination",
    }
    refused = writer.put("/v1/uploads", headers=TUS)
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, POST, OPTIONS")


@pytest.mark.parametrize("version", [None, "0.2.2", "1.0.0, 2.0.0"])
@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/uploads"), ("HEAD", "{}"), ("PATCH", "{}"), ("DELETE", "{}")])
def test_another_version_is_412_and_told_which_is_spoken(lasting: Running, version: str | None, method: str, path: str):
    with lasting.client("writer") as client:
        where = announced(client, 5)
        headers = {**BYTES, "Upload-Offset": "0", "Upload-Length": "5"} | ({"Tus-Resumable": version} if version else {})
        if version is None:
            del headers["Tus-Resumable"]
        response = client.request(method, path.format(where), headers=headers)
        assert (response.status_code, response.headers["tus-version"], response.headers["tus-resumable"]) == (412, "1.0.0", "1.0.0")
        if method != "HEAD":
            assert problem(response) == {
                "type": "/docs/errors#tus_version",
                "title": "Tus version",
                "status": 412,
                "code": "tus_version",
                "detail": "The request does not speak tus 1.0.0.",
                "hint": "Send `Tus-Resumable: 1.0.0`.",
                "errors": [],
            }


ANNOUNCED: dict[str, tuple[dict[str, str], int, str]] = {
    "no length": ({}, 400, "invalid_field"),
    "a length that comes later": ({"Upload-Defer-Length": "1"}, 400, "invalid_field"),
    "negative": ({"Upload-Length": "-1"}, 400, "invalid_field"),
    "a fraction": ({"Upload-Length": "1.5"}, 400, "invalid_field"),
    "digits of another script": ({"Upload-Length": "\u0661"}, 400, "invalid_field"),
    "2^63": ({"Upload-Length": str(2**63)}, 400, "invalid_field"),
    "thousands of digits": ({"Upload-Length": "9" * 5000}, 400, "invalid_field"),
    "more than is taken": ({"Upload-Length": str(2**40)}, 413, "too_large"),
    "metadata without base64": ({"Upload-Length": "5", "Upload-Metadata": "filename ä"}, 400, "invalid_field"),
    "metadata with a key twice": ({"Upload-Length": "5", "Upload-Metadata": "a YQ==,a YQ=="}, 400, "invalid_field"),
    "metadata with an empty key": ({"Upload-Length": "5", "Upload-Metadata": "a YQ==,,"}, 400, "invalid_field"),
    "metadata of many keys": ({"Upload-Length": "5", "Upload-Metadata": ",".join(f"k{n} YQ==" for n in range(17))}, 400, "invalid_field"),
    "metadata of 10 KB": ({"Upload-Length": "5", "Upload-Metadata": "a " + "YQ==" * 2500}, 413, "too_large"),
}


@pytest.mark.parametrize("case", ANNOUNCED)
def test_an_announcement_that_cannot_be_is_refused_and_leaves_no_file(lasting: Running, case: str):
    headers, status, code = ANNOUNCED[case]
    before = lasting.files()
    with lasting.client("writer") as client:
        sent = {**TUS, **headers}
        response = client.post("/v1/uploads", headers={name.encode(): value.encode() for name, value in sent.items()})
    assert (response.status_code, problem(response)["code"]) == (status, code)
    assert response.headers["tus-resumable"] == "1.0.0"
    assert lasting.files() == before


def test_bytes_that_do_not_follow_are_409_and_change_nothing(running: Running, writer: httpx.Client):
    where = announced(writer, 10)
    assert send(writer, where, b"12345", 0).status_code == 204
    for offset in (0, 4, 6, 10, 2**53 - 1):
        refused = send(writer, where, b"67890", offset)
        assert problem(refused) == {
            "type": "/docs/errors#offset_mismatch",
            "title": "Offset mismatch",
            "status": 409,
            "code": "offset_mismatch",
            "detail": f"The upload has 5 bytes, and these would come after {offset:,}.",
            "hint": "Ask for its offset with HEAD, then go on there.",
            "errors": [],
        }
    for odd in ("", "-1", "5.0", "x", str(2**64), "9" * 5000):
        assert send(writer, where, b"67890", 0, **{"Upload-Offset": odd}).status_code == 400
    assert problem(writer.patch(where, content=b"67890", headers=BYTES))["code"] == "invalid_field"
    assert problem(send(writer, where, b"67890", 5, **{"Content-Type": "text/csv"}))["code"] == "media_type"
    assert problem(send(writer, where, b"67890", 5, **{"Content-Encoding": "gzip"}))["code"] == "media_type"
    assert offset_of(writer, where) == 5
    assert send(writer, where, b"67890", 5).status_code == 204
    assert file_of(running, where).read_bytes() == b"1234567890"


def test_more_than_was_announced_is_413_and_nothing_of_it_is_kept(running: Running, writer: httpx.Client):
    where = announced(writer, 2_000_000)
    assert send(writer, where, b"x" * 500_000, 0).status_code == 204
    assert problem(send(writer, where, b"y" * 1_500_001, 500_000))["code"] == "too_large"  # by its length
    chunks = (b"y" * 100_000 for _ in range(40))  # without one
    assert problem(send(writer, where, chunks, 500_000))["code"] == "too_large"
    assert file_of(running, where).read_bytes() == b"x" * 500_000
    assert offset_of(writer, where) == 500_000
    done = send(writer, where, b"z" * 1_500_000, 500_000)
    assert done.headers["upload-offset"] == "2000000"
    assert send(writer, where, b"", 2_000_000).status_code == 204
    assert send(writer, where, b"x", 2_000_000).status_code == 413


def test_an_empty_file_is_whole_at_once(writer: httpx.Client):
    where = announced(writer, 0)
    assert offset_of(writer, where) == 0
    assert send(writer, where, b"", 0).status_code == 204


def test_a_second_sender_is_423_at_once_and_a_slow_first_one_loses_nothing(running: Running, writer: httpx.Client):
    where = announced(writer)
    with sending(running, where, len(CONTENT)) as slow:
        slow.sendall(CONTENT[:1_500_000])
        until(lambda: file_of(running, where).stat().st_size > 0)
        began = time.monotonic()
        refused = send(writer, where, b"abc", 0)
        assert time.monotonic() - began < 1
        assert problem(refused) == {
            "type": "/docs/errors#upload_busy",
            "title": "Upload busy",
            "status": 423,
            "code": "upload_busy",
            "detail": "Another request is adding to this upload, or has broken off and was not missed yet.",
            "hint": "Ask for its offset, then go on.",
            "errors": [],
        }
        assert refused.headers["retry-after"] == "2"
        slow.sendall(CONTENT[1_500_000:])
        assert slow.recv(4096).startswith(b"HTTP/1.1 204 ")
    assert file_of(running, where).read_bytes() == CONTENT


def test_a_sender_that_hangs_up_finds_all_that_it_sent(running: Running, writer: httpx.Client):
    where = announced(writer)
    with sending(running, where, len(CONTENT)) as gone:
        gone.sendall(CONTENT[:1_234_567])
    until(lambda: offset_of(writer, where) == 1_234_567)
    until(lambda: send(writer, where, CONTENT[1_234_567:], 1_234_567).status_code == 204)
    assert file_of(running, where).read_bytes() == CONTENT


def test_deleting_ends_an_upload_also_while_it_is_sent(running: Running, writer: httpx.Client):
    where = announced(writer, 10_000_000)
    with sending(running, where, 10_000_000) as slow:
        slow.sendall(b"x" * 1_500_000)
        until(lambda: file_of(running, where).stat().st_size >= 1_048_576)
        assert writer.delete(where, headers=TUS).status_code == 204
        with suppress(OSError):  # it need not hear the rest
            slow.sendall(b"x" * 8_500_000)
        assert slow.recv(4096).startswith(b"HTTP/1.1 404 ")
    assert running.files() == []
    for again in (writer.head(where, headers=TUS), writer.delete(where, headers=TUS), send(writer, where, b"", 0)):
        assert again.status_code == 404


def test_a_full_disk_is_a_503_in_words_and_what_came_before_it_stays(running: Running, writer: httpx.Client):
    where = announced(writer)
    assert send(writer, where, CONTENT[:1000], 0).status_code == 204
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, before[1]))  # Python is told, not killed
    try:
        response = send(writer, where, CONTENT[1000:], 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert (problem(response)["code"], response.headers["retry-after"]) == ("unavailable", "60")
    offset = offset_of(writer, where)
    assert 1000 < offset <= 1_500_000
    assert send(writer, where, CONTENT[offset:], offset).status_code == 204
    assert file_of(running, where).read_bytes() == CONTENT


def test_without_a_key_nothing_of_the_body_is_read(running: Running, writer: httpx.Client):
    where = announced(writer)
    head = f"PATCH {where} HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\nUpload-Offset: 0\r\nTus-Resumable: 1.0.0\r\n\r\n"
    with socket.create_connection(running.host) as connection:
        connection.settimeout(5)
        connection.sendall(head.encode())
        answer = connection.recv(4096)
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"connection: close" in answer


def test_anothers_upload_is_like_one_that_never_was(running: Running, writer: httpx.Client):
    where = announced(writer, 10)
    with running.client("stranger") as stranger:
        nobodys = f"/v1/uploads/{new_id('upl')}"
        for method in ("HEAD", "GET", "PATCH", "DELETE"):
            pair = [stranger.request(method, each, headers={**BYTES, "Upload-Offset": "0"}) for each in (where, nobodys)]
            assert [each.status_code for each in pair] == [404, 404]
            assert set(pair[0].headers) == set(pair[1].headers)
            if method != "HEAD":
                assert problem(pair[0]) == problem(pair[1])
        assert stranger.get("/v1/uploads").json()["data"] == []
    assert offset_of(writer, where) == 0


def test_an_upload_that_has_expired_is_gone_and_one_that_goes_on_is_kept(tmp_path: Path):
    with service.running(tmp_path, upload_expires_seconds=60) as running, running.client("writer") as client:
        start, clock = running.services.clock(), [0.0]
        running.services.clock = lambda: start + timedelta(seconds=clock[0])
        left, kept = announced(client, 10), announced(client, 10)
        clock[0] = 50
        assert send(client, kept, b"12345", 0).status_code == 204
        clock[0] = 61
        assert client.head(left, headers=TUS).status_code == 404
        assert send(client, left, b"12345", 0).status_code == 404
        assert offset_of(client, kept) == 5
        assert [row["id"] for row in client.get("/v1/uploads").json()["data"]] == [kept.rpartition("/")[2]]


def test_a_workspace_has_so_many_uploads_open_and_what_they_declare_counts(tmp_path: Path):
    with service.running(tmp_path, max_open_uploads=3, max_open_upload_bytes=2000) as running, running.client("writer") as client:
        first = announced(client, 1500)
        refused = client.post("/v1/uploads", headers={**TUS, "Upload-Length": "501"})
        assert problem(refused) == {
            "type": "/docs/errors#too_many_uploads",
            "title": "Too many uploads",
            "status": 429,
            "code": "too_many_uploads",
            "detail": "1 uploads are open, of 1,500 bytes; the workspace may have 3, of 2,000 bytes.",
            "hint": "Finish them, or DELETE those that GET /v1/uploads lists and nobody needs.",
            "errors": [],
        }
        announced(client, 0), announced(client, 0)
        assert client.post("/v1/uploads", headers={**TUS, "Upload-Length": "0"}).status_code == 429
        with running.client("stranger") as stranger:
            announced(stranger, 2000)
        assert client.delete(first, headers=TUS).status_code == 204
        announced(client, 2000)
        assert len(running.files()) == 4


def test_an_announcement_again_under_the_same_key_is_the_same_upload(running: Running, writer: httpx.Client):
    assert announced(writer, 5, **{"Idempotency-Key": "k"}) == announced(writer, 5, **{"Idempotency-Key": "k"})
    other = writer.post("/v1/uploads", headers={**TUS, "Upload-Length": "6", "Idempotency-Key": "k"})
    assert problem(other)["code"] == "idempotency_mismatch"
    assert len(running.files()) == 1


def test_an_announcement_again_tells_how_the_upload_stands_by_now(running: Running, writer: httpx.Client):
    headers = {**BYTES, "Upload-Length": str(len(CONTENT)), "Idempotency-Key": "k"}
    first, again = (writer.post("/v1/uploads", content=CONTENT[:2_000_000], headers=headers) for _ in range(2))
    assert (again.status_code, again.json(), again.headers["location"]) == (201, first.json(), first.headers["location"])
    assert (first.headers["upload-offset"], again.headers["upload-offset"]) == ("2000000", "2000000")
    assert again.headers["upload-expires"] == first.headers["upload-expires"]
    assert send(writer, again.headers["location"], CONTENT[2_000_000:], 2_000_000).status_code == 204
    assert writer.post("/v1/uploads", headers={**headers, "Content-Type": "text/csv"}).headers["upload-offset"] == str(len(CONTENT))
    assert writer.delete(first.headers["location"], headers=TUS).status_code == 204
    gone = writer.post("/v1/uploads", content=CONTENT[:2_000_000], headers=headers)
    assert (gone.status_code, "upload-offset" in gone.headers) == (201, False)


@pytest.mark.parametrize("key", [{}, {"Idempotency-Key": "k"}])
def test_first_bytes_that_a_full_disk_breaks_off_are_a_201_that_tells_how_many_are_here(
    running: Running, writer: httpx.Client, key: dict[str, str]
):
    headers = {**BYTES, "Upload-Length": str(len(CONTENT)), **key}
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, before[1]))
    try:
        made = writer.post("/v1/uploads", content=CONTENT, headers=headers)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    offset = int(made.headers["upload-offset"])
    assert (made.status_code, 0 < offset <= 1_500_000, "upload-expires" in made.headers) == (201, True, True)
    if key:
        assert writer.post("/v1/uploads", content=CONTENT, headers=headers).headers["upload-offset"] == str(offset)
    assert send(writer, made.headers["location"], CONTENT[offset:], offset).status_code == 204
    assert file_of(running, made.headers["location"]).read_bytes() == CONTENT


def test_first_bytes_that_are_too_many_are_refused_again_under_the_same_key_and_the_right_ones_are_taken(
    running: Running, writer: httpx.Client
):
    headers = {**BYTES, "Upload-Length": "5", "Idempotency-Key": "k"}
    for _ in range(2):
        assert problem(writer.post("/v1/uploads", content=b"123456", headers=headers))["code"] == "too_large"
        assert running.files() == []
    made = writer.post("/v1/uploads", content=b"12345", headers=headers)
    assert (made.status_code, made.headers["upload-offset"]) == (201, "5")
    assert file_of(running, made.headers["location"]).read_bytes() == b"12345"


def test_a_service_that_stops_keeps_what_came(running: Running, writer: httpx.Client):
    where = announced(writer)
    with sending(running, where, len(CONTENT)) as slow:
        slow.sendall(CONTENT[:1_500_000])
        until(lambda: file_of(running, where).stat().st_size > 0)
        running.services.stopping.set()
        slow.sendall(b"12345")
        assert slow.recv(4096).startswith(b"HTTP/1.1 503 ")
    assert file_of(running, where).read_bytes()[:1_500_000] == CONTENT[:1_500_000]
