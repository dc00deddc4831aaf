"""Texts and pairs of texts become the tokens that transformers makes; a digest says when they would become others."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from tokenizers import Regex, Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from headstart.engine.inputs.text import TextPreprocessor
from headstart.errors import EngineFault
from headstart.specs.backbones import TextInput
from tests.engine.tiny import PADDING_ID, tiny_tokenizer

FILES = {"tokenizer.json": "1", "model.safetensors": "2"}
TEXTS = ["Good film!", "", "   ", "the plot was very dull " * 30, "😀 naïve"]
PAIRS = [("good film", "bad book"), ("good", "the plot was very dull " * 9), ("very dull plot " * 9, "bad"), ("", "good")]


def preprocessor(tokenizer: PreTrainedTokenizerFast | None = None, files=FILES, *, segments: bool = False) -> TextPreprocessor:
    tokenizer = tokenizer or tiny_tokenizer()
    return TextPreprocessor(tokenizer, TextInput(vocabulary=len(tokenizer), max_tokens=64, segments=segments), files)


def rows(count: int) -> np.ndarray:
    return np.arange(count)


def test_tokens_are_those_of_transformers():
    encoded = preprocessor().encode(TEXTS, 20)
    assert [row.tolist() for row in encoded.ids] == tiny_tokenizer()(TEXTS, truncation=True, max_length=20)["input_ids"]


def test_pairs_are_those_of_transformers_and_the_longer_text_is_cut_first():
    tokenizer = tiny_tokenizer()
    ends = [(token, tokenizer.convert_tokens_to_ids(token)) for token in ("[CLS]", "[SEP]")]
    parts = processors.TemplateProcessing("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", ends)  # as BERT's tokenizer has it
    tokenizer.backend_tokenizer.post_processor = parts
    encoded = preprocessor(tokenizer, segments=True).encode(PAIRS, 20)
    firsts, seconds = zip(*PAIRS, strict=True)
    expected = tokenizer(
        list(firsts),
        list(seconds),
        truncation="longest_first",
        max_length=20,
        padding=True,
        return_tensors="pt",
        return_token_type_ids=True,
    )
    batch = encoded.batch(rows(len(PAIRS)))
    assert encoded.cut == [False, True, True, False]
    mask = batch.tensors["attention_mask"]
    assert torch.equal(mask, expected["attention_mask"])
    assert torch.equal(batch.tensors["input_ids"] * mask, expected["input_ids"] * mask)
    assert torch.equal(batch.tensors["token_type_ids"], expected["token_type_ids"] * mask)
    assert batch.tensors["token_type_ids"].max() == 1


def test_texts_and_pairs_can_stand_in_one_batch():
    both = preprocessor(segments=True).encode(["good film", ("good", "bad")], None)
    alone = preprocessor(segments=True).encode([("good", "bad")], None)
    batch = both.batch(rows(2))
    for name, tensor in alone.batch(rows(1)).tensors.items():
        assert torch.equal(batch.tensors[name][1:, : tensor.shape[1]], tensor)


def test_cut_texts_are_told():
    encoded = preprocessor().encode(["good film", "good " * 18, "good " * 19], 20)
    assert encoded.cut == [False, False, True]
    assert encoded.lengths.tolist() == [4, 20, 20]


def test_without_a_limit_the_networks_own_holds():
    assert preprocessor().encode(["good " * 99], None).lengths.tolist() == [64]
    assert preprocessor().most == 64


def test_padding_is_on_the_right_and_masked():
    encoded = preprocessor().encode(["good film", "good"], None)
    batch = encoded.batch(np.array([1, 0]))
    assert batch.tensors["input_ids"][0].tolist() == [*encoded.ids[1].tolist(), PADDING_ID]
    assert batch.mask is batch.tensors["attention_mask"]
    assert batch.mask.tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]
    assert {tensor.dtype for tensor in batch.tensors.values()} == {torch.int64}
    assert batch.tensors.keys() == {"input_ids", "attention_mask"}


@pytest.mark.parametrize("segments", [False, True])
def test_a_skeleton_has_the_shapes_and_the_mask_of_its_batch(segments):
    encoded = preprocessor(segments=segments).encode(TEXTS, 20)
    batch, skeleton = encoded.batch(rows(5)), encoded.skeleton(rows(5))
    assert batch.mask is not None
    assert skeleton.mask is not None
    assert torch.equal(batch.mask, skeleton.mask)
    assert {name: tensor.shape for name, tensor in batch.tensors.items()} == {name: t.shape for name, t in skeleton.tensors.items()}


def test_limit_leaves_the_shared_tokenizer_alone():
    tokenizer = tiny_tokenizer()
    preprocessor(tokenizer).encode(["good"], 4)
    assert len(tokenizer("good " * 40)["input_ids"]) == 42


def test_threads_with_limits_of_their_own_do_not_meet():
    shared = preprocessor()
    with ThreadPoolExecutor(4) as threads:
        lengths = list(threads.map(lambda limit: int(shared.encode(["good " * 99] * 50, limit).lengths.max()), [8, 16, 32, 64] * 10))
    assert lengths == [8, 16, 32, 64] * 10


def tokenizer_with(pre_tokenizer) -> PreTrainedTokenizerFast:
    backend = Tokenizer(models.WordLevel({"[PAD]": 0, "a": 1, "[UNK]": 2}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizer
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]")


def test_text_without_a_token_becomes_one_padding_token():
    encoded = preprocessor(tokenizer_with(pre_tokenizers.Whitespace()), segments=True).encode(["  ", "a"], 8)
    assert [row.tolist() for row in encoded.ids] == [[0], [1]]
    assert encoded.batch(rows(2)).tensors["attention_mask"].tolist() == [[1], [1]]


def test_panic_of_a_tokenizer_is_a_fault_with_words(capfd):
    hostile = preprocessor(tokenizer_with(pre_tokenizers.Split(Regex("(a+)+$"), "isolated")))
    with pytest.raises(EngineFault) as fault:
        hostile.encode(["a" * 60 + "!"], 8)
    assert fault.value.code == "bad_data"
    assert type(fault.value.__cause__).__mro__[1] is BaseException
    capfd.readouterr()


def test_digest_depends_on_tokenizer_and_limit_alone():
    digest = preprocessor().digest(32)
    assert digest == preprocessor(files={**FILES, "model.safetensors": "3"}).digest(32)
    assert digest != preprocessor(files={**FILES, "tokenizer.json": "4"}).digest(32)
    assert digest != preprocessor().digest(16)
    assert preprocessor().digest(None) == preprocessor().digest(64)


def test_digest_is_what_stored_artifacts_and_caches_hold():
    # made by a release before this module: sha256 of {"max_tokens":128,"tokenizer":{"tokenizer.json":"1"}}
    assert preprocessor().digest(128) == "38fd3e416c3c4006092baaaf0736b6af3d3affac473aaea80546b50f3ac719cd"


def test_a_sample_has_tokens_that_are_no_padding():
    tokenizer = tiny_tokenizer()
    batch = preprocessor(tokenizer).sample(16, 2, seed=0)
    assert batch.tensors["input_ids"].shape == (2, 16)
    assert batch.tensors["input_ids"].min() >= len(tokenizer) // 2
    assert batch.tensors["input_ids"].max() < len(tokenizer)
    assert not torch.equal(batch.tensors["input_ids"], preprocessor(tokenizer).sample(16, 2, seed=1).tensors["input_ids"])
    assert batch.rows == 2
