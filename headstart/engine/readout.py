"""What heads read of a layer's output: one vector for each example, the vector of each word, or both from the same pass.

Axes: B batch, T tokens, D width, W words of all texts of a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from headstart.engine.inputs import Batch
from headstart.engine.pooling import Pool, pool_with
from headstart.specs.backbones import Layer
from headstart.specs.tasks import Reads

Read = dict[Reads, Tensor]
"""`example` [B, D] and `words` [W, D], whichever are read; float32."""
Vectors = dict[Reads, NDArray[np.float32]]
"""The same in memory."""


@dataclass(frozen=True, slots=True)
class Readout:
    """From the vectors of tokens to what is read.

    Attributes:
        pool: None: no head reads whole texts.
        words: whether a head reads words.
    """

    pool: Pool | None
    words: bool

    def __call__(self, hidden: Tensor, batch: Batch) -> Read:
        """Of a batch.

        Args:
            hidden: float32 [B, T, D].
            batch: on the same device.
        """
        read: Read = {}
        if self.pool is not None:
            read["example"] = self.pool(hidden, batch.mask)
        if self.words:
            read["words"] = word_vectors(hidden, batch)
        return read


def word_vectors(hidden: Tensor, batch: Batch) -> Tensor:
    """The vector of the token that begins each word, [W, D]; zeros for a word that no token begins."""
    assert batch.words is not None  # noqa: S101 - who reads words encodes texts whose words are told apart
    rows, tokens = batch.words.unbind(dim=1)
    return hidden[rows, tokens.clamp(min=0)].masked_fill((tokens < 0)[:, None], 0.0)


def readout_of(reads: Sequence[Reads], pooling: str, layer: Layer) -> Readout | None:
    """What heads that read these take from the layer's output; None where nobody reads words: then pooling alone is enough."""
    if "words" not in reads:
        return None
    return Readout(pool_with(pooling, layer) if "example" in reads else None, words=True)
