"""Resumable uploads, as tus clients speak (tuspy, tus-js-client, uppy): announce a file, send it in pieces, go on after a break."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import Any

import anyio
from fastapi import APIRouter, Request, Response
from starlette.concurrency import run_in_threadpool

from app import idempotency, tus
from app.dependencies import CallerHere, IdempotencyKey, PageHere, Reading, Shared, Work, answer, paged, respond, working
from app.disk import worded_disk
from app.idempotency import Running
from app.openapi import made, problems
from app.receiving import check_offset, growing, receive
from app.services import Services
from app.stored import may_be_stored
from headstart.blobs.growing import synced_size
from headstart.errors import Conflict, NotFound, TooLarge, Unavailable, not_found
from headstart.specs.pages import Page
from headstart.specs.uploads import CONTENT_TYPE, Upload
from headstart.store import uploads as store
from headstart.store.idempotency import Answer, forget
from headstart.store.idempotency import Request as Repeat
from headstart.store.tables import Upload as Row

router = APIRouter(route_class=tus.TusRoute, tags=["uploads"])

ROUTE = "POST /v1/uploads"
_STANDING: dict[str, Any] = {"Upload-Offset": {"description": "How many bytes are safely here.", "schema": {"type": "integer"}}}
_HEADERS = {
    "Tus-Resumable": "`1.0.0`.",
    "Upload-Length": "Bytes of the file.",
    "Upload-Offset": "How many bytes came before these.",
    "Upload-Metadata": "Pairs of a key and a value in base64, with commas between; the ending of `filename` tells the format.",
}


_BYTES = {"requestBody": {"content": {CONTENT_TYPE: {"schema": {"type": "string", "format": "binary"}}}}}


def said(*required: str, optional: tuple[str, ...] = ()) -> dict[str, Any]:
    """The headers of an operation, for the document."""
    return {
        "parameters": [
            {"name": name, "in": "header", "required": name in required, "description": _HEADERS[name], "schema": {"type": "string"}}
            for name in (*required, *optional)
        ]
    }


@router.post(
    "/v1/uploads",
    status_code=201,
    response_model=Upload,
    responses=made(201, "upload") | problems(400, 409, 412, 413),
    openapi_extra=said("Tus-Resumable", "Upload-Length", optional=("Upload-Metadata",)) | _BYTES,
)
async def create_upload(request: Request, caller: CallerHere, services: Shared, idempotency_key: IdempotencyKey = None) -> Response:
    """Announce a file; its first bytes may come along. It becomes a dataset by `POST /v1/datasets` with `{"name": …, "upload": "upl_…"}`."""
    key = idempotency.checked(idempotency_key)
    length, about = tus.length_of(request.headers, services.settings.max_upload_bytes), tus.about_of(request.headers)
    repeat = idempotency.repeatable(caller.workspace_id, ROUTE, key, str(length).encode(), about.encode())
    running: Running = request.app.state.running
    with running.hold(caller.workspace_id, ROUTE, key), anyio.CancelScope(shield=True):  # a row is made with its file
        made_answer, row = await run_in_threadpool(_create, services, caller.workspace_id, length, about, repeat)
    response = respond(made_answer)
    if row is None:
        headers = await run_in_threadpool(_standing, services, caller.workspace_id, made_answer)
    elif tus.carries_bytes(request.headers):
        headers = await _append_first(request, services, row, repeat)
    else:
        headers = tus.told(offset=0, expires_at=row.expires_at)
    response.headers.update(headers)
    return response


def _create(services: Services, workspace_id: str, length: int, about: str, repeat: Repeat | None) -> tuple[Answer, Row | None]:
    """The answer, and the row when it is a new one."""
    upload_id, settings, new = store.new_upload_id(), services.settings, []
    with worded_disk(), services.blobs.write(store.file_key(upload_id)):
        pass

    def make(work: Work) -> Answer:
        row = store.create_upload(
            work.session,
            upload_id=upload_id,
            workspace_id=workspace_id,
            size_bytes=length,
            about=about,
            max_open=settings.max_open_uploads,
            max_open_bytes=settings.max_open_upload_bytes,
            expires_at=_expiry(services),
            now=work.now,
        )
        new.append(row)
        return answer(store.view(row), 201, f"/v1/uploads/{upload_id}")

    try:
        with working(services, repeat) as work:
            made_answer = work.once(partial(make, work))
    except BaseException:
        if not may_be_stored(services, workspace_id, Row, upload_id):
            services.blobs.delete(store.folder_key(upload_id))
        raise
    if not new:
        services.blobs.delete(store.folder_key(upload_id))
    return made_answer, new[0] if new else None


async def _append_first(request: Request, services: Services, row: Row, repeat: Repeat | None) -> dict[str, str]:
    """Take the bytes that come with the announcement. The upload is there by now, so a break is no failure: the caller goes on after it.

    Raises:
        TooLarge: they are more than it announces; then the upload is taken back.
        NotFound: it was deleted meanwhile.
    """
    try:
        return await _append(request, services, row, 0)
    except TooLarge:
        await run_in_threadpool(_delete, services, row.workspace_id, row.id, repeat)
        raise
    except (Conflict, Unavailable):
        size = await run_in_threadpool(received_bytes, services, row)
        return tus.told(offset=size, expires_at=row.expires_at)


def _standing(services: Services, workspace_id: str, made_answer: Answer) -> dict[str, str]:
    """How the upload stands by now that an earlier request has made; nothing when it is gone."""
    try:
        row = _find(services, workspace_id, (made_answer.location or "").rpartition("/")[2])
        return tus.told(offset=received_bytes(services, row), expires_at=row.expires_at)
    except NotFound:
        return {}


@router.get("/v1/uploads", responses=problems())
def list_uploads(caller: CallerHere, session: Reading, page: PageHere, services: Shared) -> Page[Upload]:
    """Those that have not become a dataset."""
    rows, following = store.list_uploads(session, caller.workspace_id, limit=page.limit, after=page.after, now=services.clock())
    return paged([store.view(row) for row in rows], following)


@router.head("/v1/uploads/{upload}", include_in_schema=False)
@router.get("/v1/uploads/{upload}", responses=problems(404) | {200: {"headers": _STANDING}})
def get_upload(upload: str, caller: CallerHere, session: Reading, services: Shared, response: Response) -> Upload:
    """How much of it is here. A HEAD gives the same headers, as the protocol says."""
    row = store.get_upload(session, caller.workspace_id, upload, now=services.clock())
    received = received_bytes(services, row)
    response.headers.update(tus.told(offset=received, length=row.bytes, about=row.about, expires_at=row.expires_at))
    return store.view(row, received)


def received_bytes(services: Services, row: Row) -> int:
    """What the file tells; all, once it has become a dataset's.

    Raises:
        NotFound: it is not there.
    """
    if row.dataset_id is not None:
        return row.bytes
    try:
        return min(row.bytes, synced_size(services.blobs.path(store.file_key(row.id))))
    except FileNotFoundError:
        raise not_found("upload") from None


@router.patch(
    "/v1/uploads/{upload}",
    status_code=204,
    responses=problems(400, 404, 409, 412, 413, 415, 423) | {204: {"headers": _STANDING}},
    openapi_extra=said("Tus-Resumable", "Upload-Offset") | _BYTES,
)
async def patch_upload(upload: str, request: Request, caller: CallerHere, services: Shared) -> Response:
    """Send bytes that follow those that are here. Two requests at once are not taken: the second is 423."""
    row = await run_in_threadpool(_find, services, caller.workspace_id, upload)
    offset = tus.offset_of(request.headers)
    tus.check_content(request.headers)
    if row.dataset_id is not None:
        raise Conflict("state_conflict", f"The upload has become dataset {row.dataset_id}.", "Nothing can be added to it.")
    return Response(status_code=204, headers=await _append(request, services, row, offset))


def _find(services: Services, workspace_id: str, upload: str) -> Row:
    with services.database.read() as session:
        return store.get_upload(session, workspace_id, upload, now=services.clock())


async def _append(request: Request, services: Services, row: Row, offset: int) -> dict[str, str]:
    """Take a request's bytes; gives the headers that say how many there are now."""
    announced = request.headers.get("content-length", "")
    size = None
    try:
        async with growing(services.blobs, row.id) as file:
            check_offset(file, offset, row.bytes, int(announced) if announced.isdecimal() else 0)
            try:
                await receive(request.stream(), file, row.bytes, services.stopping)
            finally:
                size = file.size
    finally:
        if size is not None:
            with anyio.CancelScope(shield=True):
                expires_at = await run_in_threadpool(_note, services, row.id, size)
    return tus.told(offset=size, expires_at=expires_at)


def _note(services: Services, upload_id: str, size: int) -> datetime:
    """Write down what is here; the upload is kept for longer now.

    Raises:
        NotFound: it was deleted meanwhile.
    """
    expires_at = _expiry(services)
    with services.database.write() as session:
        if not store.note_received(session, upload_id, size, expires_at=expires_at):
            raise not_found("upload")
    return expires_at


def _expiry(services: Services) -> datetime:
    return services.clock() + timedelta(seconds=services.settings.upload_expires_seconds)


@router.delete("/v1/uploads/{upload}", status_code=204, responses=problems(404, 412), openapi_extra=said("Tus-Resumable"))
def delete_upload(upload: str, caller: CallerHere, services: Shared) -> None:
    """Also while it is being sent, which then ends with 404. A dataset that it has become stays."""
    _delete(services, caller.workspace_id, upload)


def _delete(services: Services, workspace_id: str, upload: str, repeat: Repeat | None = None) -> None:
    """Forget an upload, and the answer about it that is kept for `repeat`."""
    with working(services) as work:
        store.delete_upload(work.session, workspace_id, upload, now=work.now)
        forget(work.session, repeat)
        work.after_commit(partial(services.blobs.delete, store.folder_key(upload)))


@router.options("/v1/uploads", status_code=204, include_in_schema=False)
@router.options("/v1/uploads/{upload}", status_code=204, include_in_schema=False)
def get_upload_abilities(services: Shared) -> Response:
    """What of the protocol is spoken here."""
    return Response(status_code=204, headers=tus.abilities(services.settings))
