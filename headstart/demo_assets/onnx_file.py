"""The weights of an ONNX file: as much of the protobuf wire format as they need.

Source: https://protobuf.dev/programming-guides/encoding/ and onnx.proto, whose field numbers stand below.
"""

from __future__ import annotations

from collections.abc import Iterator

from headstart.demo_assets.tensors import Tensor

_GRAPH, _INITIALIZER = 7, 5  # of ModelProto, of GraphProto
_DIMS, _DATA_TYPE, _NAME, _RAW_DATA = 1, 2, 8, 9  # of TensorProto
_FLOAT = 1
_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5


def read_onnx_file(data: bytes) -> dict[str, Tensor]:
    """The initializers that hold 32-bit floats as raw bytes, by name."""
    found = {}
    for graph in _messages(memoryview(data), _GRAPH):
        for initializer in _messages(graph, _INITIALIZER):
            name, tensor = _tensor(initializer)
            if tensor is not None:
                found[name] = tensor
    return found


def _tensor(message: memoryview) -> tuple[str, Tensor | None]:
    shape: list[int] = []
    name, kind, raw = "", 0, None
    for field, value in _fields(message):
        if field == _DIMS:
            shape += [value] if isinstance(value, int) else _varints(value)  # packed or not
        elif field == _DATA_TYPE and isinstance(value, int):
            kind = value
        elif field == _NAME and isinstance(value, memoryview):
            name = str(value, "utf-8")
        elif field == _RAW_DATA and isinstance(value, memoryview):
            raw = value
    return name, Tensor("F32", tuple(shape), raw) if kind == _FLOAT and raw is not None else None


def _messages(message: memoryview, wanted: int) -> Iterator[memoryview]:
    for field, value in _fields(message):
        if field == wanted and isinstance(value, memoryview):
            yield value


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field, in order."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        wire = key & 7
        if wire == _VARINT:
            number, at = _varint(message, at)
            yield key >> 3, number
            continue
        if wire == _BYTES:
            size, at = _varint(message, at)
        elif wire in {_FOUR_BYTES, _EIGHT_BYTES}:
            size = 4 if wire == _FOUR_BYTES else 8
        else:
            raise ValueError(f"wire type {wire} at byte {at}")
        yield key >> 3, message[at : at + size]
        at += size


def _varints(packed: memoryview) -> list[int]:
    at, found = 0, []
    while at < len(packed):
        number, at = _varint(packed, at)
        found.append(number)
    return found


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """The number at `at`, seven bits in a byte and the lowest first, and where the next thing begins."""
    number = shift = 0
    while True:
        byte = message[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7
