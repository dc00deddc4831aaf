"""Files that were compressed as a whole, by gzip or zstd: told by their first bytes, unpacked as a stream into a file without a name.

Nothing is believed of what they say they unpack to: bytes are counted as they come, against the size of what was sent.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from headstart.data.limits import ReadLimits
from headstart.data.problems import Problems
from headstart.specs.datasets import COMPRESSED_MAGIC, Compression

_CHUNK_BYTES = 2**20
_HEAD_BYTES = max(map(len, COMPRESSED_MAGIC))


def compression_of(file: BinaryIO) -> Compression | None:
    """By the first bytes; the file is at its beginning afterwards."""
    file.seek(0)
    head = file.read(_HEAD_BYTES)
    file.seek(0)
    return next((name for magic, name in COMPRESSED_MAGIC.items() if head.startswith(magic)), None)


@contextmanager
def unpacked(file: BinaryIO, folder: Path, limits: ReadLimits, problems: Problems) -> Iterator[BinaryIO]:
    """The same file, or what it unpacks to: a file in `folder` that no name leads to and that is gone when it is closed.

    Raises:
        InvalidDataset: `compression_corrupt`, it is damaged or cut off; `decoded_too_large`, it unpacks to too much.
    """
    name = compression_of(file)
    if name is None:
        yield file
        return
    most = min(limits.max_decoded_bytes, max(limits.max_media_bytes, limits.max_ratio * file.seek(0, os.SEEK_END)))
    file.seek(0)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder) as made:
        written = 0
        for chunk in _chunks(file, name, problems):
            written += len(chunk)
            if written > most:
                raise problems.refusal("decoded_too_large", f"The file unpacks to more than {most:,} bytes.")
            made.write(chunk)
        made.seek(0)
        yield made


def _chunks(file: BinaryIO, name: Compression, problems: Problems) -> Iterator[bytes]:
    try:
        stream = pa.CompressedInputStream(pa.PythonFile(file, mode="r"), name)
        while chunk := stream.read(_CHUNK_BYTES):
            yield chunk
    except (OSError, pa.ArrowException) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the machine's
        raise problems.refusal(
            "compression_corrupt", f"The file cannot be unpacked: it is no whole {name} file, or it is damaged."
        ) from None
