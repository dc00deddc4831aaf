"""Columns of images and recordings: each cell is the file's own bytes, opened once here to see that it can be, and never changed."""

from __future__ import annotations

import base64
import binascii
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np

from headstart.data.batches import Batch
from headstart.data.distinct import Distinct
from headstart.data.images import open_image
from headstart.data.limits import ReadLimits
from headstart.data.problems import Problems
from headstart.data.profile import RowSplits
from headstart.data.recordings import begins_frame, length_of, read_recording
from headstart.data.repeats import Repeats, hashes_of
from headstart.data.spreads import Spread
from headstart.errors import BadInput, quote
from headstart.specs.datasets import ColumnProfile, MediaType

CHECK_RATE = 16_000
"""Samples a second at which a recording is read to see that it can be: what most speech models take."""
HEAD_BYTES = 12
"""So many tell what a file is."""
MAX_RATES = 20
"""Rates of recordings that are counted, the commonest first."""

_DATA_URL = re.compile(r"data:[\w.+-]+/[\w.+-]+(?:;[\w.+-]+=[\w.+-]+)*;base64,")
_LONGEST_URL_HEAD = 256
_PIXELS = re.compile(r" image, (\d+)×(\d+), ")
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


@dataclass(frozen=True, slots=True)
class Seen:
    """A file that was opened: its bytes, what they are in words, and its sizes, pixels of an image or seconds and rate of a recording."""

    content: bytes
    words: str
    sizes: tuple[float, float]


class MediaColumn:
    """The running profile of one column of files.

    Args:
        hashes: different files to tell apart exactly.
        repeats: files to compare with each other.
    """

    def __init__(self, name: str, kind: MediaType, limits: ReadLimits, *, hashes: int, repeats: int) -> None:
        self.name = name
        self._kind = kind
        self._limits = limits
        self._missing = 0
        self._present = 0
        self._bytes = 0
        self._longest = 0
        self._measured = 0.0  # pixels or seconds
        self._distinct = Distinct(hashes)
        self._repeats = Repeats(repeats)
        self._first, self._second = Spread(whole=kind == "image"), Spread(whole=True)
        self._rates: Counter[str] = Counter()

    def open(self, cells: Sequence[str | bytes | None], batch: Batch, problems: Problems) -> list[Seen | None]:
        """Open the cells of a batch: bytes, or texts in base64. None where there is no good one, which goes to `problems`."""
        return [self._opened(cell, place, batch, problems) for place, cell in enumerate(cells)]

    def add(self, cells: Sequence[Seen | None], splits: RowSplits | None = None) -> None:
        """Take in what `open` made of some cells."""
        places = [place for place, seen in enumerate(cells) if seen is not None]
        present = [seen for seen in cells if seen is not None]
        self._missing += len(cells) - len(present)
        if not present:
            return
        self._present += len(present)
        self._bytes += sum(len(seen.content) for seen in present)
        self._longest = max(self._longest, *(len(seen.content) for seen in present))
        first, second = np.array([seen.sizes for seen in present], np.float64).T
        self._measured += float((first * second).sum() if self._kind == "image" else first.sum())
        self._first.add(first)
        self._second.add(second)
        if self._kind == "audio":
            self._rates.update(f"{rate:.0f}" for rate in second.tolist())
        digests = [blake2b(seen.content, digest_size=8) for seen in present]
        self._distinct.add(digest.hexdigest() for digest in digests)
        codes = np.zeros(len(present), np.uint8) if splits is None else splits.codes[places]
        self._repeats.add(hashes_of(digest.digest() for digest in digests), codes)

    def profile(self, *, divided: bool) -> ColumnProfile:
        mean = self._measured / self._present if self._present else None
        image = self._kind == "image"
        return ColumnProfile(
            name=self.name,
            type=self._kind,
            missing=self._missing,
            distinct=min(self._distinct.count(), self._present),
            longest=self._longest,
            mean_length=self._bytes / self._present if self._present else 0.0,
            values=None,
            mean_seconds=None if image else mean,
            mean_pixels=mean if image else None,
            duplicates=self._repeats.result(divided=divided),
            widths=self._first.quantiles() if image else None,
            heights=self._second.quantiles() if image else None,
            seconds=None if image else self._first.quantiles(),
            rates=None if image else dict(self._rates.most_common(MAX_RATES)),
        )

    def _opened(self, cell: str | bytes | None, place: int, batch: Batch, problems: Problems) -> Seen | None:
        if cell is None:
            return None
        try:
            content = _decoded(cell) if isinstance(cell, str) else cell
            return self._known(content, place, batch) or self._seen(content)
        except BadInput as error:
            row, file = batch.rows[place], batch.files[place] if batch.files else None
            what = f"the file {quote(file)}" if file is not None else f"the column {quote(self.name)}"
            problems.add(error.code, f"Row {row}, {what}: {error.message}", row, self.name)
            return None

    def _known(self, content: bytes, place: int, batch: Batch) -> Seen | None:
        """A file that was opened for the version before: it need not be decoded again. None: it was not."""
        words = batch.words[self.name][place] if self.name in batch.words else None
        if words is None:
            return None
        if self._kind == "audio":
            seconds, rate = length_of(content)  # from its header: the words round the one and lack the other
            return Seen(content, words, (seconds, float(rate)))
        found = _PIXELS.search(words)
        return None if found is None else Seen(content, words, (float(found[1]), float(found[2])))

    def _seen(self, content: bytes) -> Seen:
        """The file, opened.

        Raises:
            BadInput: it cannot be.
        """
        if len(content) > self._limits.max_media_bytes:
            raise BadInput("file_too_large", f"The file has more than {self._limits.max_media_bytes:,} bytes.")
        if self._kind == "image":
            width, height = open_image(content).size
            sizes, words = (float(width), float(height)), f"image, {width}×{height}"
        else:
            sizes = self._heard(content)
            words = f"audio, {sizes[0]:.2f} s"
        return Seen(content, f"{_named(content)[1]} {words}, {len(content):,} bytes", sizes)

    def _heard(self, content: bytes) -> tuple[float, float]:
        (seconds, rate), most = length_of(content), self._limits.max_seconds
        if seconds > most:
            raise BadInput("audio_too_long", f"The recording is longer than {most:,} seconds.")
        read_recording(content, CHECK_RATE, most)
        return seconds, float(rate)


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
