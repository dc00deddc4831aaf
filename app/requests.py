"""Requests read strictly: counted bytes, one media type, one JSON reader. Every router of the service uses `StrictRoute`."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from email.message import EmailMessage
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from python_multipart.multipart import parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.routing import Match
from starlette.types import Message, Receive, Scope

from app import strict_json
from app.problems import Refusal
from headstart.errors import HeadstartError, TooLarge, UnsupportedMedia
from headstart.settings import Settings

ON_LOOP_BYTES = 2**16
"""Larger bodies are parsed in a thread."""

ENVELOPE_BYTES = 2**20
"""Of an upload beside its file."""


class StrictRequest(Request):
    """A request whose JSON is read by `strict_json`."""

    async def json(self) -> Any:  # noqa: ANN401 - starlette's signature
        if not hasattr(self, "_strict"):
            body = await self.body()
            try:
                self._strict = strict_json.loads(body) if len(body) <= ON_LOOP_BYTES else await run_in_threadpool(strict_json.loads, body)
            except HeadstartError as error:
                raise Refusal(error) from error
        return self._strict


class StrictRoute(APIRoute):
    """A route that checks the media type and bounds the body before it is read."""

    request_class: type[StrictRequest] = StrictRequest

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        takes_json = self.body_field is not None

        async def strict(request: Request) -> Response:
            limit = self.limit(request.app.state.services.settings)
            wrapped = self.request_class(request.scope, bounded(request.receive, limit))
            check_encoding(wrapped)
            check_length(wrapped, limit)
            if takes_json:
                check_json(wrapped)
            return await handle(wrapped)

        return strict

    def limit(self, settings: Settings) -> int:
        """Most bytes of a body."""
        return settings.max_body_bytes


class MultipartRoute(StrictRoute):
    """A route for the bodies that are multipart; another route at the same address takes the others."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        match, child = super().matches(scope)
        return (match, child) if match is not Match.NONE and _is_multipart(scope) else (Match.NONE, {})


def _is_multipart(scope: Scope) -> bool:
    return parse_options_header(Headers(scope=scope).get("content-type"))[0] == b"multipart/form-data"


class UploadRoute(MultipartRoute):
    """A route whose body is a file with its fields; the file's own size is bounded where it is written."""

    def limit(self, settings: Settings) -> int:
        return settings.max_upload_bytes + ENVELOPE_BYTES


def check_encoding(request: Request) -> None:
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in {"", "identity"}:
        raise UnsupportedMedia("media_type", "Compressed bodies are not taken.", "Send the body without Content-Encoding.")


def check_length(request: Request, limit: int) -> None:
    """Refuse a body by its declared length, before a byte of it is read."""
    declared = request.headers.get("content-length", "0")
    if declared.isascii() and declared.isdigit() and int(declared[:32]) > limit:
        raise too_large(limit)


def check_json(request: Request) -> None:
    stated = request.headers.get("content-type")
    if stated is None and request.headers.get("content-length", "0") == "0" and "transfer-encoding" not in request.headers:
        return  # no body at all: that it is missing is the better answer
    if not _is_json(stated or ""):
        raise UnsupportedMedia("media_type", "The body must be JSON in UTF-8.", "Send `Content-Type: application/json`.")


def _is_json(stated: str) -> bool:
    """Whether a Content-Type says JSON in UTF-8, its charset by RFC 2231 too, which `parse_options_header` passes over."""
    headers = EmailMessage()
    try:
        headers["Content-Type"] = stated or "missing/missing"
        charset = headers.get_content_charset("utf-8")
    except (LookupError, TypeError, ValueError):  # what the standard library was seen to raise over `;0*` and its like
        return False
    return headers.get_content_type() == "application/json" and charset in {"utf-8", "utf8", "us-ascii"}


def bounded(receive: Receive, limit: int) -> Receive:
    """`receive` that refuses the byte after `limit`."""
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        message = await receive()
        if message["type"] == "http.request":
            seen += len(message.get("body", b""))
            if seen > limit:
                raise Refusal(too_large(limit))
        return message

    return counted


def too_large(limit: int) -> TooLarge:
    return TooLarge("too_large", f"The body is larger than {limit:,} bytes.", "An operator can raise the limit.")
