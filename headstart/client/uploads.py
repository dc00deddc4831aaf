"""Calls about resumable uploads: the tus protocol, as this client needs it."""

from __future__ import annotations

from collections.abc import Mapping

from headstart.client.protocol import Call, answer, fresh_key, nothing, query, route
from headstart.specs.pages import Page
from headstart.specs.uploads import CONTENT_TYPE, VERSION, Upload, written_metadata


def create_upload(*, size_bytes: int, metadata: Mapping[str, str] | None = None, idempotency_key: str | None = None) -> Call[Upload]:
    headers = {"Tus-Resumable": VERSION, "Upload-Length": str(size_bytes)}
    if metadata:
        headers["Upload-Metadata"] = written_metadata(metadata)
    return Call("POST", route("uploads"), answer(Upload), headers=headers, idempotency_key=fresh_key(idempotency_key))


def list_uploads(*, limit: int | None = None, after: str | None = None) -> Call[Page[Upload]]:
    return Call("GET", route("uploads"), answer(Page[Upload]), query(limit=limit, after=after))


def get_upload(upload: str) -> Call[Upload]:
    return Call("GET", route("uploads", upload), answer(Upload))


def patch_upload(upload: str, content: bytes, *, offset: int) -> Call[None]:
    headers = {"Tus-Resumable": VERSION, "Upload-Offset": str(offset), "Content-Type": CONTENT_TYPE}
    # Not tried again as it is: whether a broken one arrived is told by the upload's offset.
    return Call("PATCH", route("uploads", upload), nothing, headers=headers, content=content, retried=False)


def delete_upload(upload: str) -> Call[None]:
    return Call("DELETE", route("uploads", upload), nothing, headers={"Tus-Resumable": VERSION})
