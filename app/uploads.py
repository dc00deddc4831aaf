"""Uploads: a multipart body read field by field, its file written to the blob store while it arrives."""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import BinaryIO, TypeVar

import anyio
from anyio import to_thread
from pydantic import TypeAdapter, ValidationError

from app import multipart, strict_json
from app.disk import worded_disk
from app.multipart import Data, End, Part
from app.requests import too_large
from headstart.errors import BadInput, Fault, closest, invalid_field, listing, quote
from headstart.specs.datasets import COLUMN_TYPES, FORMATS, HOWS, MAGIC, READ_MODES, ColumnType, Format, How, ReadMode, format_of
from headstart.specs.fields import MAX_COLUMN_CHARS, NAME_PATTERN, ColumnName

T = TypeVar("T")

FIELDS = ("name", "format", "schema", "mode")
"""Of a dataset; `file` comes after them."""
VERSION_FIELDS = ("how", "key", "format", "schema", "mode")
"""Of a version of another."""
CHUNK_BYTES = 2**20
"""Written at once: large enough that a thread's turn is worth it."""
MAGIC_BYTES = max(map(len, MAGIC))
_TYPES = TypeAdapter(dict[ColumnName, ColumnType])


@dataclass(slots=True)
class Upload:
    """What an upload says, and the file's size and digest once it is stored.

    Attributes:
        name: of the dataset; a version has that of its parent.
        how: what a version does to its parent.
        key: by which rows are replaced.
    """

    name: str | None
    format: Format
    types: dict[str, ColumnType]
    mode: ReadMode = "strict"
    how: How | None = None
    key: str | None = None
    size_bytes: int = 0
    sha256: str = ""

    @property
    def said(self) -> tuple[bytes, ...]:
        """All that makes it the same as another upload."""
        types = "\n".join(f"{column}\t{kind}" for column, kind in sorted(self.types.items()))
        way = () if self.how is None else (self.how, self.key or "")
        return tuple(word.encode() for word in (self.name or "", self.format, types, self.mode, self.sha256, *way))


@dataclass(slots=True)
class _Fields:
    """The small parts, which come first."""

    known: tuple[str, ...]
    texts: dict[str, str] = field(default_factory=dict)
    open_name: str = ""
    open_value: bytearray = field(default_factory=bytearray)

    def begin(self, part: Part) -> None:
        if part.name not in self.known:
            near = closest(part.name, (*self.known, "file"))
            hint = f"Did you mean '{near[0]}'?" if near else f"Fields are: {listing([*self.known, 'file'])}."
            message = f"There is no field {quote(part.name)} here."
            raise BadInput("unknown_field", message, hint, (Fault(f"/{quote(part.name)[1:-1]}", "unknown field"),))
        if part.name in self.texts:
            raise invalid_field(f"/{part.name}", f"The field '{part.name}' comes twice.")
        self.open_name, self.open_value = part.name, bytearray()

    def add(self, data: bytes) -> None:
        self.open_value += data
        if len(self.open_value) > multipart.MAX_FIELD_BYTES:
            raise too_large(multipart.MAX_FIELD_BYTES)

    def end(self) -> None:
        try:
            text = self.open_value.decode("utf-8")
        except UnicodeDecodeError:
            raise invalid_field(f"/{self.open_name}", f"The field '{self.open_name}' is not UTF-8.") from None
        self.texts[self.open_name] = text

    def finish(self, filename: str | None, head: bytes) -> Upload:
        """Check them all, with the first bytes of the file that now arrives."""
        said = self.texts.get
        how, key = read_way(said("how"), said("key")) if "how" in self.known else (None, None)
        return Upload(
            name=read_name(said("name")) if "name" in self.known else None,
            format=read_format(said("format"), filename, head),
            types=read_schema(said("schema")),
            mode=read_mode(said("mode")),
            how=how,
            key=key,
        )


async def receive_upload(
    chunks: AsyncIterator[bytes],
    boundary: bytes,
    store: Callable[[], AbstractContextManager[BinaryIO]],
    *,
    limit: int,
    fields: tuple[str, ...] = FIELDS,
) -> Upload:
    """Read a whole upload; its file is in the blob store when this returns, and not when it raises.

    Args:
        chunks: the body.
        boundary: of its parts.
        store: opens the file to write to.
        limit: most bytes of the file.
        fields: that may come before it.

    Raises:
        BadInput: a field is missing, unknown, wrong or in the wrong place.
        TooLarge: the file is larger than `limit`.
        Unavailable: the disk is full.
    """
    taken = _Fields(fields)
    events = multipart.read_parts(chunks, boundary)
    async for event in events:
        if isinstance(event, Part) and event.name == "file":
            head = await _head(events)
            upload = taken.finish(event.filename, head)
            with worded_disk():
                async with _in_threads(store()) as file:
                    await _store_file(head, events, file, upload, limit)
            return upload
        _take(taken, event)
    raise invalid_field("/file", "There is no part 'file'.", "Send the file last, as a part named `file`.")


def _take(fields: _Fields, event: multipart.Event) -> None:
    if isinstance(event, Part):
        fields.begin(event)
    elif isinstance(event, Data):
        fields.add(event.data)
    else:
        fields.end()


async def _head(events: AsyncIterator[multipart.Event]) -> bytes:
    """What has arrived of a file when its first bytes have; all of a shorter one."""
    head = bytearray()
    async for event in events:
        if isinstance(event, Data):
            head += event.data
        if not isinstance(event, Data) or len(head) >= MAGIC_BYTES:
            break
    return bytes(head)


async def _store_file(head: bytes, events: AsyncIterator[multipart.Event], file: BinaryIO, upload: Upload, limit: int) -> None:
    digest, waiting = hashlib.sha256(), bytearray(head)
    upload.size_bytes = len(head)
    if upload.size_bytes > limit:
        raise too_large(limit)

    def write(data: bytes) -> None:
        digest.update(data)
        file.write(data)

    async for event in events:
        if isinstance(event, Part):
            what = "a second file" if event.name == "file" else f"the field {quote(event.name)} after the file"
            raise invalid_field("/file", f"There is {what}.", "Send the fields first, and one file last.")
        if isinstance(event, End):
            continue
        upload.size_bytes += len(event.data)
        if upload.size_bytes > limit:
            raise too_large(limit)
        waiting += event.data
        if len(waiting) >= CHUNK_BYTES:
            await to_thread.run_sync(write, bytes(waiting))
            waiting.clear()
    await to_thread.run_sync(write, bytes(waiting))
    upload.sha256 = digest.hexdigest()


@asynccontextmanager
async def _in_threads(manager: AbstractContextManager[T]) -> AsyncIterator[T]:
    """A blocking context manager, entered and left in threads; left also when the request is cancelled."""
    value = await to_thread.run_sync(manager.__enter__)
    try:
        yield value
    except BaseException as error:
        with anyio.CancelScope(shield=True):
            await to_thread.run_sync(manager.__exit__, type(error), error, error.__traceback__)
        raise
    with anyio.CancelScope(shield=True):
        await to_thread.run_sync(manager.__exit__, None, None, None)


def read_name(text: str | None) -> str:
    if text is None:
        raise invalid_field(
            "/name", "The field 'name' is required, before the file.", "Lower-case letters, digits, '.', '_', '-'; at most 63."
        )
    if not re.fullmatch(NAME_PATTERN, text):
        raise invalid_field("/name", "The field 'name' cannot be used.", "Lower-case letters, digits, '.', '_', '-'; at most 63.")
    return text


def read_way(how: str | None, key: str | None) -> tuple[How, str | None]:
    """What a version does to its parent, and by which column.

    Raises:
        BadInput: there is no such way, or the two do not go together.
    """
    known = next((each for each in HOWS if each == how), None)
    if known is None:
        raise invalid_field("/how", "The field 'how' must come before the file.", "It is `append`, or `replace` with a `key`.")
    if (key is not None) != (known == "replace"):
        raise invalid_field(
            "/key", "The field 'key' goes with `how=replace`, and only with it.", "It names the column that tells rows apart."
        )
    if key is not None and not 1 <= len(key) <= MAX_COLUMN_CHARS:
        raise invalid_field("/key", f"The field 'key' must have 1 to {MAX_COLUMN_CHARS} characters.")
    return known, key


def read_format(text: str | None, filename: str | None, head: bytes, pointer: str = "/format") -> Format:
    """What is stated, else what the file's name tells, else what its first bytes do.

    Raises:
        BadInput: nothing tells, or there is no such format.
    """
    if text is not None:
        known = next((each for each in FORMATS if each == text), None)
        if known is None:
            raise invalid_field(pointer, f"There is no format {quote(text)}.", f"Formats are: {listing(FORMATS)}.")
        return known
    found = format_of(filename or "") or MAGIC.get(head[:MAGIC_BYTES])
    if found is None:
        raise invalid_field(pointer, "The file's name does not tell its format.", f"Send `format`: one of {listing(FORMATS)}.")
    return found


def read_schema(text: str | None) -> dict[str, ColumnType]:
    if text is None:
        return {}
    value = strict_json.loads(text.encode(), pointer="/schema")
    try:
        return _TYPES.validate_python(value, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        pointer = "".join(f"/{quote(str(part))[1:-1]}" for part in ("schema", *first["loc"][:1]))
        hint = f'It looks like {{"label": "category"}}; types are {listing(COLUMN_TYPES)}.'
        raise invalid_field(pointer, "The field 'schema' must be an object of column types.", hint) from None


def read_mode(text: str | None) -> ReadMode:
    """`strict` unless it is said.

    Raises:
        BadInput: there is no such mode.
    """
    if text is None:
        return "strict"
    known = next((each for each in READ_MODES if each == text), None)
    if known is None:
        raise invalid_field("/mode", f"There is no mode {quote(text)}.", f"Modes are: {listing(READ_MODES)}.")
    return known
