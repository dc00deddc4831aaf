"""Following a job: server-sent events read as the standard says, and no row lost or told twice whatever breaks in between."""

from __future__ import annotations

import asyncio
import inspect
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstart.client import AsyncHeadstart, Headstart
from headstart.client.http import AsyncSurroundings, Surroundings
from headstart.client.streams import MOST_FAILURES, Message, Parser
from headstart.errors import HeadstartError, NotFound, Unauthenticated, Unavailable
from tests.client.service import END, KEY, Reply, event, log, problem, stream

Follow = Callable[[Headstart | AsyncHeadstart], Any]
BREAK = "break"
"""In place of a piece: the connection breaks here."""


def read(text: bytes) -> list[Message]:
    return Parser().feed(text)


# the parser


def second_reading(stream: str) -> list[Message]:
    """The interpretation of the standard, once more, over a whole stream of LF lines."""
    found, last, event, data = [], "", "", ""
    for line in stream.split("\n")[:-1]:
        if line == "":
            if data:
                found.append(Message(last, event or "message", data.removesuffix("\n")))
            event = data = ""
        elif match := re.fullmatch(r"([^:]+)(?:: ?(.*))?", line, re.DOTALL):
            name, value = match[1], match[2] or ""
            if name == "data":
                data += value + "\n"
            elif name == "event":
                event = value
            elif name == "id" and "\0" not in value:
                last = value
    return found


TEXT = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=12)
KNOWN = ["", "", "data", "data:", "data: x", "data:  y", "id: 7", "id", "id: a\0b", "event: status", "event", ": end", "retry: 9"]
FIELDS = st.builds("{}: {}".format, st.sampled_from(["data", "id", "event"]), TEXT)
LINES = st.lists(st.one_of(st.sampled_from(KNOWN), TEXT, FIELDS), max_size=30)


@given(LINES, st.data())
def test_a_stream_is_read_as_the_standard_says_whatever_its_ends_of_line_and_however_it_is_cut(lines, data):
    ends = data.draw(st.lists(st.sampled_from(["\n", "\r\n"]), min_size=len(lines), max_size=len(lines)))
    content = "".join(line + end for line, end in zip(lines, ends, strict=True)).encode()
    cuts = sorted(data.draw(st.lists(st.integers(0, len(content)), max_size=8)))
    parser, found = Parser(), []
    for start, stop in zip([0, *cuts], [*cuts, len(content)], strict=True):
        found += parser.feed(content[start:stop])
    plain = "".join(line + "\n" for line in lines).removeprefix("\ufeff")
    assert found == second_reading(plain)


def test_a_lone_carriage_return_ends_a_line_at_once():
    assert read(b"data: a\r\rdata: b\r\r") == [Message("", "message", "a"), Message("", "message", "b")]


def test_a_mark_of_byte_order_is_passed_over_and_half_a_message_is_none():
    assert read(b"\xef\xbb\xbfdata: a\n\ndata: half\n") == [Message("", "message", "a")]


def test_data_of_several_lines_is_joined_and_an_id_stays_until_another_comes():
    assert read(b"id: 1\ndata: a\ndata: b\n\ndata\n\n") == [Message("1", "message", "a\nb"), Message("1", "message", "")]


# both shells


@dataclass
class Server:
    """Gives its answers one after the other: replies, errors, or pieces of a stream that may break."""

    answers: list[Reply | Exception | list[bytes | str]]
    seen: list[httpx.Request] = field(default_factory=list)
    naps: list[float] = field(default_factory=list)

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request)
        given = self.answers.pop(0)
        if isinstance(given, Exception):
            raise given
        if isinstance(given, Reply):
            return httpx.Response(given.status, headers=given.headers, content=given.content)
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Pieces(given))


@dataclass
class Pieces(httpx.SyncByteStream, httpx.AsyncByteStream):
    pieces: list[bytes | str]

    def __iter__(self) -> Iterator[bytes]:
        for piece in self.pieces:
            if isinstance(piece, str):
                raise httpx.ReadError("broken")
            yield piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            yield piece


def follow_plainly(server: Server, follow: Follow) -> list[Any]:
    surroundings = Surroundings(sleep=server.naps.append, jitter=lambda: 1.0, transport=httpx.MockTransport(server.handle))
    with Headstart("http://headstart.test", KEY, surroundings=surroundings) as client:
        return list(follow(client))


def follow_awaited(server: Server, follow: Follow) -> list[Any]:
    async def rest(seconds: float) -> None:
        server.naps.append(seconds)

    async def work() -> list[Any]:
        surroundings = AsyncSurroundings(sleep=rest, jitter=lambda: 1.0, transport=httpx.MockTransport(server.handle))
        async with AsyncHeadstart("http://headstart.test", KEY, surroundings=surroundings) as client:
            return [row async for row in follow(client)]

    return asyncio.run(work())


both = pytest.mark.parametrize("followed", [follow_plainly, follow_awaited])


def seqs(rows: list[Any]) -> list[int]:
    return [row.seq for row in rows]


def asked_after(server: Server) -> list[str | None]:
    return [request.headers.get("last-event-id") for request in server.seen]


@both
def test_log_lines_come_typed_until_the_server_says_that_nothing_follows(followed):
    server = Server([stream(log(1), log(2, "Training took 3.1 s."), end=": keep-alive\n\n" + END)])
    rows = followed(server, lambda client: client.follow_job_logs("job_1"))
    assert [(row.object, row.seq, row.message) for row in rows] == [("log", 1, "Training begins."), ("log", 2, "Training took 3.1 s.")]
    assert (server.seen[0].url.path, server.seen[0].headers["accept"]) == ("/v1/jobs/job_1/logs", "text/event-stream")
    assert (len(server.seen), server.naps) == (1, [])


@both
def test_events_end_with_the_one_that_ends_the_job(followed):
    server = Server([stream(event(1, "queued"), event(2, "failed"), event(3, "never read"))])
    assert seqs(followed(server, lambda client: client.follow_job_events("job_1"))) == [1, 2]
    assert len(server.seen) == 1


@both
def test_following_may_begin_after_a_row(followed):
    server = Server([stream(log(8), end=END)])
    followed(server, lambda client: client.follow_job_logs("job_1", after=7))
    assert server.seen[0].url.params["after"] == "7"


@both
def test_a_stream_that_breaks_or_just_ends_is_taken_up_after_the_last_row(followed):
    whole = stream(log(1), log(2), log(3)).content
    cut = whole.index(b"id: 3") + 30
    server = Server([[whole[:cut], BREAK], stream(log(3)), stream(log(4), end=END)])
    assert seqs(followed(server, lambda client: client.follow_job_logs("job_1"))) == [1, 2, 3, 4]
    assert asked_after(server) == [None, "2", "3"]
    assert server.naps == [0.25, 0.25]


@both
def test_a_server_that_is_away_for_a_while_is_waited_for_longer_and_longer(followed):
    away: list[Reply | Exception] = [
        httpx.ConnectError("away"),
        httpx.ReadTimeout("silent"),
        problem(503, "unavailable", retry_after="3"),
        Reply(502, b"<html>"),
    ]
    server = Server([stream(log(1)), *away, stream(log(2), end=END)])
    assert seqs(followed(server, lambda client: client.follow_job_logs("job_1"))) == [1, 2]
    assert server.naps == [0.25, 0.5, 1.0, 3.0, 4.0]
    assert asked_after(server)[-1] == "1"


@both
@pytest.mark.parametrize("answer", [httpx.ConnectError("away"), stream()], ids=["away", "says nothing"])
def test_a_server_that_stays_away_is_unavailable_after_a_minute(followed, answer):
    server = Server([answer for _ in range(100)])
    with pytest.raises(Unavailable):
        followed(server, lambda client: client.follow_job_logs("job_1"))
    assert len(server.seen) == MOST_FAILURES
    assert 45 < sum(server.naps) < 75


@both
def test_a_server_that_asks_for_a_very_long_wait_is_not_waited_for(followed):
    server = Server([problem(503, "unavailable", retry_after="7200")])
    with pytest.raises(Unavailable):
        followed(server, lambda client: client.follow_job_logs("job_1"))
    assert server.naps == []


@both
@pytest.mark.parametrize(("status", "kind"), [(401, Unauthenticated), (404, NotFound)])
def test_a_refusal_ends_it_in_the_servers_words(followed, status, kind):
    server = Server([stream(log(1)), problem(status, "code", "The API key is wrong, expired or revoked.")])
    with pytest.raises(kind, match="revoked"):
        followed(server, lambda client: client.follow_job_logs("job_1"))
    assert len(server.seen) == 2


@both
def test_an_answer_that_is_no_stream_is_refused(followed):
    server = Server([Reply(200, {"object": "list"}, {"content-type": "application/json"})])
    with pytest.raises(HeadstartError) as caught:
        followed(server, lambda client: client.follow_job_events("job_1"))
    assert caught.value.code == "unexpected_answer"


@both
def test_fields_that_a_newer_server_adds_are_passed_over_and_a_row_without_its_own_is_refused(followed):
    newer = log(1) | {"worker": "w1"}
    assert seqs(followed(Server([stream(newer, end=END)]), lambda client: client.follow_job_logs("job_1"))) == [1]
    with pytest.raises(HeadstartError, match="shape"):
        followed(Server([stream({"seq": 2}, end=END)]), lambda client: client.follow_job_logs("job_1"))


@pytest.mark.parametrize("name", ["follow_job_events", "follow_job_logs"])
def test_both_clients_follow_with_the_same_arguments(name: str):
    plain, awaited = (inspect.signature(getattr(kind, name)) for kind in (Headstart, AsyncHeadstart))
    assert plain.parameters == awaited.parameters
    assert str(plain.return_annotation) == str(awaited.return_annotation).removeprefix("Async")


def test_whoever_stops_following_closes_the_connection():
    closed = []

    class Watched(Pieces):
        def close(self) -> None:
            closed.append(True)

    def handle(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Watched([stream(log(1), log(2)).content, BREAK]))

    with Headstart("http://headstart.test", KEY, surroundings=Surroundings(transport=httpx.MockTransport(handle))) as client:
        for row in client.follow_job_logs("job_1"):
            assert row.seq == 1
            break
        assert closed == [True]


def test_a_handle_gives_the_whole_log():
    pages = [
        {"object": "list", "data": [log(1)], "has_more": True, "next": "1"},
        {"object": "list", "data": [log(2)], "has_more": False, "next": None},
    ]
    from tests.client.service import job

    server = Server([Reply(200, job()), *(Reply(200, page) for page in pages)])
    with Headstart("http://headstart.test", KEY, surroundings=Surroundings(transport=httpx.MockTransport(server.handle))) as client:
        assert seqs(client.job("job_1").logs()) == [1, 2]
    assert json.loads(server.seen[-1].url.params["after"]) == 1
