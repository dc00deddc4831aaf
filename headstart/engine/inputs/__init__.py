"""From raw examples of a modality to batches of a backbone: one preprocessor for each modality, all used alike.

Axes: B batch, T tokens, W words. An example's length is counted in units by which a batch is filled: each modality's file says what its unit is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from headstart.specs.backbones import Modality


@dataclass(frozen=True, slots=True)
class Batch:
    """Inputs of one forward pass.

    Attributes:
        tensors: by the module's keywords; each begins with B.
        mask: int64 [B, T], 1 where a token is; None where every row has one size.
        words: int64 [W, 2], of the words of all rows in order: which row of the batch, and which token there begins it, −1 for none. None: no
            words are told apart.
    """

    tensors: dict[str, Tensor]
    mask: Tensor | None
    words: Tensor | None = None

    @property
    def rows(self) -> int:
        return len(next(iter(self.tensors.values())))

    def to(self, device: torch.device | str) -> Batch:
        tensors = {name: tensor.to(device) for name, tensor in self.tensors.items()}
        return Batch(tensors, *(None if each is None else each.to(device) for each in (self.mask, self.words)))


class Encoded(Protocol):
    """Examples made ready, not yet batched."""

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Units of each example, [N]."""

    @property
    def cut(self) -> list[bool]:
        """Whether the end of each example was left away."""

    def batch(self, rows: NDArray[np.int64]) -> Batch:
        """These examples, in this order.

        Raises:
            EngineFault: `bad_data`, when one of them cannot be read.
        """

    def skeleton(self, rows: NDArray[np.int64]) -> Batch:
        """A batch of the same shapes and mask with nothing in it: for a module whose lower layers are replaced. No example is read."""


class Preprocessor(Protocol):
    """How raw examples become batches. What a network answers to an example never depends on its company in a batch, beyond rounding."""

    @property
    def modality(self) -> Modality: ...

    @property
    def alike(self) -> bool:
        """Whether the rows of one batch must have one length."""

    @property
    def most(self) -> int | None:
        """The most units that an example may have; None: all examples have one size."""

    def digest(self, limit: int | None) -> str:
        """sha256 over all that decides how raw examples become tensors.

        Args:
            limit: the most units of an example, as in `encode`.
        """

    def encode(self, examples: Sequence[Any], limit: int | None) -> Encoded:
        """Make examples ready.

        Args:
            limit: the most units of an example; what goes beyond is cut off. None: as much as the network takes.

        Raises:
            EngineFault: `bad_data`, when one of them cannot be read.
        """

    def sample(self, length: int, rows: int, seed: int) -> Batch:
        """A random batch that the network could meet, each row `length` units long, for probes of the network."""


def ahead(encoded: Encoded, batches: Sequence[NDArray[np.int64]]) -> Iterator[Batch]:
    """The batch of each list of rows, in order; while the caller computes with one, the next is made in a thread.

    A caller that stops early closes the generator: the batch in the making is waited for and dropped.
    """
    if len(batches) <= 1:  # nothing to make ahead, and a single prediction need not wait for a thread
        yield from map(encoded.batch, batches)
        return
    with ThreadPoolExecutor(1, "batches") as thread:
        made = thread.submit(encoded.batch, batches[0])
        for following in batches[1:]:
            batch = made.result()
            made = thread.submit(encoded.batch, following)
            yield batch
        yield made.result()
