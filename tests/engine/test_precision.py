"""16 bits are taken where they are faster and agree, the word stands, and the answer is the one autocast gives."""

from __future__ import annotations

import time

import pytest
import torch

from headstart.engine.boundary import run_prefix
from headstart.engine.precision import MOST_RELATIVE_ERROR, Measurement, choose, measure_prefix, measured_once
from headstart.engine.prefix import Prefix, in_dtype
from headstart.planning.estimates import LEAST_SPEEDUP
from tests.engine.samples import batch_for

ABOUT = {"backbone_sha256": "b", "boundary": "encoder.layer.2"}


@pytest.mark.parametrize(
    ("speedup", "error", "dtype"),
    [
        (3.0, 0.004, "bfloat16"),
        (LEAST_SPEEDUP, MOST_RELATIVE_ERROR, "bfloat16"),
        (LEAST_SPEEDUP - 0.01, 0.004, "float32"),
        (3.0, MOST_RELATIVE_ERROR * 1.01, "float32"),
        (3.0, float("nan"), "float32"),
    ],
)
def test_sixteen_bits_need_speed_and_agreement(speedup, error, dtype):
    chosen = choose("auto", lambda: Measurement(speedup, error))
    assert chosen.dtype == dtype
    assert chosen.record()["speedup"] == speedup


def test_dtype_that_was_asked_for_is_taken():
    def never() -> Measurement:
        raise AssertionError

    assert choose("float32", never).dtype == "float32"
    assert choose("bfloat16", lambda: Measurement(0.1, 0.5)).dtype == "bfloat16"


def test_measurement_is_made_once(tmp_path):
    first = measured_once(tmp_path, ABOUT, lambda: Measurement(3.0, 0.004))
    assert measured_once(tmp_path, ABOUT, lambda: Measurement(0.5, 0.9)) == first
    assert measured_once(tmp_path, {**ABOUT, "boundary": "other"}, lambda: Measurement(0.5, 0.9)).speedup == 0.5


def test_damaged_measurement_is_made_again(tmp_path):
    measured_once(tmp_path, ABOUT, lambda: Measurement(3.0, 0.004))
    next((tmp_path / "precision").iterdir()).write_text('{"speedup": "quick"')
    assert measured_once(tmp_path, ABOUT, lambda: Measurement(2.0, 0.004)).speedup == 2.0


@pytest.mark.parametrize("model_type", ["bert", "distilbert", "modernbert"])
def test_cast_copy_is_as_near_to_float32_as_autocast_is(backbones, model_type):
    backbone = backbones(model_type)
    layer = backbone.anatomy.default_layer
    batch = batch_for(backbone, ["good film", "the plot was dull"]).tensors
    (exact,) = run_prefix(backbone.module, [layer], batch)
    copy = in_dtype(backbone.module, torch.bfloat16)
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        theirs, ours = (run_prefix(module, [layer], batch)[0].float() for module in (backbone.module, copy))
    assert 0 < (ours - exact).norm() <= 1.2 * (theirs - exact).norm()
    assert all(parameter.dtype is torch.float32 for parameter in backbone.module.parameters())


def test_cast_copy_shares_the_embeddings_and_is_made_once(tiny):
    copy = in_dtype(tiny.module, torch.bfloat16)
    assert copy is in_dtype(tiny.module, torch.bfloat16)
    name = "embeddings.word_embeddings"
    assert copy.get_submodule(name).weight is tiny.module.get_submodule(name).weight


def test_features_are_float32_in_either_dtype(tiny):
    batch, layers = batch_for(tiny, ["good film"]), [tiny.anatomy.layer("encoder.layer.1")]
    exact, reduced = (Prefix(tiny.module, layers, "mean", dtype).features(batch) for dtype in ("float32", "bfloat16"))
    assert exact.dtype is reduced.dtype is torch.float32
    assert 0 < (exact - reduced).norm() / exact.norm() < 0.05


def test_measurement_compares_the_two_on_the_texts_given(tiny):
    layer = tiny.anatomy.layer("encoder.layer.1")
    measured = measure_prefix(tiny.module, tiny.preprocessor, [layer], "mean", ["good film", "dull"], 16, time.perf_counter)
    assert measured.speedup > 0
    assert 0 < measured.relative_error < 0.05


@pytest.mark.parametrize(
    ("asked", "measured", "storage"),
    [
        ("bfloat16", Measurement(1.0, MOST_RELATIVE_ERROR), "bfloat16"),
        ("bfloat16", Measurement(9.0, MOST_RELATIVE_ERROR * 1.01), "float32"),
        ("auto", Measurement(9.0, 0.004), "bfloat16"),
        ("auto", Measurement(1.0, 0.004), "float32"),
        ("float32", Measurement(9.0, 0.0), "float32"),
        ("float16", Measurement(9.0, 0.0), "float32"),
    ],
)
def test_sixteen_bits_are_kept_only_where_they_ran_and_were_seen_to_agree(asked: str, measured: Measurement, storage: str):
    assert choose(asked, lambda: measured).storage == storage
