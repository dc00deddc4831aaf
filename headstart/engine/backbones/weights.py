"""The header of a safetensors file, judged byte by byte before anything is mapped."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeGuard

from headstart.errors import BadInput, quote

MAX_HEADER_BYTES = 16 * 1024 * 1024
"""The format allows 100 MB; the header of a model with 10,000 tensors has about 1 MB."""

MAX_TENSORS = 100_000

_ITEM_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}
_LENGTH_BYTES = 8
_MAX_AXES = 8


def check_safetensors(path: Path) -> dict[str, tuple[int, ...]]:
    """Judge the header of the file at `path` against its real size.

    Returns:
        The shape of each tensor, by name.

    Raises:
        BadInput: `weights_invalid`: truncated, a header that is too large, unreadable or names a key twice, an unknown dtype,
            offsets that do not fit the shape, leave the file, overlap or leave holes.
    """
    size = path.stat().st_size
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
        if size < _LENGTH_BYTES or length > size - _LENGTH_BYTES:
            raise _invalid(path, "it is truncated")
        if length > MAX_HEADER_BYTES:
            raise _invalid(path, f"its header is larger than {MAX_HEADER_BYTES >> 20} MiB")
        raw = file.read(length)
    header = _read_header(path, raw)
    if len(header) > MAX_TENSORS:
        raise _invalid(path, f"it names more than {MAX_TENSORS} tensors")
    spans = []
    shapes = {}
    for name, entry in header.items():
        shape, begin, end = _read_entry(path, name, entry)
        shapes[name] = shape
        spans.append((begin, end))
    _check_spans(path, sorted(spans), size - _LENGTH_BYTES - length)
    return shapes


def check_weights(folder: Path) -> dict[str, tuple[int, ...]]:
    """`check_safetensors` of every weights file in `folder`; a tensor that two files name is refused."""
    shapes: dict[str, tuple[int, ...]] = {}
    for path in sorted(folder.glob("*.safetensors")):
        found = check_safetensors(path)
        if twice := found.keys() & shapes.keys():
            raise _invalid(path, f"{quote(min(twice))} is in another file too")
        shapes.update(found)
    return shapes


def _read_header(path: Path, raw: bytes) -> dict[str, Any]:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise _invalid(path, "its header names a key twice")
        return found

    try:
        header = json.loads(raw, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise _invalid(path, "its header is not readable") from error
    if not isinstance(header, dict):
        raise _invalid(path, "its header is not an object")
    header.pop("__metadata__", None)
    return header


def _read_entry(path: Path, name: str, entry: Any) -> tuple[tuple[int, ...], int, int]:  # noqa: ANN401 (a JSON value)
    shape, offsets = (entry.get("shape"), entry.get("data_offsets")) if isinstance(entry, dict) else (None, None)
    if not _are_counts(shape) or not _are_counts(offsets) or len(offsets) != 2 or len(shape) > _MAX_AXES:
        raise _invalid(path, f"the entry of {quote(name)} is malformed")
    dtype = entry.get("dtype")
    if not isinstance(dtype, str) or dtype not in _ITEM_BYTES:
        raise _invalid(path, f"the dtype of {quote(name)} is unknown")
    begin, end = offsets
    if end - begin != math.prod(shape) * _ITEM_BYTES[dtype]:
        raise _invalid(path, f"the offsets of {quote(name)} do not fit its shape")
    return tuple(shape), begin, end


def _are_counts(value: Any) -> TypeGuard[list[int]]:  # noqa: ANN401 (a JSON value)
    return isinstance(value, list) and all(type(item) is int and 0 <= item < 1 << 48 for item in value)


def _check_spans(path: Path, spans: list[tuple[int, int]], data_bytes: int) -> None:
    edges = [(0, 0), *spans, (data_bytes, data_bytes)]
    if any(before[1] != after[0] for before, after in pairwise(edges)):
        raise _invalid(path, "its tensors overlap, leave holes or leave the file")


def _invalid(path: Path, why: str) -> BadInput:
    return BadInput("weights_invalid", f"{path.name} cannot be used: {why}.", "Save the weights again with safetensors.")
