"""A large file is sent in pieces, and goes on where it was after whatever came between."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from headstart.client import Headstart, sending
from headstart.client.http import Surroundings
from headstart.errors import BadInput, HeadstartError, Unavailable
from tests.client.conftest import Time
from tests.client.service import KEY, Reply, Seen, Service, form, problem
from tests.client.test_asynchronous import connected

CONTENT = os.urandom(1000)


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "PIECE_BYTES", 300)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "reviews.csv"
    path.write_bytes(CONTENT)
    return path


def patches(service: Service) -> list[int]:
    return [int(seen.headers["upload-offset"]) for seen in service.seen if seen.method == "PATCH"]


def interrupting(service: Service, sent: list[Reply | httpx.TransportError | None]) -> httpx.MockTransport:
    """The service, where each PATCH first meets the next of these: an answer, a broken connection, or None: nothing comes between."""

    def answer(request: httpx.Request) -> httpx.Response:
        seen = Seen(request.method, request.url.raw_path.decode(), {k.lower(): v for k, v in request.headers.items()}, request.read())
        met = sent.pop(0) if sent and request.method == "PATCH" else None
        if isinstance(met, httpx.TransportError):
            service.handle(seen)  # it arrives, and its answer does not
            raise met
        reply = met or service.handle(seen)
        return httpx.Response(reply.status, headers=reply.headers, content=reply.content)

    return httpx.MockTransport(answer)


@pytest.fixture
def meeting(service: Service, time: Time) -> Iterator[Callable[..., Headstart]]:
    clients = []

    def made(*sent: Reply | httpx.TransportError | None) -> Headstart:
        surroundings = Surroundings(sleep=time.sleep, clock=time.clock, jitter=lambda: 0.5, transport=interrupting(service, list(sent)))
        clients.append(Headstart("http://headstart.test", KEY, surroundings=surroundings))
        return clients[-1]

    yield made
    for each in clients:
        each.close()


def test_a_file_is_sent_in_pieces_and_its_progress_is_told(client: Headstart, service: Service, file: Path):
    told: list[tuple[int, int]] = []
    upload = client.send_file(file, tell=lambda there, whole: told.append((there, whole)))
    assert service.received[upload.id] == CONTENT
    assert told == [(0, 1000), (300, 1000), (600, 1000), (900, 1000), (1000, 1000)]
    (made,) = [seen for seen in service.seen if seen.method == "POST"]
    assert (made.headers["tus-resumable"], made.headers["upload-length"]) == ("1.0.0", "1000")
    assert service.uploads[upload.id]["metadata"]["filename"] == "reviews.csv"
    assert all(seen.headers["content-type"] == "application/offset+octet-stream" for seen in service.seen if seen.method == "PATCH")


def test_a_connection_that_breaks_is_taken_up_at_the_servers_offset(meeting: Callable[..., Headstart], service: Service, file: Path):
    broken = httpx.RemoteProtocolError("gone")
    client = meeting(None, broken, problem(503, "unavailable"), None, problem(423, "upload_busy", retry_after="2"))
    upload = client.send_file(file)
    assert service.received[upload.id] == CONTENT
    assert patches(service) == [0, 300, 600, 900]  # what arrived was not sent again


def test_a_later_process_goes_on_where_an_earlier_one_was_killed(meeting: Callable[..., Headstart], service: Service, file: Path):
    with pytest.raises(KeyboardInterrupt):
        meeting().send_file(file, tell=_stop_at(600))
    upload = meeting().send_file(str(file))
    assert (service.received[upload.id], len(service.uploads)) == (CONTENT, 1)
    assert patches(service) == [0, 300, 600, 900]
    assert meeting().send_file(file).id == upload.id  # finished, and not yet used
    assert len(patches(service)) == 4


def _stop_at(offset: int) -> Callable[[int, int], None]:
    def tell(there: int, _whole: int) -> None:
        if there >= offset:
            raise KeyboardInterrupt

    return tell


def test_a_file_that_was_written_to_meanwhile_is_another(meeting: Callable[..., Headstart], service: Service, file: Path):
    with pytest.raises(KeyboardInterrupt):
        meeting().send_file(file, tell=_stop_at(600))
    other = bytes(1000)
    file.write_bytes(other)
    upload = meeting().send_file(file)
    assert (service.received[upload.id], len(service.uploads)) == (other, 2)


def test_without_progress_it_gives_up_in_the_end_with_the_servers_words(meeting: Callable[..., Headstart], time: Time, file: Path):
    away = problem(503, "unavailable", "The disk of the service is full.")
    with pytest.raises(Unavailable, match="disk of the service is full"):
        meeting(None, *[away] * 100).send_file(file)
    assert sending.PATIENCE_SECONDS <= time.now < 2 * sending.PATIENCE_SECONDS


def test_one_that_another_process_keeps_sending_is_begun_anew(meeting: Callable[..., Headstart], service: Service, file: Path):
    with pytest.raises(KeyboardInterrupt):
        meeting().send_file(file, tell=_stop_at(300))
    busy = problem(423, "upload_busy", retry_after="30")
    upload = meeting(*[busy] * 4).send_file(file)
    assert (service.received[upload.id], len(service.uploads)) == (CONTENT, 2)


def test_a_refusal_is_not_tried_again(meeting: Callable[..., Headstart], file: Path):
    with pytest.raises(HeadstartError) as caught:
        meeting(problem(413, "too_large"), None).send_file(file)
    assert caught.value.code == "too_large"


def test_the_asynchronous_client_sends_files_in_the_same_way(service: Service, file: Path):
    service.replies = []

    async def work() -> Any:
        async with connected(service) as client:
            return await client.send_file(file), await client.send_file(io.BytesIO(b"other"))

    first, second = asyncio.run(work())
    assert (service.received[first.id], service.received[second.id]) == (CONTENT, b"other")


def test_upload_takes_this_way_for_large_files_and_when_told_to(
    client: Headstart, service: Service, file: Path, monkeypatch: pytest.MonkeyPatch
):
    row = client.upload(file, schema={"label": "category"}, resumable=True)
    assert (row.name, row.status) == ("reviews", "ready")
    assert service.seen[-2].json == {"name": "reviews", "upload": "upl_1", "format": "csv", "schema": {"label": "category"}}
    client.upload(file, mode="lenient")
    assert dict(form(service.seen[-2]))["mode"] == b"lenient"
    assert len(service.uploads) == 1
    monkeypatch.setattr(sending, "RESUMABLE_BYTES", 1000)
    client.upload(file)
    client.upload(file, resumable=False)
    assert len(service.uploads) == 2
    client.upload([{"x": "y" * 1000}], name="rows")
    assert [each["metadata"]["filename"] for each in service.uploads.values()][-1] == "rows.jsonl"


def test_a_file_that_changes_while_it_is_sent_is_noticed(client: Headstart, service: Service, file: Path, monkeypatch: pytest.MonkeyPatch):
    sent = service._patch_upload

    def changing(seen: Seen, name: str) -> Reply:
        file.write_bytes(bytes(1000))
        return sent(seen, name)

    monkeypatch.setattr(service, "_patch_upload", changing)
    with pytest.raises(HeadstartError, match="changed while it was sent"):
        client.upload(file, resumable=True)
    assert (service.seen[-1].method, service.seen[-1].path) == ("DELETE", "/v1/datasets/ds_2")
    file.write_bytes(CONTENT * 20)  # more than is read ahead
    monkeypatch.setattr(service, "_patch_upload", lambda seen, name: (file.write_bytes(b""), sent(seen, name))[1])
    with pytest.raises(BadInput, match="became shorter"):
        client.upload(file, resumable=True)


def test_append_makes_the_next_version_from_a_file_or_rows(client: Headstart, service: Service, file: Path):
    made = client.append("ds_1", file)
    assert (made.version, made.parent and made.parent.model_dump()) == (2, {"dataset": "ds_1", "how": "append", "key": None})
    assert dict(form(service.seen[0])) == {"how": b"append", "format": b"csv", "file": CONTENT}
    replaced = client.append(made, [{"id": "1", "label": "pos"}], key="id")
    assert replaced.parent is not None
    assert (replaced.parent.dataset, replaced.parent.how, replaced.parent.key) == (made.id, "replace", "id")
    again = client.append(made.id, file, key="id", mode="lenient", resumable=True)
    assert service.seen[-2].json == {"replace": {"key": "id", "format": "csv", "upload": "upl_3"}, "mode": "lenient"}
    assert again.parent is not None
    assert (again.parent.how, again.sha256) == ("replace", made.sha256)


def test_a_call_without_a_file_is_refused_before_it_is_sent(client: Headstart, service: Service):
    for call in (lambda: client.create_dataset(name="a"), lambda: client.create_dataset_version("ds_1")):
        with pytest.raises(BadInput, match="neither a file nor an upload"):
            call()
    assert service.seen == []
