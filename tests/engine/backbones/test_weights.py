"""Headers of safetensors files: whatever is accepted here, the library reads too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

from headstart.engine.backbones.weights import check_safetensors, check_weights
from headstart.errors import BadInput


def write(path: Path, header: Any, data: bytes = b"") -> Path:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(raw).to_bytes(8, "little") + raw + data)
    return path


def entry(begin: int, end: int, *, dtype: str = "F32", shape: list[int] | None = None) -> dict[str, Any]:
    return {"dtype": dtype, "shape": [(end - begin) // 4] if shape is None else shape, "data_offsets": [begin, end]}


def is_refused(path: Path) -> bool:
    try:
        check_safetensors(path)
    except BadInput as error:
        return error.code == "weights_invalid"
    return False


@pytest.fixture
def good(tmp_path: Path) -> Path:
    save_file(
        {"a": torch.arange(12.0).reshape(3, 4), "b": torch.ones(2, dtype=torch.int64), "c": torch.ones(())}, tmp_path / "model.safetensors"
    )
    return tmp_path / "model.safetensors"


def test_a_good_file_gives_its_shapes(good: Path) -> None:
    assert check_safetensors(good) == {"a": (3, 4), "b": (2,), "c": ()}


def test_a_file_cut_anywhere_is_refused(good: Path, tmp_path: Path) -> None:
    whole = good.read_bytes()
    for length in range(len(whole)):
        (tmp_path / "cut").write_bytes(whole[:length])
        assert is_refused(tmp_path / "cut"), length


@pytest.mark.parametrize(
    "header",
    [
        {"a": entry(0, 8), "b": entry(4, 12)},
        {"a": entry(0, 4), "b": entry(8, 12)},
        {"a": entry(0, 16)},
        {"a": entry(-4, 12)},
        {"a": entry(0, 12, shape=[4])},
        {"a": entry(0, 12, shape=[-3, -1])},
        {"a": entry(0, 12, shape=[True, 3])},
        {"a": entry(0, 12, shape=[1 << 62, 4])},
        {"a": entry(0, 12, dtype="F8_E4M3")},
        {"a": entry(0, 12, dtype="object")},
        {"a": {"dtype": "F32"}},
        {"a": None},
        [],
        b'{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]},"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}}',
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_a_false_header_is_refused(header: Any, tmp_path: Path) -> None:
    assert is_refused(write(tmp_path / "model.safetensors", header, bytes(12)))


def test_a_header_bomb_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    with open(path, "wb") as file:
        file.write((200_000_000).to_bytes(8, "little"))
        file.truncate(1 << 30)
    assert is_refused(path)


def test_a_tensor_in_two_files_is_refused(good: Path) -> None:
    (good.parent / "model-00002-of-00002.safetensors").write_bytes(good.read_bytes())
    with pytest.raises(BadInput) as caught:
        check_weights(good.parent)
    assert caught.value.code == "weights_invalid"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(position=st.integers(0, 200), value=st.integers(0, 255))
def test_a_changed_header_byte_is_refused_or_still_readable(good: Path, tmp_path: Path, position: int, value: int) -> None:
    changed = bytearray(good.read_bytes())
    changed[position % len(changed)] = value
    path = tmp_path / "changed"
    path.write_bytes(changed)
    if not is_refused(path):
        with safe_open(path, "pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 (not a dict)
                tensors.get_tensor(name)
