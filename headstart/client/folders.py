"""A folder of images, recordings or tables on its way: zipped into a temporary file as it is sent."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from headstart.errors import BadInput, quote


@contextmanager
def zipped(folder: Path) -> Iterator[IO[bytes]]:
    """What is in `folder`, without hidden files, as an archive; stored plainly, for images and recordings are packed already.

    Raises:
        BadInput: there is nothing in it.
    """
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not _is_hidden(path.relative_to(folder))]
    if not files:
        raise BadInput(
            "invalid_field", f"The folder {quote(folder.name)} has no files.", "Folders are class/file, train/class/file, or hold tables."
        )
    with tempfile.TemporaryFile() as archive:
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED, strict_timestamps=False) as writer:
            for path in files:
                writer.write(path, path.relative_to(folder).as_posix())
        archive.seek(0)
        yield archive


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)
