"""Datasets out of what was sent: a file in the request, rows in its body, or a finished upload. Files come first, then one transaction."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio
from fastapi import Request
from starlette.concurrency import run_in_threadpool

from app import idempotency
from app.dependencies import Work, answer, working
from app.disk import worded_disk
from app.idempotency import Running
from app.multipart import boundary_of
from app.receiving import opened
from app.services import Services
from app.stored import may_be_stored
from app.uploads import MAGIC_BYTES, Upload, read_format, receive_upload
from headstart.blobs.local import file_sha256
from headstart.errors import Conflict, Locked, NotFound, closest, invalid_field, listing, quote
from headstart.specs.datasets import MEDIA_TYPES, ColumnType, Parent
from headstart.specs.uploads import texts_of
from headstart.store import datasets as store
from headstart.store import uploads
from headstart.store.idempotency import Answer
from headstart.store.idempotency import Request as Repeat
from headstart.store.tables import Dataset


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a dataset comes from.

    Attributes:
        dataset_id: its own.
        parent_id: the version that it is made from.
        upload_id: the finished upload that becomes its file.
        within: pointer to the part of the body that says where from; a form has no parts.
    """

    workspace_id: str
    dataset_id: str
    parent_id: str | None = None
    upload_id: str | None = None
    within: str = ""


async def make_from_file(
    request: Request, services: Services, origin: Origin, route: str, key: str | None, fields: tuple[str, ...]
) -> Answer:
    """Stream a multipart body's file into storage, then store the dataset."""
    key = idempotency.checked(key)
    boundary = boundary_of(request.headers.get("content-type"))
    running: Running = request.app.state.running
    with running.hold(origin.workspace_id, route, key):
        try:
            write = partial(services.blobs.write, store.upload_key(origin.dataset_id))
            upload = await receive_upload(request.stream(), boundary, write, limit=services.settings.max_upload_bytes, fields=fields)
            said = upload.said if origin.parent_id is None else (origin.parent_id.encode(), *upload.said)
            repeat = idempotency.repeatable(origin.workspace_id, route, key, *said)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await run_in_threadpool(forget, services, origin)
            raise
        with anyio.CancelScope(shield=True):  # a caller that hangs up now gets its dataset all the same
            made = await run_in_threadpool(kept, services, origin, lambda: store_dataset(services, origin, upload, repeat))
    return made


def kept(services: Services, origin: Origin, make: Callable[[], Answer]) -> Answer:
    """What `make` answers; the dataset's file stays only when that is the answer about this dataset, not about an earlier one."""
    try:
        made = make()
    except BaseException:
        if not may_be_stored(services, origin.workspace_id, Dataset, origin.dataset_id):
            forget(services, origin)
        raise
    if made.location != f"/v1/datasets/{origin.dataset_id}":
        forget(services, origin)
    return made


def forget(services: Services, origin: Origin) -> None:
    services.blobs.delete(store.folder_key(origin.dataset_id))


def take_rows(services: Services, origin: Origin, rows: Sequence[Mapping[str, Any]]) -> tuple[int, str]:
    """Write rows as the file of a dataset, JSON Lines; gives its bytes and sha256."""
    digest, size = hashlib.sha256(), 0
    with worded_disk(), services.blobs.write(store.upload_key(origin.dataset_id)) as file:
        for row in rows:
            line = json.dumps(row, ensure_ascii=False, allow_nan=False).encode() + b"\n"
            digest.update(line)
            size += file.write(line)
    return size, digest.hexdigest()


def take_upload(services: Services, origin: Origin, *, stated: str | None, pointer: str) -> Upload | None:
    """Give the file of a finished upload the name that it will have in the dataset.

    Args:
        stated: its format, if it was stated.
        pointer: to that.

    Returns:
        What it is; None when it is not there, was used or is deleted meanwhile: then storing the dataset says why, unless it is a repeat.

    Raises:
        Conflict: it is not finished.
        BadInput: nothing tells its format.
    """
    with services.database.read() as session:
        row = uploads.find_upload(session, origin.workspace_id, origin.upload_id or "", now=services.clock())
    if row is None or row.dataset_id is not None:
        return None
    path = services.blobs.path(store.upload_key(origin.dataset_id))
    try:
        with opened(services.blobs, row.id) as file, worded_disk():
            if file.size != row.bytes:
                raise Conflict("state_conflict", f"The upload has {file.size:,} of {row.bytes:,} bytes.", "Send the rest first.")
            file.sync()
            services.blobs.link(uploads.file_key(row.id), store.upload_key(origin.dataset_id))  # from now on no DELETE takes it away
            with open(path, "rb") as content:
                found = read_format(stated, texts_of(row.about).get("filename"), content.read(MAGIC_BYTES), pointer)
            return Upload(None, found, {}, size_bytes=file.size, sha256=file_sha256(path))
    except Locked as error:
        raise Conflict("state_conflict", "The upload is still being sent.", "Finish it first.", retry_after_seconds=1) from error
    except (NotFound, FileNotFoundError):
        return None


def store_dataset(services: Services, origin: Origin, sent: Upload | None, repeat: Repeat | None) -> Answer:
    """The row of a dataset whose file is in storage, and the answer about it; once for each Idempotency-Key."""
    with working(services, repeat) as work:
        return work.once(lambda: _store(services, work, origin, sent))


def _store(services: Services, work: Work, origin: Origin, sent: Upload | None) -> Answer:
    session, workspace_id = work.session, origin.workspace_id
    held = None
    if origin.upload_id is not None:
        held = uploads.hold_upload(session, workspace_id, origin.upload_id, pointer=f"{origin.within}/upload", now=work.now)
    if sent is None:
        raise Conflict("state_conflict", "The upload was still changing.", "Try again.", retry_after_seconds=1)
    parent = None if origin.parent_id is None else store.hold_parent(session, workspace_id, origin.parent_id)
    row = store.create_dataset(
        session,
        dataset_id=origin.dataset_id,
        workspace_id=workspace_id,
        name=sent.name or (parent.name if parent is not None else ""),
        format=sent.format,
        types=sent.types if parent is None else types_after(parent, sent, key_pointer=f"{origin.within}/key"),
        mode=sent.mode,
        size_bytes=sent.size_bytes,
        sha256=sent.sha256,
        max_attempts=services.settings.max_attempts,
        parent=None if parent is None or sent.how is None else Parent(dataset=parent.id, how=sent.how, key=sent.key),
        now=work.now,
    )
    if held is not None:
        uploads.use_upload(session, held, row.id)
        work.after_commit(partial(services.blobs.delete, uploads.folder_key(held.id)))
    work.after_commit(partial(services.bell.ring, row.id))
    return answer(store.view(row), 202, f"/v1/datasets/{row.id}")


def types_after(parent: Dataset, sent: Upload, *, key_pointer: str) -> dict[str, ColumnType]:
    """The column types that are stated for a version: those that were for its parent, and those of its files, but for what is stated anew.

    Raises:
        BadInput: the key, or a column that is stated, is none of the parent's.
    """
    types: dict[str, ColumnType] = {column.name: column.type for column in store.profile_of(parent).columns}
    for name, pointer in [*((name, "/schema") for name in sent.types), *([(sent.key, key_pointer)] if sent.key is not None else [])]:
        if name not in types:
            near = closest(name, types)
            hint = f"Columns are: {listing(list(types))}." + (f" Did you mean {quote(near[0])}?" if near else "")
            raise invalid_field(pointer, f"The dataset has no column {quote(name)}.", hint, code="column_not_found")
    for name, kind in sent.types.items():
        if kind != types[name] and (kind in MEDIA_TYPES or types[name] in MEDIA_TYPES):
            message = f"The column {quote(name)} is {types[name]!r}, and files do not turn into texts, nor texts into files."
            raise invalid_field(f"/schema/{quote(name)[1:-1]}", message, "Leave it out of the schema.")
    if sent.key is not None and types[sent.key] in MEDIA_TYPES:
        raise invalid_field(key_pointer, "A column of files tells no rows apart.", "Take a column of texts or numbers.")
    kept = {name: kind for name, kind in types.items() if name in parent.types or kind in MEDIA_TYPES}
    return {**kept, **sent.types}
