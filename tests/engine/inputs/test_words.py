"""Which token begins each word: for any words, in every kind of tokenizer, and by a second, slower way to find it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from headstart.engine.inputs.text import EncodedTexts, TextPreprocessor
from headstart.engine.inputs.words import Sentence, first_tokens, sentence_of_text, sentence_of_words, spread
from headstart.specs.backbones import TextInput
from tests.engine.tiny import tiny_tokenizer

ODD = [
    "",
    " ",
    "\u200b",
    "\x00",
    "\u0301",
    "e\u0301",
    "\U0001f600",
    "\U0001f469\u200d\U0001f680",
    "我",
    "喜欢",
    "don't",
    "good",
    "ß",
    "ﬁ",
    "[SEP]",
]
WORDS = st.lists(st.one_of(st.sampled_from(ODD), st.text(max_size=6)), max_size=12)
CORPUS = ["the film was good and the book was bad", "我 喜欢 看 书", "e\u0301 \U0001f600 don't"]


def _byte_level() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=["<pad>"])
    tokenizer.train_from_iterator(CORPUS, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>")


def _metaspace() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.train_from_iterator(CORPUS, trainers.UnigramTrainer(vocab_size=60, special_tokens=["<unk>", "<pad>"], unk_token="<unk>"))
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>")


PREPROCESSORS = {
    name: TextPreprocessor(tokenizer, TextInput(vocabulary=len(tokenizer), max_tokens=4096, segments=False), {"tokenizer.json": name})
    for name, tokenizer in {"wordpiece": tiny_tokenizer(), "byte level": _byte_level(), "metaspace": _metaspace()}.items()
}


def beginnings(kind: str, sentence: Sentence, limit: int | None = None) -> list[int]:
    encoded = PREPROCESSORS[kind].encode([sentence], limit)
    assert isinstance(encoded, EncodedTexts)
    assert encoded.beginnings is not None
    found: list[int] = encoded.beginnings[0].tolist()
    return found


def slowly(kind: str, sentence: Sentence) -> list[int]:
    """Of each word the first token that shares a character with it, by looking at all of them."""
    backend = PREPROCESSORS[kind]._backend(4096)
    (encoded,) = backend.encode_batch([sentence.text])
    found = []
    for start, end in sentence.places.tolist():
        shared = [number for number, (first, last) in enumerate(encoded.offsets) if max(first, start) < min(last, end)]
        found.append(shared[0] if shared else -1)
    return found


@pytest.mark.parametrize("kind", PREPROCESSORS)
@given(words=WORDS)
@settings(max_examples=80, deadline=None)
def test_each_word_begins_with_the_first_token_that_shares_a_character_with_it(kind: str, words: list[str]):
    sentence = sentence_of_words(words)
    assert sentence.words == words
    assert beginnings(kind, sentence) == slowly(kind, sentence)


@given(words=WORDS)
@settings(max_examples=80, deadline=None)
def test_words_given_one_by_one_are_tokenised_as_transformers_does(words: list[str]):
    """Where each word by itself has tokens, its first is the one that `is_split_into_words` gives it."""
    tokenizer = tiny_tokenizer()
    sentence = sentence_of_words(words)
    theirs = tokenizer(words, is_split_into_words=True)
    ours = beginnings("wordpiece", sentence)
    (ids,) = PREPROCESSORS["wordpiece"].encode([sentence], None).ids
    for place, first in enumerate(ours):
        by_them = [number for number, word in enumerate(theirs.word_ids()) if word == place]
        # a mark at the beginning of a word is joined to nothing in either way; what a word gives alone, it gives here
        if by_them and first >= 0:
            assert theirs["input_ids"][by_them[0]] == ids[first]
        if not by_them:
            assert first == -1


@given(text=st.text(max_size=60))
@settings(max_examples=200, deadline=None)
def test_words_of_a_text_are_all_of_it_but_the_space(text: str):
    sentence = sentence_of_text(text)
    places = sentence.places.tolist()
    assert all(start < end for start, end in places)
    assert all(before[1] <= after[0] for before, after in pairwise(places))
    assert "".join(sentence.words) == "".join(character for character in text if not character.isspace())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Bo lives in Oslo, don't he?", ["Bo", "lives", "in", "Oslo", ",", "don", "'", "t", "he", "?"]),
        ("我喜欢abc中文", ["我", "喜", "欢", "abc", "中", "文"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("nai\u0308ve 3.5", ["nai\u0308ve", "3", ".", "5"]),
        ("\U00020000\U00020001 \U0001d4b3y", ["\U00020000", "\U00020001", "\U0001d4b3y"]),
    ],
)
def test_words_of_scripts_with_and_without_spaces(text: str, words: list[str]):
    assert sentence_of_text(text).words == words


def test_words_beyond_the_limit_have_no_token():
    sentence = sentence_of_words(["good"] * 10)
    assert beginnings("wordpiece", sentence, 6) == [1, 2, 3, 4, -1, -1, -1, -1, -1, -1]


def test_no_tokens_and_no_words_are_taken():
    nothing = np.empty((0, 2), np.int32)
    assert first_tokens(nothing, nothing).tolist() == []
    assert first_tokens(np.array([[0, 2]], np.int32), nothing).tolist() == [-1]
    assert first_tokens(np.array([[0, 2]], np.int32), np.zeros((3, 2), np.int32)).tolist() == [-1]


def test_words_of_rows_are_counted_through():
    assert spread(np.array([2, 0, 3, 1]), np.array([3, 0, 1, 2])).tolist() == [5, 0, 1, 2, 3, 4]
    assert spread(np.array([2, 0]), np.array([], np.int64)).tolist() == []
