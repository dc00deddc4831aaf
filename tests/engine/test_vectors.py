"""Vectors of many rows: taken, walked and kept as if they were one array in memory."""

from __future__ import annotations

import resource

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstart.engine import vectors
from headstart.engine.heads import linear
from headstart.engine.losses import Softmax
from headstart.engine.vectors import Chosen, all_of, in_memory, on_disk, pieces, through, width_of

WHOLE = np.arange(60, dtype=np.float32).reshape(20, 3)


@given(st.lists(st.integers(0, 19), max_size=30), st.integers(1, 7), st.booleans())
def test_chosen_vectors_are_those_of_an_array_with_their_numbers_beside_them(rows, size, with_numbers):
    places = np.array(rows, np.int64)
    numbers = places[:, None].astype(np.float32) * 2 if with_numbers else None
    chosen = Chosen(WHOLE, places, numbers)
    wanted = WHOLE[places] if numbers is None else np.hstack([WHOLE[places], numbers])
    assert (len(chosen), width_of(chosen)) == wanted.shape
    assert np.array_equal(all_of(chosen), wanted)
    assert np.array_equal(chosen[np.arange(len(chosen))[::-1]], wanted[::-1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vectors, "PIECE_ROWS", size)
        assert np.array_equal(through(lambda piece: piece + 1, chosen), wanted + 1)
        assert all(np.array_equal(piece, wanted[part]) and len(piece) <= size for part, piece in pieces(chosen))


@given(st.lists(st.integers(0, 5), max_size=5))
def test_what_is_kept_on_the_disk_reads_as_in_memory_and_has_no_name_there(tmp_path_factory, sizes):
    folder = tmp_path_factory.mktemp("kept")
    parts = [np.full((size, 3), number, np.float32) for number, size in enumerate(sizes)]
    kept = on_disk(folder / "new")(parts, 3)
    assert np.array_equal(kept, in_memory(parts, 3))
    assert kept.shape == (sum(sizes), 3)
    assert not any((folder / "new").iterdir())


def test_a_disk_without_room_is_an_error_and_not_the_end_of_the_process(tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, before[1]))  # Python ignores the signal, so that the write fails as on a full disk
    try:
        with pytest.raises(OSError, match="large"):
            on_disk(tmp_path)([np.zeros((2**15, 3), np.float32)] * 2, 3)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_solved_head_does_not_depend_on_how_rows_are_walked_and_where_they_lie(tmp_path, monkeypatch):
    chance = np.random.default_rng(0)
    x = chance.normal(size=(500, 8)).astype(np.float32)
    targets = (x[:, 0] + chance.normal(size=500) > 0).astype(np.int64)
    given_rows = (Chosen(x, np.arange(400)), targets[:400], Chosen(x, np.arange(400, 500)), targets[400:])
    whole = linear.solve(*given_rows, 2, Softmax())
    monkeypatch.setattr(vectors, "PIECE_ROWS", 37)
    walked = linear.solve(*given_rows, 2, Softmax(), keep=on_disk(tmp_path))
    assert walked.strength == whole.strength
    assert np.allclose(walked.weight, whole.weight, atol=1e-4)
    assert np.allclose(walked.bias, whole.bias, atol=1e-4)
