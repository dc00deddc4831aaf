"""uvicorn's HTTP protocol with the bounds it lacks: bytes of a request's head, and seconds in which something must arrive."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from app.codes import title_of
from headstart.specs.ids import new_id
from headstart.specs.problems import Problem

MAX_HEAD_BYTES = 2**16
HEAD_SECONDS = 30.0
"""For the whole head, from the connection's or the request's first byte."""
IDLE_BODY_SECONDS = 30.0
"""Between two pieces of a body."""
MAX_CONNECTIONS = 1000
"""uvicorn's own `limit_concurrency` would say so in plain text."""


class BoundedProtocol(HttpToolsProtocol):
    """Answers 431 to a head of more than 64 KiB, closes on a client that leaves a request unfinished, and says all refusals as problems."""

    head_bytes = 0
    in_head = False
    in_body = False
    refused = False
    deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:  # noqa: ANN401 - asyncio's signature
        super().connection_made(transport)
        self._expect_within(HEAD_SECONDS)

    def connection_lost(self, exc: Exception | None) -> None:
        self._expect_nothing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.refused:
            return
        if self.in_head:  # the parser gathers a header line until it is whole, so its bytes are counted here
            self.head_bytes += len(data)
        elif self.in_body:
            self._expect_within(IDLE_BODY_SECONDS)
        super().data_received(data)
        if self.in_head and self.head_bytes > MAX_HEAD_BYTES:
            self._refuse_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.head_bytes, self.in_head = 0, True
        self._expect_within(HEAD_SECONDS)

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        self.head_bytes += len(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self.head_bytes += len(name) + len(value) + 4

    def on_headers_complete(self) -> None:
        self.in_head = False
        if sum(len(name) + len(value) + 4 for name, value in self.headers) + len(self.url) > MAX_HEAD_BYTES:
            self._refuse_head()
        else:
            self.in_body = True
            self._expect_within(IDLE_BODY_SECONDS)
            self.app = too_busy if len(self.connections) > MAX_CONNECTIONS else self.config.loaded_app
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self.refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self.in_body = False
        self._expect_nothing()
        if not self.refused:
            super().on_message_complete()

    def _expect_within(self, seconds: float) -> None:
        self._expect_nothing()
        self.deadline = self.loop.call_later(seconds, self._give_up)

    def _expect_nothing(self) -> None:
        if self.deadline is not None:
            self.deadline.cancel()
            self.deadline = None

    def _give_up(self) -> None:
        if self.in_body and self.flow.read_paused:  # it is we who are slow
            self._expect_within(IDLE_BODY_SECONDS)
        elif not self.transport.is_closing():
            self.transport.close()

    def _refuse_head(self) -> None:
        self.refused, self.in_head = True, False
        self._say(431, "headers_too_large", f"The request's head is larger than {MAX_HEAD_BYTES:,} bytes.")

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's words are not ours
        self.refused, self.in_head = True, False
        self._say(400, "malformed_json", "The request is not HTTP/1.1 as RFC 9112 means it.")

    def _say(self, status: int, code: str, detail: str) -> None:
        """A problem from below the application, and the end of the connection."""
        if self.transport.is_closing():
            return
        body = problem_bytes(status, code, detail)
        head = b"content-type: application/problem+json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
        self.transport.write(STATUS_LINE[status] + head + body)
        self.transport.close()


def problem_bytes(status: int, code: str, detail: str) -> bytes:
    """A problem where there is no request yet to speak of."""
    problem = Problem(
        type=f"/docs/errors#{code}",
        title=title_of(code),
        status=status,
        code=code,
        detail=detail,
        hint=None,
        instance="",
        request_id=new_id("req"),
        errors=[],
    )
    return problem.model_dump_json().encode()


async def too_busy(_scope: Any, _receive: Any, send: Any) -> None:  # noqa: ANN401 - uvicorn's own types of ASGI are narrower than starlette's
    """The application that stands in for ours when there are too many connections."""
    body = problem_bytes(503, "unavailable", "Too many connections are open.")
    headers = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", str(len(body)).encode()),
        (b"retry-after", b"1"),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})
