"""What heads read of words is what the module gives for the token that begins each, however it comes: from the cache, anew, or with a suffix."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from headstart.engine.activations import Feeder, RecomputingFeeder, extract_activations
from headstart.engine.backbones.loading import Backbone
from headstart.engine.cache import FeatureCache
from headstart.engine.embedding import embed_all
from headstart.engine.inputs.text import EncodedTexts
from headstart.engine.inputs.words import Sentence, sentence_of_text, sentence_of_words
from headstart.engine.prefix import Prefix
from headstart.engine.readout import readout_of
from headstart.engine.sources import NoSuffix, SuffixSource
from headstart.engine.suffix import cut_of, make_suffix
from headstart.specs.backbones import Layer
from tests.engine.cached import KEY
from tests.engine.tiny import TEXT_TYPES

SENTENCES = [
    sentence_of_text("the film was great"),
    sentence_of_words(["good", "", "plot", "\u200b", "\U0001f600"]),
    sentence_of_text(""),
    sentence_of_words(["unheard", "of"]),
    sentence_of_text("it"),
]


def expected(backbone: Backbone, sentence: Sentence, layer: str) -> np.ndarray:
    """By the module alone, one text at a time."""
    encoded = backbone.preprocessor.encode([sentence], None)
    assert isinstance(encoded, EncodedTexts)
    hidden = Prefix(backbone.module, [backbone.anatomy.layer(layer)], "none", "float32").features(encoded.batch(np.zeros(1, np.int64)))[0]
    (beginnings,) = encoded.beginnings or []
    vectors = [hidden[first].numpy() if first >= 0 else np.zeros(hidden.shape[1], np.float32) for first in beginnings]
    return np.array(vectors, np.float32).reshape(-1, hidden.shape[1])


def source_of(backbone: Backbone, encoded: EncodedTexts, feeder: Feeder, boundary: Layer, top: Layer, pooling: str) -> SuffixSource:
    reads = ["words"] if pooling == "none" else ["example", "words"]
    readout = readout_of(reads, pooling, top)  # type: ignore[arg-type] # `Reads`
    words = np.array([len(each) for each in encoded.beginnings or []], np.int64)
    if boundary.name == top.name:
        return SuffixSource(NoSuffix(backbone.device), feeder, torch.float32, alike=False, readout=readout, words=words)
    cut = cut_of(backbone.anatomy, boundary.name, top.name, "none")
    suffix = make_suffix(backbone.module, cut, [], encoded.batch(np.zeros(1, np.int64)))
    return SuffixSource(suffix, feeder, torch.float32, alike=False, readout=readout, words=words)


@pytest.mark.parametrize("boundary", ["embeddings", "encoder.layer.0", "encoder.layer.2"])
@pytest.mark.parametrize("kept", ["kept", "recomputed"])
def test_vectors_of_words_are_those_of_the_tokens_that_begin_them(tiny, tmp_path: Path, boundary: str, kept: str):
    layer, top = tiny.anatomy.layer(boundary), tiny.anatomy.layer(tiny.anatomy.default_layer)
    prefix = Prefix(tiny.module, [layer], "none", "float32")
    encoded = tiny.preprocessor.encode(SENTENCES, None)
    assert isinstance(encoded, EncodedTexts)
    feeder: Feeder = RecomputingFeeder(prefix, encoded)
    if kept == "kept":
        cache = FeatureCache(tmp_path, KEY)
        made = extract_activations(
            prefix, encoded, SENTENCES, alike=False, batch_tokens=16, cache=cache, clock=time.monotonic, progress=lambda *_: None
        )
        feeder = made.feeder
    source = source_of(tiny, encoded, feeder, layer, top, "mean")
    rows = np.array([3, 0, 4, 2, 1])
    read = embed_all(source, rows, 8)
    assert np.allclose(read["words"], np.concatenate([expected(tiny, SENTENCES[row], top.name) for row in rows]), atol=1e-5)
    pooled = Prefix(tiny.module, [top], "mean", "float32")
    each = [pooled.features(encoded.batch(np.array([row]))).numpy()[0] for row in rows]
    assert np.allclose(read["example"], each, atol=1e-5)
    assert embed_all(source, rows[:0], 8)["words"].shape == (0, tiny.anatomy.width)


@pytest.mark.parametrize("family", TEXT_TYPES)
def test_every_family_gives_a_vector_for_each_word(backbones: Callable[..., Backbone], family: str):
    backbone = backbones(family)
    top = backbone.anatomy.layer(backbone.anatomy.default_layer)
    encoded = backbone.preprocessor.encode(SENTENCES, None)
    assert isinstance(encoded, EncodedTexts)
    feeder = RecomputingFeeder(Prefix(backbone.module, [top], "none", "float32"), encoded)
    read = embed_all(source_of(backbone, encoded, feeder, top, top, "none"), np.arange(5), 64)
    assert list(read) == ["words"]
    assert np.allclose(read["words"], np.concatenate([expected(backbone, each, top.name) for each in SENTENCES]), atol=1e-4)
    # a word that gives no token has zeros; all others have something
    assert [bool(vector.any()) for vector in read["words"]] == [True] * 4 + [True, False, True, False, True] + [True] * 3
