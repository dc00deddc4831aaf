"""Each text goes through the prefix once, whatever happens in between."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from headstart.engine.backbones.loading import Backbone
from headstart.engine.cache import FeatureCache, claims
from headstart.engine.cache.index import prefixes
from headstart.engine.examples import digests as row_digests
from headstart.engine.features import Features, Progress, extract
from headstart.engine.prefix import Prefix
from headstart.errors import EngineFault
from headstart.specs.backbones import Layer
from tests.engine.cached import KEY
from tests.engine.conftest import reviews

LAYER = [Layer(object="layer", name="layer", index=0, parameters=4000, output=["T", 4], axes=["T", "D"], boundary=True)]
TEXTS = [text for text, _ in reviews(120)]


class Ticking:
    """A clock that goes on by so many seconds each time it is read."""

    def __init__(self, step: float) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def features(
    backbone: Backbone,
    texts: list[str],
    cache: FeatureCache | None = None,
    *,
    prefix: Prefix | None = None,
    progress: Progress = lambda *_: None,
    clock: Callable[[], float] = time.monotonic,
    batch_tokens: int = 128,
) -> Features:
    prefix = prefix or Prefix(backbone.module, [backbone.anatomy.layer("encoder.layer.1")], "mean", "float32")
    return extract(prefix, backbone.preprocessor, texts, limit=32, batch_tokens=batch_tokens, cache=cache, clock=clock, progress=progress)


def test_rows_come_in_the_order_of_the_texts(tiny):
    alone = np.concatenate([features(tiny, [text]).values for text in TEXTS[:20]])
    assert np.allclose(features(tiny, TEXTS[:20]).values, alone, atol=1e-5)


def test_second_time_computes_nothing_and_takes_no_time(tiny, tmp_path):
    first = features(tiny, TEXTS, FeatureCache(tmp_path, KEY))
    second = features(tiny, TEXTS, FeatureCache(tmp_path, KEY))
    assert (first.rows_computed, first.rows_reused) == (120, 0)
    assert (second.rows_computed, second.rows_reused, second.seconds) == (0, 120, 0.0)
    assert np.array_equal(first.values, second.values)


def test_cached_path_equals_the_path_without_a_cache(tiny, tmp_path):
    cached = features(tiny, TEXTS, FeatureCache(tmp_path, KEY))
    assert np.array_equal(features(tiny, TEXTS).values, cached.values)


def test_appended_rows_are_the_only_ones_computed(tiny, tmp_path):
    features(tiny, TEXTS[:110], FeatureCache(tmp_path, KEY))
    assert features(tiny, TEXTS, FeatureCache(tmp_path, KEY)).rows_computed == 10


def test_equal_texts_are_computed_once(tiny, tmp_path):
    got = features(tiny, ["good film", "dull", "good film", "good film"], FeatureCache(tmp_path, KEY))
    assert (got.rows_computed, got.rows_reused) == (2, 2)
    assert np.array_equal(got.values[0], got.values[2])
    assert not np.array_equal(got.values[0], got.values[1])


def test_killed_extraction_keeps_what_it_computed(tiny, tmp_path):
    class Killed(BaseException):
        pass

    def kill(_share, number, _batches):
        if number == 4:
            raise Killed

    with pytest.raises(Killed):
        features(tiny, TEXTS, FeatureCache(tmp_path, KEY), progress=kill, clock=Ticking(20.0))
    again = features(tiny, TEXTS, FeatureCache(tmp_path, KEY))
    assert 0 < again.rows_reused < 120
    assert again.rows_computed + again.rows_reused == 120


def test_progress_rises_to_one(tiny):
    shares = []
    features(tiny, TEXTS, progress=lambda share, number, batches: shares.append((share, number / batches)))
    assert len(shares) > 5
    assert shares == sorted(shares)
    assert shares[-1] == (1.0, 1.0)


def test_while_another_process_computes_the_job_still_tells_how_it_goes(tiny, tmp_path):
    class Enough(Exception):
        pass

    shares: list[float] = []

    def progress(share, number, batches):
        shares.append(share)
        if shares.count(shares[-1]) == 3:
            raise Enough

    cache = FeatureCache(tmp_path, KEY)
    features(tiny, TEXTS[:20], cache)
    with claims.claim(cache.folder, prefixes(row_digests(TEXTS[60:]))), pytest.raises(Enough):
        features(tiny, TEXTS, FeatureCache(tmp_path, KEY), progress=progress)
    assert shares == sorted(shares)
    assert shares[-3:] == [1.0] * 3  # of what it could compute by itself
    again = features(tiny, TEXTS, FeatureCache(tmp_path, KEY))
    assert (again.rows_computed, again.rows_reused) == (60, 60)


class Crowded(nn.Module):
    """A model for so many rows at once; more, and memory runs out as it does on a CPU."""

    def __init__(self, most: int, value: float = 1.0) -> None:
        super().__init__()
        self.most, self.value = most, value
        self.layer = nn.Embedding(1000, 4)

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor) -> Any:
        if len(input_ids) > self.most:
            raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes.")
        return self.layer(input_ids * 0) * self.value


def test_batch_that_is_too_large_for_memory_runs_in_halves(tiny):
    small, large = (Prefix(Crowded(most), LAYER, "mean", "float32") for most in (2, 1000))
    small.module.load_state_dict(large.module.state_dict())
    got = features(tiny, TEXTS, prefix=small).values
    assert np.allclose(got, features(tiny, TEXTS, prefix=large).values)


def test_row_that_does_not_fit_alone_is_out_of_memory(tiny):
    class Full(Crowded):
        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor) -> Any:
            raise torch.OutOfMemoryError

    with pytest.raises(EngineFault) as fault:
        features(tiny, TEXTS, prefix=Prefix(Full(0), LAYER, "mean", "float32"))
    assert fault.value.code == "out_of_memory"


def test_other_errors_are_not_taken_for_lack_of_memory(tiny):
    class Broken(Crowded):
        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor) -> Any:
            raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes do not fit"):
        features(tiny, TEXTS, prefix=Prefix(Broken(9), LAYER, "mean", "float32"))


def test_numbers_that_are_not_finite_are_refused_and_not_kept(tiny, tmp_path):
    class Diverging(Crowded):
        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor, token_type_ids: torch.Tensor) -> Any:
            return self.layer(input_ids * 0 + 1)

    model = Diverging(9)
    nn.init.constant_(model.layer.weight, float("inf"))
    with pytest.raises(EngineFault) as fault:
        features(tiny, TEXTS, FeatureCache(tmp_path, KEY), prefix=Prefix(model, LAYER, "mean", "float32"))
    assert fault.value.code == "diverged"
    assert not FeatureCache(tmp_path, KEY).lookup(np.zeros((1, 32), np.uint8))[1].any()
