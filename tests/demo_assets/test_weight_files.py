"""Other programs' weight files are read tensor by tensor, bit for bit, and nothing in them is carried out."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file

from headstart.demo_assets.ctranslate2_file import read_ctranslate2_file
from headstart.demo_assets.efficientnet import timm_name
from headstart.demo_assets.onnx_file import read_onnx_file
from headstart.demo_assets.tensors import Tensor, write_safetensors
from headstart.demo_assets.torch_file import read_torch_file
from headstart.demo_assets.vgg import convolutions

KINDS = {"F32": "<f4", "F16": "<f2", "I64": "<i8"}

shapes = st.lists(st.integers(1, 4), max_size=4).map(tuple)
names = st.text("abc._0", min_size=1, max_size=8)


def tensor_of(array: np.ndarray[Any, Any]) -> Tensor:
    kind = next(kind for kind, form in KINDS.items() if np.dtype(form) == array.dtype)
    return Tensor(kind, array.shape, memoryview(array.tobytes()))  # type: ignore[arg-type]


def array_of(tensor: Tensor) -> np.ndarray[Any, Any]:
    return np.frombuffer(tensor.data, KINDS[tensor.dtype]).reshape(tensor.shape)


def numbers(shape: tuple[int, ...], form: str) -> np.ndarray[Any, Any]:
    return np.arange(int(np.prod(shape)), dtype=form).reshape(shape)


@given(st.dictionaries(names, st.tuples(shapes, st.sampled_from(list(KINDS.values()))), min_size=1, max_size=6))
def test_what_is_written_the_library_reads(tmp_path_factory: Any, wanted: dict[str, tuple[tuple[int, ...], str]]):
    arrays = {name: numbers(shape, form) for name, (shape, form) in wanted.items()}
    path: Path = tmp_path_factory.mktemp("written") / "model.safetensors"
    write_safetensors(path, {name: tensor_of(array) for name, array in arrays.items()})
    read = load_file(path)
    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        assert (read[name].dtype, read[name].shape) == (array.dtype, array.shape)
        assert np.array_equal(read[name], array)


def saved(state: dict[str, torch.Tensor]) -> bytes:
    out = io.BytesIO()
    torch.save(state, out, _use_new_zipfile_serialization=False)
    return out.getvalue()


@given(st.dictionaries(names, st.tuples(shapes, st.booleans()), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_a_torch_file_is_read_as_torch_wrote_it_whatever_the_order_of_axes(wanted: dict[str, tuple[tuple[int, ...], bool]], random: Any):
    state = {}
    for name, (shape, counted) in wanted.items():
        plain = torch.from_numpy(numbers(shape, "<i8" if counted else "<f4"))
        order = random.sample(range(plain.ndim), plain.ndim)
        state[name] = plain.permute(order) if order else plain
    read = read_torch_file(saved(state))
    assert list(read) == list(state)
    for name, tensor in state.items():
        assert read[name].shape == tuple(tensor.shape)
        assert np.array_equal(array_of(read[name]), tensor.numpy())


def test_a_torch_file_of_a_network_is_read_past_what_it_says_of_versions():
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.BatchNorm2d(2))
    state = network.state_dict()
    read = read_torch_file(saved(state))
    assert list(read) == list(state)
    assert read["1.num_batches_tracked"].shape == ()
    assert all(np.array_equal(array_of(read[name]), tensor.numpy()) for name, tensor in state.items())


class Trap:
    """Unpickling it would raise."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (int, ("not a number",))


def test_nothing_in_a_torch_file_is_called():
    data = saved({"trap": Trap(), "weight": torch.ones(2)})  # type: ignore[dict-item]
    read = read_torch_file(data)
    assert list(read) == ["weight"]
    assert array_of(read["weight"]).tolist() == [1, 1]


def varint(number: int) -> bytes:
    """As protobuf's guide has it, from the number's binary digits."""
    digits = f"{number:b}"
    digits = digits.zfill(-(-len(digits) // 7) * 7)
    groups = [int(digits[at : at + 7], 2) for at in range(0, len(digits), 7)][::-1]
    return bytes([*(group | 128 for group in groups[:-1]), groups[-1]])


def with_length(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def onnx_tensor(name: str, array: np.ndarray[Any, Any], *, packed: bool) -> bytes:
    dims = with_length(1, b"".join(map(varint, array.shape))) if packed else b"".join(b"\x08" + varint(size) for size in array.shape)
    kind = {"float32": 1, "int64": 7}[array.dtype.name]
    return dims + b"\x10" + varint(kind) + with_length(8, name.encode()) + with_length(9, array.tobytes())


@pytest.mark.parametrize("packed", [False, True])
@given(wanted=st.dictionaries(names, st.tuples(shapes, st.booleans()), max_size=4))
def test_an_onnx_file_gives_its_floats_and_passes_over_the_rest(packed, wanted: dict[str, tuple[tuple[int, ...], bool]]):
    arrays = {name: numbers(shape, "<i8" if counted else "<f4") for name, (shape, counted) in wanted.items()}
    graph = b"".join(with_length(5, onnx_tensor(name, array, packed=packed)) for name, array in arrays.items())
    strange = b"\x5d" + bytes(4) + b"\x61" + bytes(8) + with_length(12, b"a node")  # four bytes, eight bytes, another field
    read = read_onnx_file(b"\x08" + varint(300) + with_length(2, b"maker") + with_length(7, strange + with_length(2, b"graph") + graph))
    floats = {name: array for name, array in arrays.items() if array.dtype == np.float32}
    assert read.keys() == floats.keys()
    for name, array in floats.items():
        assert read[name].shape == array.shape
        assert np.array_equal(array_of(read[name]), array)


def ctranslate2_text(text: str) -> bytes:
    return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"


@given(st.dictionaries(names, st.tuples(shapes, st.sampled_from(["<f4", "<f2", "<i2"])), max_size=5))
def test_a_ctranslate2_file_gives_its_floats_and_passes_over_settings(wanted: dict[str, tuple[tuple[int, ...], str]]):
    arrays = {name: numbers(shape, form) for name, (shape, form) in wanted.items()}
    data = struct.pack("<I", 6) + ctranslate2_text("Spec") + struct.pack("<II", 3, len(arrays))
    for name, array in arrays.items():
        kind = {"float32": 0, "int16": 2, "float16": 4}[array.dtype.name]
        data += ctranslate2_text(name) + struct.pack("<B", array.ndim) + struct.pack(f"<{array.ndim}I", *array.shape)
        data += struct.pack("<BI", kind, array.nbytes) + array.tobytes()
    read = read_ctranslate2_file(data)
    floats = {name: array for name, array in arrays.items() if array.dtype.kind == "f"}
    assert read.keys() == floats.keys()
    for name, array in floats.items():
        assert np.array_equal(array_of(read[name]), array)


@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4))
def test_a_matrix_is_split_into_what_lies_above_each_other(parts: int, rows: int, columns: int):
    array = numbers((parts * rows, columns), "<f4")
    split = tensor_of(array).split(parts)
    assert np.array_equal([array_of(part) for part in split], np.split(array, parts))


def test_names_are_those_that_timm_gives():
    import timm

    with torch.device("meta"):
        lite = timm.create_model("tf_efficientnet_lite0")
        vgg: Any = timm.create_model("vgg16")
    places = [f"_blocks.{number}" for number in range(16)]
    layers = ["_expand_conv.weight", "_bn0.bias", "_depthwise_conv.weight", "_bn1.running_var", "_project_conv.weight", "_bn2.weight"]
    given = [f"{place}.{layer}" for place in places for layer in (layers if place != "_blocks.0" else layers[2:])]
    given += ["_conv_stem.weight", "_bn0.weight", "_conv_head.weight", "_bn1.bias", "_fc.weight"]
    assert {timm_name(name) for name in given} <= lite.state_dict().keys()
    assert len({timm_name(name) for name in given}) == len(given)
    assert list(convolutions()) == [number for number, layer in enumerate(vgg.features) if isinstance(layer, torch.nn.Conv2d)]
