"""What is in the cache is what was computed, for whom it was computed; a damaged shard is never used."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file

from headstart.engine.cache import RECORD, VALUES, CacheKey, FeatureCache, prune, shards, survey
from headstart.engine.cache.eviction import IN_USE, size_of
from headstart.engine.cache.shards import take_away
from tests.engine.cached import KEY, rows_of, values_of


def shards_of(cache: FeatureCache) -> list[Path]:
    return sorted(path for path in cache.folder.iterdir() if path.is_dir())


OPEN = """
import sys
from pathlib import Path
from headstart.engine.cache import FeatureCache
from tests.engine.cached import KEY
cache = FeatureCache(Path(sys.argv[1]), KEY)
print("open", flush=True)
sys.stdin.readline()
"""


@contextmanager
def opened_elsewhere(root: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Another process that has the key open."""
    command = [sys.executable, "-c", OPEN, str(root)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"open\n"
            yield process
        finally:
            process.kill()


@pytest.fixture(autouse=True)
def _quiet(capsys):
    """The log of damaged shards goes to the terminal otherwise."""


def test_rows_come_back_bit_for_bit_from_a_new_process_view(tmp_path):
    rows, values = rows_of(100), values_of(100)
    FeatureCache(tmp_path, KEY).append(rows, values)
    found_values, found = FeatureCache(tmp_path, KEY).lookup(rows[::-1].copy())
    assert found.all()
    assert np.array_equal(found_values, values[::-1])


def test_only_rows_that_are_there_are_found(tmp_path):
    cache = FeatureCache(tmp_path, KEY)
    cache.append(rows_of(10), values_of(10))
    cache.append(rows_of(10, start=20), values_of(10, seed=1))
    values, found = cache.lookup(rows_of(40))
    assert list(np.flatnonzero(found)) == [*range(10), *range(20, 30)]
    assert not values[~found].any()


def test_empty_cache_finds_nothing_and_writes_nothing(tmp_path):
    values, found = FeatureCache(tmp_path, KEY).lookup(rows_of(3))
    assert values.shape == (3, 0)
    assert not found.any()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("field", [each.name for each in fields(CacheKey)])
def test_every_part_of_the_key_counts(tmp_path, field):
    FeatureCache(tmp_path, KEY).append(rows_of(3), values_of(3))
    changed: dict[str, Any] = {field: 0 if field == "format" else "other"}
    other = replace(KEY, **changed)
    assert not FeatureCache(tmp_path, other).lookup(rows_of(3))[1].any()


def test_appenders_at_the_same_time_lose_nothing(tmp_path):
    one, two = FeatureCache(tmp_path, KEY), FeatureCache(tmp_path, KEY)
    one.append(rows_of(10), values_of(10))
    two.append(rows_of(10, start=5), values_of(10, seed=1))
    assert FeatureCache(tmp_path, KEY).lookup(rows_of(15))[1].all()


def test_unfinished_shard_is_passed_over(tmp_path):
    cache = FeatureCache(tmp_path, KEY)
    cache.append(rows_of(3), values_of(3))
    (cache.folder / ".tmp-abc").mkdir()
    again = FeatureCache(tmp_path, KEY)
    assert again.lookup(rows_of(3))[1].all()
    assert again.damaged == 0


def damage(path: Path, how: str, place: int) -> None:
    content = bytearray(path.read_bytes())
    at = min(len(content) - 1, len(content) * place // 64)
    if how == "cut":
        path.write_bytes(content[:at])
    else:
        content[at] ^= 1
        path.write_bytes(content)


@pytest.mark.parametrize("how", ["cut", "flip"])
def test_changed_values_are_never_used(tmp_path, how):
    for place in range(64):
        root = tmp_path / str(place)
        cache = FeatureCache(root, KEY)
        cache.append(rows_of(5), values_of(5))
        shard = shards_of(cache)[0]
        damage(shard / VALUES, how, place)
        again = FeatureCache(root, KEY)
        assert not again.lookup(rows_of(5))[1].any()
        assert again.damaged == 1
        assert not shard.exists()


@pytest.mark.parametrize("bit", [1, 4, 128])
def test_changed_byte_anywhere_in_a_header_is_damage_and_no_crash(tmp_path, bit):
    cache = FeatureCache(tmp_path, KEY)
    cache.append(rows_of(5), values_of(5))
    (shard,) = shards_of(cache)
    kept = tmp_path / "kept"
    shard.rename(kept)
    content = (kept / VALUES).read_bytes()
    for place in range(8 + int.from_bytes(content[:8], "little")):
        shutil.copytree(kept, shard)
        (shard / VALUES).write_bytes(content[:place] + bytes([content[place] ^ bit]) + content[place + 1 :])
        again = FeatureCache(tmp_path, KEY)
        assert not again.lookup(rows_of(5))[1].any(), place
        assert again.damaged == 1, place
        assert not shard.exists()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"bytes": 3}', "[" * 100_000])
def test_damaged_record_takes_its_shard_away(tmp_path, content):
    cache = FeatureCache(tmp_path, KEY)
    cache.append(rows_of(5), values_of(5))
    (shards_of(cache)[0] / RECORD).write_text(content)
    assert FeatureCache(tmp_path, KEY).damaged == 1


def test_damage_to_one_shard_leaves_the_others(tmp_path):
    cache = FeatureCache(tmp_path, KEY)
    cache.append(rows_of(5), values_of(5))
    first = shards_of(cache)[0]
    cache.append(rows_of(5, start=5), values_of(5, seed=1))
    damage(first / VALUES, "flip", 40)
    assert list(FeatureCache(tmp_path, KEY).lookup(rows_of(10))[1]) == [False] * 5 + [True] * 5


def test_open_cache_survives_that_its_shards_are_taken_away(tmp_path):
    FeatureCache(tmp_path, KEY).append(rows_of(500), values_of(500))
    reader, late = FeatureCache(tmp_path, KEY), FeatureCache(tmp_path, KEY)
    assert reader.lookup(rows_of(1))[1].all()
    for shard in shards_of(reader):
        for file in shard.iterdir():
            file.unlink()
    assert np.array_equal(reader.lookup(rows_of(500))[0], values_of(500))
    assert not late.lookup(rows_of(500))[1].any()  # nobody can say any more whether they are whole
    assert late.damaged == 0


def test_shard_names_its_key(tmp_path):
    cache = FeatureCache(tmp_path, KEY)
    cache.append(rows_of(1), values_of(1))
    record = json.loads((shards_of(cache)[0] / RECORD).read_text())
    assert CacheKey(**record["key"]) == KEY


def test_values_may_come_in_pieces(tmp_path):
    values = values_of(10)
    FeatureCache(tmp_path, KEY).append(rows_of(10), [values[:3], values[3:]])
    assert np.array_equal(FeatureCache(tmp_path, KEY).lookup(rows_of(10))[0], values)


def test_shards_are_files_that_the_stock_library_reads(tmp_path):
    for storage, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        cache = FeatureCache(tmp_path, replace(KEY, storage=storage))
        cache.append(rows_of(3), values_of(5), np.array([2, 1, 2]))
        tensors = load_file(shards_of(cache)[0] / VALUES)
        assert np.array_equal(tensors["rows"].numpy(), rows_of(3))
        assert tensors["offsets"].tolist() == [0, 2, 3, 5]
        assert torch.equal(tensors["values"], torch.from_numpy(values_of(5)).to(dtype))


def test_sixteen_bits_take_half_the_room_and_come_back_as_they_were_rounded(tmp_path):
    cache = FeatureCache(tmp_path, replace(KEY, storage="bfloat16"))
    cache.append(rows_of(100), values_of(100, width=64))
    assert (shards_of(cache)[0] / VALUES).stat().st_size < 100 * 64 * 2 + 100 * 40 + 500
    rounded = torch.from_numpy(values_of(100, width=64)).to(torch.bfloat16)
    assert np.array_equal(cache.lookup(rows_of(100))[0], rounded.float().numpy())
    assert all(torch.equal(piece, rounded[row : row + 1]) for row, piece in enumerate(cache.find(rows_of(100))) if piece is not None)


def test_digests_that_begin_alike_are_told_apart(tmp_path):
    rows = rows_of(6).copy()
    rows[1:5, :8] = rows[0, :8]
    FeatureCache(tmp_path, KEY).append(rows[:4], values_of(4))
    values, found = FeatureCache(tmp_path, KEY).lookup(rows)
    assert list(found) == [True] * 4 + [False] * 2
    assert np.array_equal(values[:4], values_of(4))


@settings(max_examples=60, deadline=None)
@given(shards=st.lists(st.lists(st.integers(0, 30), max_size=12), max_size=5), wanted=st.lists(st.integers(0, 35), max_size=20))
def test_whatever_was_appended_in_whatever_shards_is_found_and_nothing_else(shards: list[list[int]], wanted: list[int]):
    values = values_of(40)
    rows = rows_of(40)
    with tempfile.TemporaryDirectory() as root:
        for shard in shards:
            FeatureCache(Path(root), KEY).append(rows[shard], values[shard])
        known = {row for shard in shards for row in shard}
        got, found = FeatureCache(Path(root), KEY).lookup(rows[wanted].reshape(-1, 32))
        assert list(found) == [row in known for row in wanted]
        assert all(np.array_equal(got[place], values[row]) for place, row in enumerate(wanted) if row in known)


# what goes


def keys_of(root: Path, count: int) -> list[FeatureCache]:
    """Open caches of ten rows each, the first used longest ago."""
    caches = [FeatureCache(root, replace(KEY, boundary=f"layer.{number}")) for number in range(count)]
    for age, cache in enumerate(caches):
        cache.append(rows_of(10), values_of(10))
        os.utime(cache.folder / IN_USE, (1000 + age, 1000 + age))
    return caches


def test_least_recently_used_keys_go_when_the_budget_is_exceeded_and_those_in_use_stay(tmp_path):
    caches = keys_of(tmp_path, 4)
    folders, size = [cache.folder for cache in caches], size_of(caches[0].folder)
    kept = caches[0]
    del caches
    assert prune(tmp_path, 4 * size + 1000) == 0
    assert prune(tmp_path, 2 * size + 100) > 0
    assert [folder.exists() for folder in folders] == [True, False, False, True]
    assert kept.lookup(rows_of(10))[1].all()
    assert prune(tmp_path, 0) > 0
    assert [folder.exists() for folder in folders] == [True, False, False, False]


def test_key_that_another_process_has_open_stays_until_that_process_dies(tmp_path):
    FeatureCache(tmp_path, KEY).append(rows_of(10), values_of(10))
    with opened_elsewhere(tmp_path) as other:
        assert prune(tmp_path, 0) == 0
        other.kill()
        other.wait()
        assert prune(tmp_path, 0) > 0
    assert not FeatureCache(tmp_path, KEY).lookup(rows_of(10))[1].any()


def test_opening_a_key_is_a_use_of_it(tmp_path):
    folders = [cache.folder for cache in keys_of(tmp_path, 2)]
    FeatureCache(tmp_path, replace(KEY, boundary="layer.0"))
    prune(tmp_path, size_of(folders[0]) + 100)
    assert [folder.exists() for folder in folders] == [True, False]


def test_key_that_alone_exceeds_the_budget_loses_what_was_not_used(tmp_path):
    cache = FeatureCache(tmp_path, KEY)
    for part in range(4):
        cache.append(rows_of(10, start=10 * part), values_of(10))
    size = size_of(cache.folder)
    del cache
    cache = FeatureCache(tmp_path, KEY, budget_bytes=size // 2 + 200)
    assert cache.lookup(rows_of(10, start=20))[1].all()
    cache.append(rows_of(1, start=100), values_of(1))
    assert cache.lookup(rows_of(10, start=20))[1].all()
    assert cache.lookup(rows_of(1, start=100))[1].all()
    assert size_of(tmp_path) <= size // 2 + 200
    assert not FeatureCache(tmp_path, KEY).lookup(rows_of(40))[1].all()


def test_key_that_others_have_open_loses_nothing_however_large(tmp_path):
    FeatureCache(tmp_path, KEY).append(rows_of(10), values_of(10))
    reader = FeatureCache(tmp_path, KEY)
    writer = FeatureCache(tmp_path, KEY, budget_bytes=1)
    writer.append(rows_of(1, start=10), values_of(1))
    assert FeatureCache(tmp_path, KEY).lookup(rows_of(11))[1].all()
    assert reader.lookup(rows_of(10))[1].all()
    del reader
    writer.prune()
    assert list(writer.lookup(rows_of(11))[1]) == [False] * 10 + [True]


def test_budget_is_kept_while_features_are_written(tmp_path):
    old = keys_of(tmp_path, 3)
    size = size_of(old[0].folder)
    del old
    cache = FeatureCache(tmp_path, KEY, budget_bytes=3 * size)
    for part in range(20):
        cache.append(rows_of(5, start=5 * part), values_of(5))
    assert [path for path in tmp_path.glob("*/*") if path != cache.folder] == []
    assert cache.lookup(rows_of(100))[1].all()


def test_appending_after_the_key_was_evicted_begins_anew(tmp_path):
    cache = FeatureCache(tmp_path, KEY)
    cache.append(rows_of(5), values_of(5))
    take_away(cache.folder)  # by hand: nobody evicts what is in use
    cache.append(rows_of(5, start=5), values_of(5))
    assert prune(tmp_path, 0) == 0
    assert list(FeatureCache(tmp_path, KEY).lookup(rows_of(10))[1]) == [False] * 5 + [True] * 5


def test_survey_tells_what_there_is_by_key_and_by_workspace(tmp_path):
    FeatureCache(tmp_path, KEY).append(rows_of(3), values_of(3))
    other = FeatureCache(tmp_path, replace(KEY, workspace="ws_two", pooling=None, storage="bfloat16"))
    other.append(rows_of(2), values_of(5), np.array([4, 1]))
    other.append(rows_of(1, start=9), values_of(1))
    (tmp_path / "precision").mkdir()
    seen = survey(tmp_path)
    assert {workspace: counts["keys"] for workspace, counts in seen["workspaces"].items()} == {"ws_one": 1, "ws_two": 1}
    assert seen["workspaces"]["ws_two"]["bytes"] == size_of(other.folder)
    told = seen["keys"][other.key.digest()]
    assert (told["workspace"], told["rows"], told["pooling"], told["storage"]) == ("ws_two", 3, None, "bfloat16")
    assert json.loads(json.dumps(seen)) == seen
    assert survey(tmp_path / "nothing") == {"workspaces": {}, "keys": {}}


def test_survey_passes_over_records_that_cannot_be_read(tmp_path):
    cache = FeatureCache(tmp_path, KEY)
    cache.append(rows_of(3), values_of(3))
    for content in ("", "[]", '{"key": 3}', '{"key": {}, "rows": "x"}'):
        (shards_of(cache)[0] / RECORD).write_text(content)
        assert survey(tmp_path) == {"workspaces": {}, "keys": {}}


# a file is read whole once


def whole_files_read(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Grows by one whenever a file is read whole for its digest."""
    read: list[object] = []
    digest = hashlib.file_digest

    def counted(file: Any, name: str) -> Any:
        read.append(file)
        return digest(file, name)

    monkeypatch.setattr(hashlib, "file_digest", counted)
    return read


def test_whole_file_is_read_once_in_a_process_and_again_when_it_was_changed(tmp_path, monkeypatch):
    cache = FeatureCache(tmp_path, KEY)
    cache.append(rows_of(5), values_of(5))
    path = shards_of(cache)[0] / VALUES
    monkeypatch.setattr(shards, "YOUNG_NS", 0)
    read = whole_files_read(monkeypatch)
    for _ in range(3):
        assert FeatureCache(tmp_path, KEY).lookup(rows_of(5))[1].all()
    assert len(read) == 1
    time.sleep(0.02)  # longer than the kernel's steps of a file's time
    content = bytearray(path.read_bytes())
    content[-200] ^= 1
    path.write_bytes(content)
    assert not FeatureCache(tmp_path, KEY).lookup(rows_of(5))[1].any()


def test_shards_of_which_nothing_is_wanted_are_not_read_whole(tmp_path, monkeypatch):
    cache = FeatureCache(tmp_path, KEY)
    cache.append(rows_of(5), values_of(5))
    cache.append(rows_of(5, start=5), values_of(5))
    read = whole_files_read(monkeypatch)
    again = FeatureCache(tmp_path, KEY)
    assert read == []
    assert again.lookup(rows_of(5))[1].all()
    assert len(read) == 1
