"""What the engine asks of a kind of head.

Axes: N rows, D width, C classes, K numbers that the head gives.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from headstart.engine.losses import Objective
from headstart.engine.vectors import InOrder, Keep, in_memory

HeadTensors = dict[str, NDArray[np.float32]]
"""A head's parameters by name, as an artifact keeps them."""


@dataclass(frozen=True, slots=True)
class LabelledRows:
    features: InOrder  # [N, D]
    targets: NDArray[Any]  # [N] or [N, C], as their task encodes them


@dataclass(frozen=True, slots=True)
class Given:
    """What a head is fitted to.

    Attributes:
        outputs: K.
        tick: called now and then, so that a long fit is seen to live.
        keep: where what is made of all rows may lie.
    """

    train: LabelledRows
    validation: LabelledRows
    outputs: int
    objective: Objective
    tick: Callable[[], None] = lambda: None
    keep: Keep = in_memory


@dataclass(frozen=True, slots=True)
class HeadKind:
    """A kind of head. The first argument of `fit` and `start` is its class in `specs.heads`.

    Attributes:
        logits: (tensors, features [N, D]) → float64 [N, K].
        fit: (head, given) → the tensors, at once, on features that stay as they are. None: it is only stepped.
        start: (head, width, outputs, generator) → tensors for `stepped.forward` to begin with. None: it is never stepped.
    """

    logits: Callable[[HeadTensors, NDArray[np.float32]], NDArray[np.float64]]
    fit: Callable[[Any, Given], HeadTensors] | None = None
    start: Callable[[Any, int, int, torch.Generator], HeadTensors] | None = None
