"""Multipart bodies as a stream of events, so that a file goes to storage while it arrives and is never held (RFC 7578).

`python_multipart` does the parsing; the bounds on parts, headers and small fields are ours.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, MultipartState, parse_options_header

from headstart.errors import Malformed, TooLarge, UnsupportedMedia

MAX_PARTS = 32
"""Of a body that holds one file."""
MAX_FIELD_BYTES = 2**18
"""Of one part that is not a file."""
MAX_BETWEEN_BYTES = 2**16
"""Of boundaries, headers and what stands before the first part; a body of many parts may have `BETWEEN_BYTES` for each."""
BETWEEN_BYTES = 2**10


@dataclass(frozen=True, slots=True)
class Part:
    """A part begins. `filename` is None when the client gave none."""

    name: str
    filename: str | None


@dataclass(frozen=True, slots=True)
class Data:
    """Some bytes of the part that began last."""

    data: bytes


@dataclass(frozen=True, slots=True)
class End:
    """The part that began last is whole."""


Event = Part | Data | End


def boundary_of(content_type: str | None) -> bytes:
    """The boundary that a Content-Type states.

    Raises:
        UnsupportedMedia: it is not multipart/form-data.
        Malformed: it has no boundary.
    """
    kind, options = parse_options_header(content_type)
    if kind != b"multipart/form-data":
        raise UnsupportedMedia("media_type", "An upload is multipart/form-data.", "Send the fields first and `file` last.")
    boundary = options.get(b"boundary", b"")
    if not boundary:
        raise malformed("its Content-Type has no boundary")
    return boundary


def malformed(why: str) -> Malformed:
    return Malformed("malformed_json", f"The multipart body cannot be read: {why}.", "Send it again, as RFC 7578 says.")


@dataclass(slots=True)
class _Collector:
    """What the parser's callbacks have found since it was last asked."""

    most: int
    code: str
    events: list[Event] = field(default_factory=list)
    parts: int = 0
    between: int = 0
    name: bytearray = field(default_factory=bytearray)
    value: bytearray = field(default_factory=bytearray)
    headers: dict[bytes, bytes] = field(default_factory=dict)

    def on_part_begin(self) -> None:
        self.parts += 1
        if self.parts > self.most:
            raise TooLarge(self.code, f"The body has more than {self.most} parts.")
        self.headers = {}

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self.name += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self.value += data[start:end]

    def on_header_end(self) -> None:
        self.headers[bytes(self.name).lower()] = bytes(self.value)
        self.name, self.value = bytearray(), bytearray()

    def on_headers_finished(self) -> None:
        _, options = parse_options_header(self.headers.get(b"content-disposition", b""))
        if b"name" not in options:
            raise malformed("a part has no name")
        filename = options.get(b"filename")
        self.events.append(Part(_text(options[b"name"]), None if filename is None else _text(filename)))

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self.between -= end - start
        self.events.append(Data(data[start:end]))

    def on_part_end(self) -> None:
        self.events.append(End())

    def taken(self) -> Iterator[Event]:
        events, self.events = self.events, []
        yield from events


async def read_parts(
    chunks: AsyncIterator[bytes], boundary: bytes, *, max_parts: int = MAX_PARTS, code: str = "too_large"
) -> AsyncIterator[Event]:
    """The parts of a body, in its order.

    Args:
        chunks: the body.
        boundary: of its parts.
        max_parts: more are refused.
        code: of that refusal.

    Raises:
        Malformed: it is not multipart, or it ends before its end.
        TooLarge: too many parts, or too much that belongs to none.
    """
    collector = _Collector(max_parts, code)
    max_between = max(MAX_BETWEEN_BYTES, max_parts * BETWEEN_BYTES)
    callbacks = {
        name: getattr(collector, name)
        for name in (
            "on_part_begin",
            "on_header_field",
            "on_header_value",
            "on_header_end",
            "on_headers_finished",
            "on_part_data",
            "on_part_end",
        )
    }
    try:
        parser = MultipartParser(boundary, callbacks)  # type: ignore[arg-type] # a TypedDict of exactly these
        async for chunk in chunks:
            collector.between += len(chunk)
            parser.write(chunk)
            if collector.between > max_between:
                raise TooLarge("too_large", "The multipart body has too much beside its parts.")
            for event in collector.taken():
                yield event
    except FormParserError:
        raise malformed("a boundary or a header is not where it must be") from None
    if parser.state != MultipartState.END:
        raise malformed("it ends before its last boundary")


def _text(raw: bytes) -> str:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise malformed("a part's name is not UTF-8") from None
    if "\x00" in text or len(text) > 1024:
        raise malformed("a part's name cannot be used")
    return text
