"""The door: request id, security headers, one log line a request, and the last catch."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping

import structlog
from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.problems import as_error, problem_response
from headstart.errors import not_found
from headstart.specs.ids import new_id

log = structlog.get_logger()

_SANE_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_STRICT_CSP = "default-src 'none'; frame-ancestors 'none'"
_PAGE_CSP = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'"
)
_HEADERS: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_QUIET = frozenset({"/livez", "/readyz"})


class Door:
    """The outermost ASGI layer of ours. Nothing that a request does passes it as an exception."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        structlog.contextvars.unbind_contextvars("request_id", "key_id")
        state = scope.setdefault("state", {})
        state["request_id"] = _request_id(scope)
        structlog.contextvars.bind_contextvars(request_id=state["request_id"])
        exchange = _Exchange(scope, receive, send, state["request_id"])
        await self._answer(scope, exchange)
        exchange.log()

    async def _answer(self, scope: Scope, exchange: _Exchange) -> None:
        try:
            if "\x00" in scope["path"]:  # PostgreSQL cannot even compare it
                raise not_found("thing")
            await self.app(scope, exchange.receive, exchange.send)
        except ClientDisconnect:
            exchange.gone = True
        except Exception as exc:  # noqa: BLE001 - the request edge
            error = as_error(exc, scope)
            if not exchange.status:
                await problem_response(scope, error)(scope, exchange.receive, exchange.send)


class _Exchange:
    """One request and its answer, watched."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        self._scope, self._receive, self._send, self._request_id = scope, receive, send, request_id
        self._began = time.perf_counter()
        self._unread = any(
            (name == b"content-length" and value.strip(b"0")) or name == b"transfer-encoding" for name, value in scope["headers"]
        )
        self.status = 0
        self.gone = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request" and not message.get("more_body", False):
            self._unread = False
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["X-Request-ID"] = self._request_id
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            page = self._scope["path"].startswith("/docs")
            headers.setdefault("Content-Security-Policy", _PAGE_CSP if page else _STRICT_CSP)
            if self._unread:  # or the server would read the rest of a refused body, however long, to find the next request
                headers["Connection"] = "close"
        await self._send(message)

    def log(self) -> None:
        path = (self._scope.get("raw_path") or b"").decode("ascii", "replace")[:256]
        milliseconds = round((time.perf_counter() - self._began) * 1000, 1)
        write = log.debug if self._scope["path"] in _QUIET and self.status == 200 else log.info
        write("request", method=self._scope["method"], path=path, status=self.status or None, ms=milliseconds, gone=self.gone or None)


def _request_id(scope: Scope) -> str:
    sent = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    return sent.decode("ascii") if _SANE_ID.fullmatch(sent) else new_id("req")
