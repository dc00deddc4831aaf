"""The tensors of a CTranslate2 `model.bin`.

Source: `serialize` in CTranslate2's python/ctranslate2/specs/model_spec.py: little-endian, texts end with a zero and carry their length.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping

from headstart.demo_assets.tensors import DType, Tensor

_DTYPES: Mapping[int, DType] = {0: "F32", 4: "F16"}
"""By the file's number of a type; the others hold settings."""


def read_ctranslate2_file(data: bytes) -> dict[str, Tensor]:
    """The tensors of 32- and 16-bit floats, by name."""
    reader = _Reader(data)
    reader.number("I")  # version of the format
    reader.text()  # the kind of model
    reader.number("I")  # its revision
    found = {}
    for _ in range(reader.number("I")):
        name = reader.text()
        shape = tuple(reader.number("I") for _ in range(reader.number("B")))
        kind = reader.number("B")
        content = reader.take(reader.number("I"))
        if kind in _DTYPES:
            found[name] = Tensor(_DTYPES[kind], shape, content)
    return found


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = memoryview(data)
        self._at = 0

    def take(self, size: int) -> memoryview:
        self._at += size
        return self._data[self._at - size : self._at]

    def number(self, form: str) -> int:
        (value,) = struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))
        return int(value)

    def text(self) -> str:
        return str(self.take(self.number("H")), "utf-8").removesuffix("\0")
