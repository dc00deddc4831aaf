"""Texts as token ids. An example is a text, a pair of texts, or a text whose words are told apart; its length is its tokens.

Axes: B batch, N texts, T tokens, W words.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from headstart.engine.inputs import Batch
from headstart.engine.inputs.words import Sentence, first_tokens
from headstart.errors import EngineFault
from headstart.specs.backbones import Modality, TextInput

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt", "vocab.json", "merges.txt")
"""Files of a backbone that decide how text becomes token ids."""

CHUNK = 4096
"""Texts tokenised at once: what the tokenizer gives for a text takes some thirty times the room of its ids."""

_BACKENDS: WeakKeyDictionary[PreTrainedTokenizerFast, dict[int, Tokenizer]] = WeakKeyDictionary()

Text = str | tuple[str, str] | Sentence


@dataclass(frozen=True, slots=True)
class EncodedTexts:
    """Token ids of each text, unpadded.

    Attributes:
        padding: the id that padding has; some models tell positions from it.
        segments: which of two texts each token is from; None where the network is not told.
        lengths: tokens of each text, [N].
        beginnings: of each text the token that begins each word, [W], −1 for none; None where no words are told apart.
    """

    padding: int
    ids: list[NDArray[np.int32]]
    segments: list[NDArray[np.int8]] | None
    lengths: NDArray[np.int64]
    cut: list[bool]
    beginnings: list[NDArray[np.int32]] | None = None

    def batch(self, rows: NDArray[np.int64]) -> Batch:
        mask = self._mask(rows)
        tensors = {"input_ids": _padded([self.ids[row] for row in rows], self.padding, mask), "attention_mask": mask}
        if self.segments is not None:
            tensors["token_type_ids"] = _padded([self.segments[row] for row in rows], 0, mask)
        return Batch(tensors, mask, self._words(rows))

    def skeleton(self, rows: NDArray[np.int64]) -> Batch:
        mask = self._mask(rows)
        nothing = torch.zeros_like(mask)
        tensors = {"input_ids": nothing, "attention_mask": mask}
        return Batch(tensors if self.segments is None else {**tensors, "token_type_ids": nothing}, mask, self._words(rows))

    def _words(self, rows: NDArray[np.int64]) -> Tensor | None:
        """int64 [W, 2]."""
        if self.beginnings is None:
            return None
        tokens = [self.beginnings[row] for row in rows]
        row_of_each = np.repeat(np.arange(len(rows)), [len(each) for each in tokens])
        return torch.from_numpy(np.stack([row_of_each, np.concatenate(tokens)], axis=1).astype(np.int64))

    def _mask(self, rows: NDArray[np.int64]) -> Tensor:
        """int64 [B, T], padding on the right."""
        lengths = torch.from_numpy(self.lengths[rows])
        return (torch.arange(int(lengths.max())) < lengths[:, None]).long()


class TextPreprocessor:
    """Token ids as the backbone's own tokenizer makes them, special tokens included.

    Args:
        tokenizer: a transformers fast tokenizer; it is not changed, so that threads can share it.
        files: sha256 of each file of the backbone.
    """

    modality: Modality = "text"
    alike = False

    def __init__(self, tokenizer: PreTrainedTokenizerFast, spec: TextInput, files: Mapping[str, str]) -> None:
        self._tokenizer, self._spec, self._files = tokenizer, spec, files
        self._padding = 0 if tokenizer.pad_token_id is None else int(tokenizer.pad_token_id)

    @property
    def most(self) -> int:
        return self._spec.max_tokens

    def digest(self, limit: int | None) -> str:
        content = {
            "tokenizer": {name: self._files[name] for name in TOKENIZER_FILES if name in self._files},
            "max_tokens": self._limit(limit),
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def encode(self, examples: Sequence[Text], limit: int | None) -> EncodedTexts:
        """Of a pair that is too long, the longer text is cut first.

        A text without any token (only spaces, for tokenizers that add none of their own) becomes one padding token, so that it has an answer.
        """
        backend = self._backend(self._limit(limit))
        ids, segments, cut, beginnings = list[NDArray[np.int32]](), list[NDArray[np.int8]](), list[bool](), list[NDArray[np.int32]]()
        for start in range(0, len(examples), CHUNK):
            chunk = examples[start : start + CHUNK]
            sentences = [each for each in chunk if isinstance(each, Sentence)]
            encoded = _encoded(backend, chunk, places=bool(sentences))
            for row in encoded:
                ids.append(np.array(row.ids or [self._padding], np.int32))
                cut.append(bool(row.overflowing))
                if self._spec.segments:
                    segments.append(np.array(row.type_ids or [0], np.int8))
            if sentences:
                beginnings += [
                    first_tokens(each.places, np.array(row.offsets, np.int32).reshape(-1, 2))
                    for each, row in zip(sentences, encoded, strict=True)
                ]
        lengths = np.fromiter(map(len, ids), np.int64, len(ids))
        return EncodedTexts(self._padding, ids, segments if self._spec.segments else None, lengths, cut, beginnings or None)

    def sample(self, length: int, rows: int, seed: int) -> Batch:
        """Ids from the upper half of the vocabulary, where no padding token lies (its positions would be skipped)."""
        vocabulary = self._spec.vocabulary
        ids = torch.randint(vocabulary // 2, vocabulary, (rows, length), generator=torch.Generator().manual_seed(seed))
        mask = torch.ones_like(ids)
        tensors = {"input_ids": ids, "attention_mask": mask}
        return Batch({**tensors, "token_type_ids": torch.zeros_like(ids)} if self._spec.segments else tensors, mask)

    def _limit(self, limit: int | None) -> int:
        return self._spec.max_tokens if limit is None else limit

    def _backend(self, max_tokens: int) -> Tokenizer:
        """A copy of the Rust tokenizer with this limit, made once: setting a limit on the shared one is a race between threads."""
        backends = _BACKENDS.setdefault(self._tokenizer, {})
        if max_tokens not in backends:
            copy = Tokenizer.from_str(self._tokenizer.backend_tokenizer.to_str())
            copy.no_padding()
            copy.enable_truncation(max_tokens, strategy="longest_first", direction=self._tokenizer.truncation_side)
            backends[max_tokens] = copy
        return backends[max_tokens]


def _encoded(backend: Tokenizer, texts: Sequence[Text], *, places: bool) -> list[Encoding]:
    """What the tokenizer makes of some texts; `places`: where in the text each token lies, too.

    Raises:
        EngineFault: `bad_data`.
    """
    plain = [each.text if isinstance(each, Sentence) else each for each in texts]
    try:
        encoded: list[Encoding] = backend.encode_batch(plain) if places else backend.encode_batch_fast(plain)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as fault:  # a panic below Python is no `Exception`; it must not end the thread or the process
        raise EngineFault("bad_data", "The backbone's tokenizer failed on one of the texts.", "Leave out unusual texts.") from fault
    return encoded


def _padded(rows: Sequence[NDArray[np.int32] | NDArray[np.int8]], padding: int, mask: Tensor) -> Tensor:
    """int64 [B, T]."""
    made = torch.full_like(mask, padding)
    for number, row in enumerate(rows):
        made[number, : len(row)] = torch.from_numpy(row)
    return made
