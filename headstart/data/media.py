"""Columns of images and recordings: each cell is the file's own bytes, opened once here to see that it can be, and never changed."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from hashlib import blake2b

from headstart.data.batches import Batch
from headstart.data.images import open_image
from headstart.data.limits import ReadLimits
from headstart.data.problems import Problems
from headstart.data.profile import Distinct
from headstart.data.recordings import begins_frame, read_recording, seconds_of
from headstart.errors import BadInput, quote
from headstart.specs.datasets import ColumnProfile, MediaType

CHECK_RATE = 16_000
"""Samples a second at which a recording is read to see that it can be: what most speech models take."""
HEAD_BYTES = 12
"""So many tell what a file is."""

_DATA_URL = re.compile(r"data:[\w.+-]+/[\w.+-]+(?:;[\w.+-]+=[\w.+-]+)*;base64,")
_LONGEST_URL_HEAD = 256
_MEASURE = re.compile(r" image, (\d+)×(\d+), | audio, (\d+\.\d\d) s, ")
"""In the words that `MediaColumn` writes."""
_NAMES: tuple[tuple[MediaType, str, bytes, bytes], ...] = (
    ("image", "PNG", b"\x89PNG\r\n\x1a\n", b""),
    ("image", "JPEG", b"\xff\xd8\xff", b""),
    ("image", "WebP", b"RIFF", b"WEBP"),
    ("image", "TIFF", b"II*\0", b""),
    ("image", "TIFF", b"MM\0*", b""),
    ("audio", "WAV", b"RIFF", b"WAVE"),
    ("audio", "WAV", b"RF64", b"WAVE"),
    ("audio", "FLAC", b"fLaC", b""),
    ("audio", "Ogg", b"OggS", b""),
    ("audio", "MP3", b"ID3", b""),
)
"""What files begin with, and what stands at their eighth byte."""


def kind_of(head: bytes) -> MediaType | None:
    """What a file is by its first bytes, whatever it is called."""
    return _named(head)[0]


def _named(head: bytes) -> tuple[MediaType | None, str]:
    for kind, name, start, eighth in _NAMES:
        if head.startswith(start) and head.startswith(eighth, 8):
            return kind, name
    return ("audio", "MP3") if begins_frame(head) else (None, "")


class MediaColumn:
    """The running profile of one column of files.

    Args:
        hashes: different files to tell apart exactly.
    """

    def __init__(self, name: str, kind: MediaType, limits: ReadLimits, *, hashes: int) -> None:
        self.name = name
        self._kind = kind
        self._limits = limits
        self._missing = 0
        self._present = 0
        self._bytes = 0
        self._longest = 0
        self._measured = 0.0  # pixels or seconds
        self._distinct = Distinct(hashes)

    def add(self, cells: Sequence[str | bytes | None], batch: Batch, problems: Problems) -> tuple[list[bytes | None], list[str | None]]:
        """Take in the cells of a batch: bytes, or texts in base64. Gives the files and their descriptions; None where there is no good one."""
        found = [self._read(cell, offset, batch, problems) for offset, cell in enumerate(cells)]
        contents, words = zip(*found, strict=True)
        self._distinct.add(blake2b(content, digest_size=8).hexdigest() for content in contents if content is not None)
        return list(contents), list(words)

    def profile(self) -> ColumnProfile:
        mean = self._measured / self._present if self._present else None
        return ColumnProfile(
            name=self.name,
            type=self._kind,
            missing=self._missing,
            distinct=min(self._distinct.count(), self._present),
            longest=self._longest,
            mean_length=self._bytes / self._present if self._present else 0.0,
            values=None,
            mean_seconds=mean if self._kind == "audio" else None,
            mean_pixels=mean if self._kind == "image" else None,
        )

    def _read(self, cell: str | bytes | None, offset: int, batch: Batch, problems: Problems) -> tuple[bytes | None, str | None]:
        if cell is None:
            self._missing += 1
            return None, None
        try:
            content = _decoded(cell) if isinstance(cell, str) else cell
            known = batch.words[self.name][offset] if self.name in batch.words else None
            measured = _measure_of(known)
            if known is not None and measured is not None:
                self._count(content, measured)
                return content, known
            return content, self._describe(content)
        except BadInput as error:
            self._missing += 1
            row, file = batch.first_row + offset, batch.files[offset] if batch.files else None
            what = f"the file {quote(file)}" if file is not None else f"the column {quote(self.name)}"
            problems.add(error.code, f"Row {row}, {what}: {error.message}", row, self.name)
            return None, None

    def _describe(self, content: bytes) -> str:
        """The file in words, once it has been opened.

        Raises:
            BadInput: it cannot be.
        """
        if len(content) > self._limits.max_media_bytes:
            raise BadInput("file_too_large", f"The file has more than {self._limits.max_media_bytes:,} bytes.")
        if self._kind == "image":
            width, height = open_image(content).size
            measure, words = float(width * height), f"image, {width}×{height}"
        else:
            measure = self._seconds(content)
            words = f"audio, {measure:.2f} s"
        self._count(content, measure)
        return f"{_named(content)[1]} {words}, {len(content):,} bytes"

    def _count(self, content: bytes, measure: float) -> None:
        self._present += 1
        self._bytes += len(content)
        self._longest = max(self._longest, len(content))
        self._measured += measure

    def _seconds(self, content: bytes) -> float:
        seconds, most = seconds_of(content), self._limits.max_seconds
        if seconds > most:
            raise BadInput("audio_too_long", f"The recording is longer than {most:,} seconds.")
        read_recording(content, CHECK_RATE, most)
        return seconds


def _measure_of(words: str | None) -> float | None:
    """Pixels or seconds, from what was written of a file when it was opened; so it need not be opened again."""
    found = _MEASURE.search(words or "")
    if found is None:
        return None
    width, height, seconds = found.groups()
    return float(seconds) if seconds is not None else float(int(width) * int(height))


def _decoded(text: str) -> bytes:
    """The bytes of a cell in base64, also behind `data:…;base64,`; line breaks in it are passed over.

    Raises:
        BadInput: `bad_base64`.
    """
    head = _DATA_URL.match(text[:_LONGEST_URL_HEAD].lstrip())
    digits = "".join((text.lstrip()[head.end() :] if head else text).split())
    try:
        content = base64.b64decode(digits, validate=True)
    except (binascii.Error, ValueError):
        raise BadInput("bad_base64", "The text is not base64.") from None
    if not content:
        raise BadInput("bad_base64", "The text is base64 of no bytes.")
    return content
