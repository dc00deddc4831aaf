"""What every package has: members to find, and JSON files to write."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from zipfile import ZipFile

_KEPT_SUFFIXES = frozenset({".json", ".safetensors", ".txt"})


def member(archive: ZipFile, ending: str) -> bytes:
    """The one member whose name ends so."""
    (name,) = (name for name in archive.namelist() if name.endswith(ending))
    return archive.read(name)


def copy_folder(inside: str, archive: ZipFile, folder: Path) -> None:
    """Fill `folder` with the files of a transformers folder that lie at the prefix `inside`."""
    for name in archive.namelist():
        inner = PurePosixPath(name.removeprefix(inside))
        if name.startswith(inside) and len(inner.parts) == 1 and inner.suffix in _KEPT_SUFFIXES:
            (folder / inner.name).write_bytes(archive.read(name))


def write_json(path: Path, value: Mapping[str, object]) -> None:
    path.write_bytes(json.dumps(value, indent=2).encode() + b"\n")
