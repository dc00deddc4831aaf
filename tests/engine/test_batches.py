"""Every row runs once, within the budget; texts become the same tokens that transformers makes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from headstart.engine.batches import collate, plan_batches, preprocessing_digest, tokenise
from headstart.errors import EngineFault

lengths = st.lists(st.integers(1, 600), max_size=200).map(lambda values: np.array(values, dtype=np.int64))


@given(lengths, st.integers(1, 2000))
def test_every_row_is_in_exactly_one_batch(values, budget):
    batches = plan_batches(values, budget)
    assert sorted(row for batch in batches for row in batch) == list(range(len(values)))


@given(lengths, st.integers(1, 2000))
def test_padded_batch_keeps_the_budget_unless_it_is_one_long_row(values, budget):
    for batch in plan_batches(values, budget):
        assert len(batch) * values[batch].max() <= budget or len(batch) == 1


@given(lengths, st.integers(1, 2000))
def test_batches_go_from_long_to_short(values, budget):
    flat = [int(values[row]) for batch in plan_batches(values, budget) for row in batch]
    assert flat == sorted(flat, reverse=True)


def test_tokens_are_those_of_transformers(tiny):
    texts = ["Good film!", "", "   ", "the plot was very dull " * 30, "😀 naïve"]
    expected = tiny.tokenizer(texts, truncation=True, max_length=20)["input_ids"]
    assert [row.tolist() for row in tokenise(tiny.tokenizer, texts, 20).ids] == expected


def test_cut_texts_are_told(tiny):
    tokens = tokenise(tiny.tokenizer, ["good film", "good " * 18, "good " * 19], 20)
    assert tokens.truncated == [False, False, True]
    assert list(tokens.lengths) == [4, 20, 20]


def test_limit_leaves_the_shared_tokenizer_alone(tiny):
    tokenise(tiny.tokenizer, ["good"], 4)
    assert len(tiny.tokenizer("good " * 40)["input_ids"]) == 42


def tokenizer_with(pre_tokenizer) -> PreTrainedTokenizerFast:
    backend = Tokenizer(models.WordLevel({"[PAD]": 0, "a": 1, "[UNK]": 2}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizer
    return PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]")


def test_text_without_a_token_becomes_one_padding_token():
    assert [row.tolist() for row in tokenise(tokenizer_with(pre_tokenizers.Whitespace()), ["  ", "a"], 8).ids] == [[0], [1]]


def test_panic_of_a_tokenizer_is_a_fault_with_words(capfd):
    hostile = tokenizer_with(pre_tokenizers.Split(Regex("(a+)+$"), "isolated"))
    with pytest.raises(EngineFault) as fault:
        tokenise(hostile, ["a" * 60 + "!"], 8)
    assert fault.value.code == "bad_data"
    assert type(fault.value.__cause__).__mro__[1] is BaseException
    capfd.readouterr()


def test_padding_is_on_the_right_and_masked():
    batch = collate([np.array(row, np.int32) for row in ([5, 6, 7], [8])], padding=1)
    assert batch["input_ids"].tolist() == [[5, 6, 7], [8, 1, 1]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]


def test_preprocessing_digest_depends_on_tokenizer_and_limit_alone():
    files = {"tokenizer.json": "1", "model.safetensors": "2"}
    digest = preprocessing_digest(files, 128)
    assert digest == preprocessing_digest({**files, "model.safetensors": "3"}, 128)
    assert digest != preprocessing_digest({**files, "tokenizer.json": "4"}, 128)
    assert digest != preprocessing_digest(files, 64)
