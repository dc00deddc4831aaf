"""What training draws from: features that are there, or a suffix on what is fed at the boundary.

Axes: B batch, N rows, T tokens, D width, W words.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from headstart.engine.activations import Feeder
from headstart.engine.inputs import Batch
from headstart.engine.inputs.words import spread
from headstart.engine.optimizers import takes_tables
from headstart.engine.readout import Read, Readout
from headstart.engine.suffix import Suffix
from headstart.engine.vectors import ByNumber
from headstart.specs.jobs import Training

Rows = NDArray[np.int64]

_CPU = torch.device("cpu")


class Source(Protocol):
    """Where pooled vectors come from, and what of it learns."""

    @property
    def lengths(self) -> NDArray[np.int64]: ...

    @property
    def device(self) -> torch.device:
        """Where vectors come out, and where `parameters` are."""
        ...

    @property
    def alike(self) -> bool:
        """Whether rows that run together must have one length."""
        ...

    @property
    def parameters(self) -> dict[str, nn.Parameter]:
        """In float32, by name; those of `tables` have sparse gradients."""
        ...

    @property
    def tables(self) -> frozenset[str]: ...

    @property
    def words(self) -> Rows | None:
        """Words of each row, [N]; None: none are read."""
        ...

    @property
    def shared(self) -> list[Tensor]:
        """What learns and is in the graph of `embed`, without the tables: what tasks agree or differ about."""
        ...

    def embed(self, rows: Rows) -> Read:
        """What heads read of these rows, differentiable."""
        ...

    def mode(self, *, training: bool) -> None: ...

    def forget(self) -> None:
        """Before the passes of a step: drop gradients."""
        ...

    def collect(self) -> None:
        """After the passes of a step: bring the gradients to `parameters`."""
        ...

    def refresh(self) -> None:
        """After a change of `parameters`: bring them to where `embed` computes."""
        ...


@dataclass(frozen=True)
class PooledSource:
    """Features that are there, or computed when asked for: only the heads learn.

    Attributes:
        values: of whole examples; None: no head reads them.
        of_words: of the words of all rows in order, [W, D]; None: no head reads them.
    """

    values: ByNumber | None
    of_words: NDArray[np.float32] | None = None
    words: Rows | None = None
    parameters: dict[str, nn.Parameter] = field(default_factory=dict)
    tables: frozenset[str] = frozenset()
    alike: bool = False
    device: torch.device = _CPU

    @property
    def lengths(self) -> NDArray[np.int64]:
        known = self.words if self.values is None else self.values
        assert known is not None  # noqa: S101 - a head reads something
        return np.broadcast_to(np.int64(1), len(known))

    @property
    def shared(self) -> list[Tensor]:
        return []

    def embed(self, rows: Rows) -> Read:
        read: Read = {}
        if self.values is not None:
            read["example"] = torch.from_numpy(self.values[rows]).to(self.device)
        if self.of_words is not None and self.words is not None:
            read["words"] = torch.from_numpy(self.of_words[spread(self.words, rows)]).to(self.device)
        return read

    def for_training(self, _options: Training) -> PooledSource:
        return self

    def mode(self, *, training: bool) -> None:
        """Features have no dropout of their own."""

    def forget(self) -> None:
        """Nothing of them learns."""

    def collect(self) -> None:
        """Nothing of them learns."""

    def refresh(self) -> None:
        """Nothing of them learns."""


class NoSuffix:
    """g where nothing stands above the boundary: what is fed there is what heads read."""

    dtype = torch.float32
    reducible = False

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.parameters: dict[str, nn.Parameter] = {}
        self.tables: frozenset[str] = frozenset()
        self.computing: list[Tensor] = []

    def __call__(self, hidden: Tensor | None, batch: Batch) -> Tensor:  # noqa: ARG002 - `Suffix`
        assert hidden is not None  # noqa: S101 - there is a boundary
        return hidden.to(self.device)

    def train(self, *, on: bool) -> None:
        """It has no dropout."""

    def forget(self) -> None:
        """Nothing of it learns."""

    def collect(self) -> None:
        """Nothing of it learns."""

    def refresh(self) -> None:
        """Nothing of it learns."""


@dataclass(frozen=True)
class SuffixSource:
    """g on what is fed at the boundary, its products in `dtype`.

    Attributes:
        readout: what heads take from what the suffix gives; None: that is one vector for each example, which they read as it is.
    """

    suffix: Suffix | NoSuffix
    feeder: Feeder
    dtype: torch.dtype
    alike: bool
    readout: Readout | None = None
    words: Rows | None = None

    @property
    def lengths(self) -> NDArray[np.int64]:
        return self.feeder.encoded.lengths

    @property
    def device(self) -> torch.device:
        return self.suffix.device

    @property
    def parameters(self) -> dict[str, nn.Parameter]:
        return self.suffix.parameters

    @property
    def tables(self) -> frozenset[str]:
        return self.suffix.tables

    @property
    def shared(self) -> list[Tensor]:
        return self.suffix.computing

    def embed(self, rows: Rows) -> Read:
        hidden, batch = self.feeder(rows)
        # a suffix that runs in 16 bits throughout needs nobody to cast for it
        casts = self.dtype is not torch.float32 and self.suffix.dtype is torch.float32
        with torch.autocast(self.device.type, dtype=self.dtype if casts else None, enabled=casts):
            given = self.suffix(hidden, batch)
        return {"example": given} if self.readout is None else self.readout(given, batch.to(self.device))

    def for_training(self, options: Training) -> SuffixSource:
        """The source to train on, with the same parameters: in 16 bits throughout where that is asked for and can be."""
        if isinstance(self.suffix, NoSuffix):
            return self
        reduces = self.dtype is not torch.float32 and self.suffix.reducible
        suffix = self.suffix.reduced(self.dtype) if reduces else self.suffix
        if takes_tables(options, self.device):
            suffix.use_sparse_tables()
        return replace(self, suffix=suffix)

    def mode(self, *, training: bool) -> None:
        self.suffix.train(on=training)

    def forget(self) -> None:
        self.suffix.forget()

    def collect(self) -> None:
        self.suffix.collect()

    def refresh(self) -> None:
        self.suffix.refresh()
