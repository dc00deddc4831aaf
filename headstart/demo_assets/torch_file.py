"""A state dict as `torch.save` wrote it before there were zip files in it, read as data: no pickle in it is ever carried out.

The file is five pickles (a magic number, the format's version, the machine, the state dict, the order of the storages), then each storage.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pickletools import genops
from typing import Any, BinaryIO

from headstart.demo_assets.tensors import ITEM_BYTES, DType, Tensor

_DTYPES: Mapping[str, DType] = {"torch FloatStorage": "F32", "torch LongStorage": "I64"}
_TENSOR = "torch._utils _rebuild_tensor_v2"
_BEFORE_THE_STATE = 3
_COUNT_BYTES = 8

_JOINED = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3, "REDUCE": 2, "BUILD": 2}
"""Opcodes that put one thing in the place of several; a call becomes the pair of its name and its arguments."""

_IDLE = frozenset({"PROTO", "STOP", "BINPERSID"})


def read_torch_file(data: bytes) -> dict[str, Tensor]:
    """The tensors of a state dict, by name, in its order."""
    file = io.BytesIO(data)
    for _ in range(_BEFORE_THE_STATE):
        for _ in genops(file):
            pass
    described = {name: value[1] for name, value in _pairs(file).items() if isinstance(value, tuple) and value[0] == _TENSOR}
    keys = [argument for opcode, argument, _ in genops(file) if opcode.name == "BINUNICODE"]
    kinds = {storage[2]: _DTYPES[storage[1]] for storage, *_ in described.values()}
    storages = {}
    view, at = memoryview(data), file.tell()
    for key in keys:
        count = int.from_bytes(view[at : at + _COUNT_BYTES], "little")
        begin = at + _COUNT_BYTES
        at = begin + count * ITEM_BYTES[kinds[key]]
        storages[key] = view[begin:at]
    tensors = {}
    for name, (storage, begin, shape, strides, *_) in described.items():
        kind = kinds[storage[2]]
        items = storages[storage[2]].cast("I" if ITEM_BYTES[kind] == 4 else "Q")[begin:]
        tensors[name] = Tensor(kind, shape or (), _row_major(items, shape or (), strides or ()))
    return tensors


def _row_major(items: memoryview, shape: Sequence[int], strides: Sequence[int]) -> memoryview:
    """The bytes of a tensor whose neighbours along each axis lie `strides` items apart."""
    axes = [(size, stride) for size, stride in zip(shape, strides, strict=True) if size != 1]
    *outer, (count, step) = axes or [(1, 1)]
    begins = [0]
    for size, stride in outer:
        begins = [begin + index * stride for begin in begins for index in range(size)]
    return memoryview(b"".join(items[begin : begin + count * step : step].tobytes() for begin in begins))


def _pairs(file: BinaryIO) -> dict[str, Any]:
    """What a pickle puts into dictionaries. Nothing that it names is looked up or called; empty things are None."""
    found: dict[str, Any] = {}
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[Any, Any] = {}
    for opcode, argument, _ in genops(file):
        match opcode.name:
            case "MARK":
                marks.append(len(stack))
            case "TUPLE":
                stack.append(tuple(_cut(stack, marks.pop())))
            case "SETITEM" | "SETITEMS":
                items = _cut(stack, marks.pop() if opcode.name == "SETITEMS" else len(stack) - 2)
                found.update(zip(items[::2], items[1::2], strict=True))
            case "BINPUT" | "LONG_BINPUT":
                memo[argument] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(memo[argument])
            case name if name in _JOINED:
                stack.append(tuple(_cut(stack, len(stack) - _JOINED[name])))
            case name if name not in _IDLE:
                stack.append(argument)
    return found


def _cut(stack: list[Any], begin: int) -> list[Any]:
    items = stack[begin:]
    del stack[begin:]
    return items
