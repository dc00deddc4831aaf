"""What a prediction is asked about, on its way to JSON: files are read, judged by their first bytes, and written as base64."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from headstart.errors import BadInput, quote
from headstart.specs.media import medium_of

File = bytes | Path | BinaryIO
"""A path is always a `Path`: a plain string is a text."""
Given = str | File | Mapping[str, Any]
"""A text, a file, or an object of what the model reads: `{"text": …, "text_pair": …}`, `{"tokens": […]}`, `{"image": Path("a.png")}`."""


def written(given: Given) -> str | dict[str, Any]:
    """An input as the contract has it.

    Raises:
        BadInput: a file that is neither an image nor a recording, as far as its first bytes tell.
        OSError: a file cannot be read.
    """
    if isinstance(given, str):
        return given
    if isinstance(given, Mapping):
        return {name: value if not _is_file(value) else _encoded(_content(value)) for name, value in given.items()}
    content = _content(given)
    medium = medium_of(content)
    if medium is None:
        message = f"{_name(given)} is neither an image nor a recording that can be told by its first bytes."
        raise BadInput("invalid_field", message, 'Say what it is: {"image": …} or {"audio": …}.')
    return {medium: _encoded(content)}


def is_one(inputs: object) -> bool:
    """Whether this is one input, and no list of inputs."""
    return isinstance(inputs, str | Mapping) or _is_file(inputs)


def weight(value: object) -> int:
    """About how many characters a written input takes."""
    if isinstance(value, Mapping):
        return sum(map(weight, value.values()))
    if isinstance(value, list | tuple):
        return sum(weight(each) + 4 for each in value)  # quotes, a comma and a space
    return len(value) if isinstance(value, str) else 8


def _is_file(value: object) -> bool:
    return isinstance(value, bytes | Path) or hasattr(value, "read")


def _content(file: File) -> bytes:
    if isinstance(file, bytes):
        return file
    content = file.read_bytes() if isinstance(file, Path) else file.read()
    if not isinstance(content, bytes):
        raise BadInput("invalid_field", f"{_name(file)} was opened as text.", 'Open it with the mode "rb".')
    return content


def _encoded(content: bytes) -> dict[str, str]:
    return {"base64": base64.b64encode(content).decode()}


def _name(given: object) -> str:
    name = given.name if isinstance(given, Path) else getattr(given, "name", None)
    return quote(name) if isinstance(name, str) else "The file"
