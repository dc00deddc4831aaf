"""A file on its way in pieces, and on from where it was after whatever came between: a lost connection, a restart of the server or of us.

Nothing is kept on this machine: an unfinished upload is found again among those that the server lists, by its size and a fingerprint.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, TypeVar

from headstart.client import uploads
from headstart.client.protocol import Call, Retries
from headstart.errors import BadInput, Conflict, HeadstartError, Locked, Unavailable, quote
from headstart.specs.pages import MAX_LIMIT, Page
from headstart.specs.uploads import Upload

T = TypeVar("T")

Steps = Generator[Call[Any] | float, Any, T]
"""What to do next, for a shell that does it: make a call and give back its answer, or its error; or rest for so many seconds."""
Told = Callable[[int, int], None]
"""Hears how many bytes are there, and how many there will be."""

RESUMABLE_BYTES = 64 * 2**20
"""A file from this size on is sent so that it can go on after a break."""
PIECE_BYTES = 16 * 2**20
PATIENCE_SECONDS = 90.0
"""Without a byte of progress. A server misses a broken connection after 30 seconds, and takes no other until then."""
EDGE_BYTES = 2**20
"""Of the first and last bytes of a file that go into its fingerprint."""


@dataclass(frozen=True, slots=True)
class Source:
    """An open file that can seek and should not change while it is sent."""

    file: IO[bytes]
    filename: str
    size: int
    fingerprint: str


def opened(file: str | Path | IO[bytes]) -> AbstractContextManager[IO[bytes]]:
    """A path's file, closed at the end; the caller's own stays open."""
    return open(file, "rb") if isinstance(file, str | Path) else nullcontext(file)


def quietly(there: int, whole: int) -> None:
    """Tells nobody."""


def described(file: IO[bytes], filename: str) -> Source:
    """What is to be told of an open file."""
    size = file.seek(0, os.SEEK_END)
    digest = hashlib.sha256(f"{filename}\0{size}\0{_changed_at(file)}\0".encode())
    for start in (0, max(0, size - EDGE_BYTES)):
        file.seek(start)
        digest.update(file.read(EDGE_BYTES))
    return Source(file, filename, size, digest.hexdigest())


def _changed_at(file: IO[bytes]) -> int:
    """When a file with a name was last written to; what was made for this one errand has none that matters."""
    name = getattr(file, "name", None)
    return os.stat(name).st_mtime_ns if isinstance(name, str | Path) and os.path.isfile(name) else 0  # noqa: PTH113, PTH116 - a name of any kind


def sent(source: Source, retries: Retries, jitter: Callable[[], float], tell: Told) -> Steps[Upload]:
    """Send all of a file, beginning where an earlier try was broken off.

    Raises:
        HeadstartError: what the server refused, or Unavailable when there was no progress for `PATIENCE_SECONDS`.
    """
    found: Upload | None = yield from _earlier(source)
    upload: Upload = found or (yield _announced(source))
    offset, waited, failed = upload.received_bytes, 0.0, 0
    tell(offset, source.size)
    while offset < source.size:
        piece = _piece(source, offset)
        try:
            yield uploads.patch_upload(upload.id, piece, offset=offset)
        except (Unavailable, Conflict) as error:  # Conflict: the piece before did arrive, or somebody else is sending
            if waited >= PATIENCE_SECONDS:
                if not isinstance(error, Locked) or found is None:
                    raise
                found, upload = None, (yield _announced(source))  # another process sends the same file, and keeps at it
                offset, waited, failed = 0, 0.0, 0
                continue
            failed += 1
            pause = retries.pause_seconds(failed, jitter(), error.retry_after_seconds)
            waited += pause
            yield pause
            there: Upload = yield uploads.get_upload(upload.id)
            if there.received_bytes != offset:
                offset, waited, failed = there.received_bytes, 0.0, 0
        else:
            offset, waited, failed = offset + len(piece), 0.0, 0
        tell(offset, source.size)
    return upload


def _piece(source: Source, offset: int) -> bytes:
    source.file.seek(offset)
    piece = source.file.read(min(PIECE_BYTES, source.size - offset))
    if not piece:
        raise BadInput("invalid_field", f"The file {quote(source.filename)} became shorter while it was sent.", "Send it again.")
    return piece


def _announced(source: Source) -> Call[Upload]:
    return uploads.create_upload(size_bytes=source.size, metadata={"filename": source.filename, "fingerprint": source.fingerprint})


def _earlier(source: Source) -> Steps[Upload | None]:
    """An unfinished or unused upload of the same file, as it is now."""
    after: str | None = None
    while True:
        page: Page[Upload] = yield uploads.list_uploads(limit=MAX_LIMIT, after=after)
        for upload in page.data:
            if upload.bytes == source.size and upload.metadata.get("fingerprint") == source.fingerprint:
                now: Upload = yield uploads.get_upload(upload.id)
                return now
        after = page.next
        if after is None:
            return None


def sha256_of(source: Source) -> str:
    """Digest of the whole file, to compare with what the server has."""
    source.file.seek(0)
    return hashlib.file_digest(source.file, "sha256").hexdigest()  # type: ignore[arg-type] # it is read, no more


def check_arrived(source: Source, sha256: str) -> None:
    """See that what arrived is what is here.

    Raises:
        HeadstartError: `changed_meanwhile`.
    """
    if sha256_of(source) != sha256:
        message = f"The file {quote(source.filename)} changed while it was sent."
        raise HeadstartError("changed_meanwhile", message, "Send it again when it is finished.")
