"""Tensors as bytes, and a safetensors file of them that is the same whenever it is written."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

DType = Literal["F32", "F16", "I64"]

ITEM_BYTES: Mapping[DType, int] = {"F32": 4, "F16": 2, "I64": 8}
_ALIGNMENT = 8
_LENGTH_BYTES = 8


@dataclass(frozen=True, slots=True)
class Tensor:
    """Row-major and little-endian; `data` holds exactly what `shape` needs."""

    dtype: DType
    shape: tuple[int, ...]
    data: memoryview

    def split(self, parts: int) -> list[Tensor]:
        """Equal parts along the first axis."""
        size, rows = len(self.data) // parts, self.shape[0] // parts
        return [Tensor(self.dtype, (rows, *self.shape[1:]), self.data[part * size : (part + 1) * size]) for part in range(parts)]


def write_safetensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write `tensors` in the order that the library has: the widest dtype first, so that each begins at a multiple of its size."""
    ordered = sorted(tensors.items(), key=lambda item: (-ITEM_BYTES[item[1].dtype], item[0]))
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, tensor in ordered:
        begin, end = end, end + len(tensor.data)
        header[name] = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(_LENGTH_BYTES, "little") + text)
        for _, tensor in ordered:
            file.write(tensor.data)
