"""What is in the cache is what was computed, for whom it was computed; a damaged shard is never used."""

from __future__ import annotations

import json
import os
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from headstart.engine.cache import RECORD, VALUES, CacheKey, FeatureCache, prune
from headstart.engine.examples import digests as row_digests

KEY = CacheKey(
    workspace="ws_one",
    backbone_sha256="b",
    boundary="encoder.layer.5",
    pooling="mean",
    preprocessing="p",
    dtype="float32",
    device="cpu-avx2",
    torch="2",
    transformers="5",
)


def rows_of(count: int, start: int = 0) -> NDArray[np.uint8]:
    return row_digests([f"text {number}" for number in range(start, start + count)])


def values_of(count: int, width: int = 8, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)


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
    changed: dict[str, Any] = {field: 2 if field == "format" else "other"}
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
        shard = next(cache.folder.iterdir())
        damage(shard / VALUES, how, place)
        again = FeatureCache(root, KEY)
        assert again.damaged == 1
        assert not again.lookup(rows_of(5))[1].any()
        assert not shard.exists()


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"bytes": 3}', "[" * 100_000])
def test_damaged_record_takes_its_shard_away(tmp_path, content):
    cache = FeatureCache(tmp_path, KEY)
    cache.append(rows_of(5), values_of(5))
    (next(cache.folder.iterdir()) / RECORD).write_text(content)
    assert FeatureCache(tmp_path, KEY).damaged == 1


def test_damage_to_one_shard_leaves_the_others(tmp_path):
    cache = FeatureCache(tmp_path, KEY)
    cache.append(rows_of(5), values_of(5))
    first = next(cache.folder.iterdir())
    cache.append(rows_of(5, start=5), values_of(5, seed=1))
    damage(first / VALUES, "flip", 40)
    assert list(FeatureCache(tmp_path, KEY).lookup(rows_of(10))[1]) == [False] * 5 + [True] * 5


def test_open_cache_survives_that_its_shards_are_taken_away(tmp_path):
    FeatureCache(tmp_path, KEY).append(rows_of(500), values_of(500))
    reader = FeatureCache(tmp_path, KEY)
    for shard in reader.folder.iterdir():
        for file in shard.iterdir():
            file.unlink()
    assert np.array_equal(reader.lookup(rows_of(500))[0], values_of(500))


def test_shard_names_its_key(tmp_path):
    cache = FeatureCache(tmp_path, KEY)
    cache.append(rows_of(1), values_of(1))
    record = json.loads((next(cache.folder.iterdir()) / RECORD).read_text())
    assert CacheKey(**record["key"]) == KEY


def test_least_recently_used_keys_go_when_the_budget_is_exceeded_and_the_one_in_use_stays(tmp_path):
    caches = [FeatureCache(tmp_path, replace(KEY, boundary=f"layer.{number}")) for number in range(3)]
    for age, cache in enumerate(caches):
        cache.append(rows_of(10), values_of(10))
        os.utime(cache.folder, (1000 + age, 1000 + age))
    size = sum(file.stat().st_size for file in caches[0].folder.rglob("*") if file.is_file())
    assert prune(tmp_path, 3 * size + 1000, keep=caches[0].folder) == 0
    assert prune(tmp_path, 2 * size + 100, keep=caches[0].folder) > 0
    assert [cache.folder.exists() for cache in caches] == [True, False, True]
    assert caches[1].lookup(rows_of(10))[1].all()  # an open map outlives its name
    assert not FeatureCache(tmp_path, caches[1].key).lookup(rows_of(10))[1].any()
