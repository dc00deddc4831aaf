"""The words of the tus protocol 1.0: what its requests say in their headers, and what every answer carries.

Source: https://tus.io/protocols/resumable-upload (1.0.0); extensions creation, creation-with-upload, expiration and termination.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime
from email.utils import format_datetime
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException

from app.problems import as_error, problem_response
from app.requests import ENVELOPE_BYTES, StrictRoute, too_large
from headstart.errors import Fault, HeadstartError, Malformed, TooLarge, UnsupportedMedia
from headstart.settings import Settings
from headstart.specs.fields import MAX_INT
from headstart.specs.uploads import CONTENT_TYPE, EXTENSIONS, MAX_METADATA_CHARS, VERSION, read_metadata


class WrongVersion(HeadstartError):
    status = 412


class TusRoute(StrictRoute):
    """A route of the protocol: each of its answers names the version, and its requests must."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def tus(request: Request) -> Response:
            try:
                if request.method not in {"GET", "OPTIONS"}:
                    check_version(request.headers)
                response = await handle(request)
            except (HeadstartError, RequestValidationError, HTTPException) as error:
                response = problem_response(request.scope, as_error(error, request.scope))
            response.headers["Tus-Resumable"] = VERSION
            if response.status_code == WrongVersion.status:
                response.headers["Tus-Version"] = VERSION
            return response

        return tus

    def limit(self, settings: Settings) -> int:
        return settings.max_upload_bytes + ENVELOPE_BYTES


def check_version(headers: Headers) -> None:
    if headers.get("tus-resumable") != VERSION:
        raise WrongVersion("tus_version", f"The request does not speak tus {VERSION}.", f"Send `Tus-Resumable: {VERSION}`.")


def length_of(headers: Headers, limit: int) -> int:
    """What `Upload-Length` announces.

    Raises:
        Malformed: it is not there, or no length.
        TooLarge: it is more than `limit`.
    """
    if "upload-length" not in headers:
        raise malformed("Upload-Length", "is missing: how many bytes the file has")
    length = _number(headers, "Upload-Length")
    if length > limit:
        raise too_large(limit)
    return length


def offset_of(headers: Headers) -> int:
    """What `Upload-Offset` says.

    Raises:
        Malformed: it is not there, or no offset.
    """
    if "upload-offset" not in headers:
        raise malformed("Upload-Offset", "is missing: how many bytes came before these")
    return _number(headers, "Upload-Offset")


def about_of(headers: Headers) -> str:
    """`Upload-Metadata` as it was sent, once it has been seen to be readable; empty when there is none.

    Raises:
        Malformed: it is not readable.
        TooLarge: it is too long.
    """
    header = ",".join(headers.getlist("upload-metadata"))
    if len(header) > MAX_METADATA_CHARS:
        raise TooLarge("too_large", f"The header 'Upload-Metadata' is longer than {MAX_METADATA_CHARS:,} characters.")
    try:
        read_metadata(header)
    except ValueError as error:
        raise malformed("Upload-Metadata", str(error)) from None
    return header


def carries_bytes(headers: Headers) -> bool:
    """Whether a request has a body of the protocol's type."""
    return headers.get("content-type", "").strip().lower() == CONTENT_TYPE


def check_content(headers: Headers) -> None:
    if not carries_bytes(headers):
        raise UnsupportedMedia("media_type", "The bytes of an upload have a type of their own.", f"Send `Content-Type: {CONTENT_TYPE}`.")


def malformed(header: str, words: str) -> Malformed:
    """A 400 about one header."""
    return Malformed("invalid_field", f"The header '{header}' {words}.", None, (Fault(f"/{header}", words),))


def told(*, offset: int | None = None, length: int | None = None, about: str = "", expires_at: datetime | None = None) -> dict[str, str]:
    """Headers that say how an upload stands."""
    headers: dict[str, str] = {}
    if offset is not None:
        headers["Upload-Offset"] = str(offset)
    if length is not None:
        headers["Upload-Length"] = str(length)
    if about:
        headers["Upload-Metadata"] = about
    if expires_at is not None:
        headers["Upload-Expires"] = format_datetime(expires_at, usegmt=True)
    return headers


def abilities(settings: Settings) -> Mapping[str, str]:
    """Headers that say what this server can do."""
    return {"Tus-Version": VERSION, "Tus-Extension": ",".join(EXTENSIONS), "Tus-Max-Size": str(settings.max_upload_bytes)}


def _number(headers: Headers, name: str) -> int:
    text = headers[name]
    if not (text.isascii() and text.isdigit() and len(text) <= 20 and int(text) <= MAX_INT):
        raise malformed(name, f"must be a whole number from 0 to {MAX_INT}")
    return int(text)
