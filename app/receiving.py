"""The bytes of a resumable upload, added to its file while they arrive; whatever ends the request, what came before it stays."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import ParamSpec

import anyio
from anyio import to_thread

from app.disk import worded_disk
from app.uploads import CHUNK_BYTES
from headstart.blobs.growing import BusyError, Growing
from headstart.blobs.local import LocalBlobs
from headstart.errors import Conflict, Locked, TooLarge, Unavailable, not_found
from headstart.store import uploads

P = ParamSpec("P")

BUSY_SECONDS = 2
"""When to ask again for an upload that another request is adding to."""


@asynccontextmanager
async def growing(blobs: LocalBlobs, upload_id: str) -> AsyncIterator[Growing]:
    """The file of an upload, locked, and synced when the block ends, however it ends.

    Raises:
        NotFound: it was deleted.
        Locked: another request, here or in another process, is adding to it.
    """
    file = await to_thread.run_sync(opened, blobs, upload_id)
    try:
        yield file
    finally:
        with anyio.CancelScope(shield=True), worded_disk():
            await to_thread.run_sync(_close, file)


def opened(blobs: LocalBlobs, upload_id: str) -> Growing:
    """The file of an upload, locked."""
    try:
        return blobs.grow(uploads.file_key(upload_id))
    except FileNotFoundError:
        raise not_found("upload") from None
    except BusyError:
        message = "Another request is adding to this upload, or has broken off and was not missed yet."
        raise Locked("upload_busy", message, "Ask for its offset, then go on.", retry_after_seconds=BUSY_SECONDS) from None


def _close(file: Growing) -> None:
    with file:
        file.sync()


def check_offset(file: Growing, offset: int, length: int, announced: int | None) -> None:
    """See that bytes can come at `offset`.

    Args:
        length: of the whole upload.
        announced: of the bytes that come, if the request says so.

    Raises:
        Conflict: `offset_mismatch`.
        TooLarge: they are more than the upload lacks.
    """
    if offset != file.size:
        message = f"The upload has {file.size:,} bytes, and these would come after {offset:,}."
        raise Conflict("offset_mismatch", message, "Ask for its offset with HEAD, then go on there.")
    if announced is not None and offset + announced > length:
        raise _too_much(length)


async def receive(chunks: AsyncIterator[bytes], file: Growing, length: int, stopping: threading.Event) -> None:
    """Add a request's body to the file.

    Args:
        length: of the whole upload.
        stopping: set when the process is to end; then what came is kept, and the rest is for later.

    Raises:
        TooLarge: it is more than the upload lacks; then nothing of it is kept.
        NotFound: the upload was deleted meanwhile.
        Unavailable: the disk is full, or the service stops.
    """
    began, waiting = file.size, bytearray()
    with worded_disk():
        try:
            async for chunk in chunks:
                waiting += chunk
                if file.size + len(waiting) > length:
                    waiting.clear()
                    await _in_thread(file.cut, began)
                    raise _too_much(length)
                if len(waiting) >= CHUNK_BYTES:
                    await _take(file, waiting)
                    if not file.is_there:
                        raise not_found("upload")
                if stopping.is_set():
                    raise Unavailable("unavailable", "The service is being stopped.", "Go on when it is back.", retry_after_seconds=2)
        finally:
            if waiting:  # also of a client that hung up: it will ask how far it came
                await _take(file, waiting)


async def _take(file: Growing, waiting: bytearray) -> None:
    data = bytes(waiting)
    waiting.clear()
    await _in_thread(file.add, data)


async def _in_thread(function: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
    """A blocking call that is waited for even when the request is cancelled: the file must not be closed under it."""
    with anyio.CancelScope(shield=True):
        await to_thread.run_sync(partial(function, *args, **kwargs))


def _too_much(length: int) -> TooLarge:
    return TooLarge("too_large", f"These are more bytes than the upload lacks of the {length:,} that it announced.")
