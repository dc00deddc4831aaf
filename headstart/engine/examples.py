"""Raw examples of a table's rows: what one row gives to the backbone, read when it is asked for, and its digest."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headstart.engine.inputs.words import Sentence


@dataclass(frozen=True, slots=True)
class Varied:
    """An encoded image, and what chance makes of it.

    Attributes:
        key: 32 bytes that say which image, transforms, seed and view these are.
    """

    content: bytes
    key: bytes
    alter: Callable[[Image.Image, bytes], Image.Image]

    def altered(self, image: Image.Image) -> Image.Image:
        """`image`, which is `content` decoded, as this view shows it."""
        return self.alter(image, self.key)


Example = str | tuple[str, str] | Sentence | bytes | Varied
"""A text, a pair of texts, a text whose words are told apart, an encoded image or recording, or an image that chance has changed."""


class Picked(Sequence[Any]):
    """Some of a sequence's items, in an order of their own, without a copy."""

    def __init__(self, items: Sequence[Any], rows: Sequence[int] | NDArray[np.int64]) -> None:
        self._items, self._rows = items, rows

    @overload
    def __getitem__(self, index: int) -> Any: ...  # noqa: ANN401 - what the sequence holds
    @overload
    def __getitem__(self, index: slice) -> Picked: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return Picked(self._items, self._rows[index])
        return self._items[int(self._rows[index])]

    def __len__(self) -> int:
        return len(self._rows)


class Paired(Sequence[Any]):
    """Two sequences side by side."""

    def __init__(self, left: Sequence[Any], right: Sequence[Any]) -> None:
        self._left, self._right = left, right

    @overload
    def __getitem__(self, index: int) -> Any: ...  # noqa: ANN401 - what the sequences hold
    @overload
    def __getitem__(self, index: slice) -> Paired: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return Paired(self._left[index], self._right[index])
        return self._left[index], self._right[index]

    def __len__(self) -> int:
        return len(self._left)


class Chained(Sequence[Any]):
    """Sequences one after another, without a copy."""

    def __init__(self, parts: Sequence[Sequence[Any]]) -> None:
        self._parts, self._ends = parts, list(accumulate(map(len, parts)))

    @overload
    def __getitem__(self, index: int) -> Any: ...  # noqa: ANN401 - what the sequences hold
    @overload
    def __getitem__(self, index: slice) -> Picked: ...
    def __getitem__(self, index: int | slice) -> Any:
        if isinstance(index, slice):
            return Picked(self, range(*index.indices(len(self))))
        if not 0 <= index < len(self):
            raise IndexError(index)
        number = bisect_right(self._ends, index)
        part = self._parts[number]
        return part[index - self._ends[number] + len(part)]

    def __len__(self) -> int:
        return self._ends[-1]


def digest(example: Example) -> bytes:
    """sha256 of an example's kind and content."""
    if isinstance(example, Varied):
        return example.key
    if isinstance(example, bytes):
        return hashlib.sha256(b"file\0" + example).digest()
    if isinstance(example, Sentence):
        return digest(example.text)  # where its words lie changes nothing of what the backbone gives
    if isinstance(example, str):
        return hashlib.sha256(b"text\0" + example.encode()).digest()
    first, second = (each.encode() for each in example)
    return hashlib.sha256(b"pair\0" + len(first).to_bytes(8, "big") + first + second).digest()


def digests(examples: Sequence[Example]) -> NDArray[np.uint8]:
    """`digest` of each, [N, 32]."""
    return np.frombuffer(b"".join(map(digest, examples)), np.uint8).reshape(-1, 32)
