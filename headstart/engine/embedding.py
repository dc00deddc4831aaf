"""What a source gives for many rows, in eval mode, each row once.

Axes: B batch, D width, N rows.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from headstart.engine.batches import parts_of
from headstart.engine.group import group_now
from headstart.engine.inputs.words import spread
from headstart.engine.sources import Rows, Source
from headstart.specs.tasks import Reads

Through = Callable[[Reads, NDArray[np.float32], Rows], NDArray[Any]]
"""What is made of the vectors [V, D] of some rows, one by one."""


def embed_all(
    source: Source, rows: Rows, batch_tokens: int, through: Through = lambda _reads, vectors, _rows: vectors
) -> dict[Reads, NDArray[Any]]:
    """What heads read of these rows, [V, D] in their order, in eval mode; or what `through` makes of it. Each row runs in one process."""
    group = group_now()
    if group.size == 1 or len(rows) < group.size:
        return _embedded(source, rows, batch_tokens, through)
    places = group.share(np.arange(len(rows)))
    own = _embedded(source, rows[places], batch_tokens, through)
    return {read: group.united(values, *_places(source, read, rows, places)) for read, values in own.items()}


def _embedded(source: Source, rows: Rows, batch_tokens: int, through: Through) -> dict[Reads, NDArray[Any]]:
    if not len(rows):
        return {read: values[:0] for read, values in _embedded(source, np.zeros(1, np.int64), batch_tokens, through).items()}
    source.mode(training=False)
    lengths = source.lengths
    order, done = np.argsort(-lengths[rows], kind="stable"), 0
    whole: dict[Reads, NDArray[Any]] = {}
    with torch.no_grad():
        for part in parts_of(rows[order], lengths, batch_tokens, len(rows), alike=source.alike):
            for read, vectors in source.embed(part).items():
                made = through(read, vectors.float().cpu().numpy(), part)
                places, count = _places(source, read, rows, order[done : done + len(part)])
                whole.setdefault(read, np.empty((count, *made.shape[1:]), made.dtype))[places] = made
            done += len(part)
    return whole


def _places(source: Source, read: Reads, rows: Rows, part: Rows) -> tuple[Rows, int]:
    """Where the vectors of a part of `rows` (places in it) stand among those of all of them, and how many those are."""
    if read == "example" or source.words is None:
        return part, len(rows)
    words = source.words[rows]
    return spread(words, part), int(words.sum())
