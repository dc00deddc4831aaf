"""What training draws from: pooled features that are there, or a suffix on what is fed at the boundary.

Axes: B batch, T tokens, D width.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from headstart.engine.activations import Feeder
from headstart.engine.optimizers import takes_tables
from headstart.engine.suffix import Suffix
from headstart.specs.jobs import Training

Rows = NDArray[np.int64]

_CPU = torch.device("cpu")


class Vectors(Protocol):
    """Pooled features by row number: an array [N, D], or what computes them."""

    def __getitem__(self, rows: Rows) -> NDArray[np.float32]: ...
    def __len__(self) -> int: ...


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
    def shared(self) -> list[Tensor]:
        """What learns and is in the graph of `embed`, without the tables: what tasks agree or differ about."""
        ...

    def embed(self, rows: Rows) -> Tensor:
        """[B, D], differentiable."""
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
    """Features that are there, or computed when asked for: only the head learns."""

    values: Vectors
    parameters: dict[str, nn.Parameter] = field(default_factory=dict)
    tables: frozenset[str] = frozenset()
    alike: bool = False
    device: torch.device = _CPU

    @property
    def lengths(self) -> NDArray[np.int64]:
        return np.broadcast_to(np.int64(1), len(self.values))

    @property
    def shared(self) -> list[Tensor]:
        return []

    def embed(self, rows: Rows) -> Tensor:
        return torch.from_numpy(self.values[rows]).to(self.device)

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


@dataclass(frozen=True)
class SuffixSource:
    """g on what is fed at the boundary, its products in `dtype`."""

    suffix: Suffix
    feeder: Feeder
    dtype: torch.dtype
    alike: bool

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

    def embed(self, rows: Rows) -> Tensor:
        hidden, batch = self.feeder(rows)
        # a suffix that runs in 16 bits throughout needs nobody to cast for it
        casts = self.dtype is not torch.float32 and self.suffix.dtype is torch.float32
        with torch.autocast(self.device.type, dtype=self.dtype if casts else None, enabled=casts):
            return self.suffix(hidden, batch)

    def for_training(self, options: Training) -> SuffixSource:
        """The source to train on, with the same parameters: in 16 bits throughout where that is asked for and can be."""
        reduces = self.dtype is not torch.float32 and self.suffix.reducible
        suffix = self.suffix.reduced(self.dtype) if reduces else self.suffix
        if takes_tables(options, self.device):
            suffix.use_sparse_tables()
        return SuffixSource(suffix, self.feeder, self.dtype, self.alike)

    def mode(self, *, training: bool) -> None:
        self.suffix.train(on=training)

    def forget(self) -> None:
        self.suffix.forget()

    def collect(self) -> None:
        self.suffix.collect()

    def refresh(self) -> None:
        self.suffix.refresh()
