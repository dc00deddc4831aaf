"""Heads: what turns features into scores. A kind is one class here, with its size, and one entry in `engine.heads.HEADS`."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from headstart.specs.fields import Input

Dropout = Annotated[float, Field(ge=0, lt=1)]


class LinearHead(Input):
    has_loss: ClassVar[bool] = True
    type: Literal["linear"] = Field(default="linear", description="One matrix and one bias.")
    solver: Literal["lbfgs"] | None = Field(
        default="lbfgs", description="`lbfgs`: solved on cached features, no learning rate is needed; null: stepped with the rest."
    )
    dropout: Dropout = Field(default=0.0, description="Share of the features that a step leaves out; a solved head has none.")

    @property
    def stepped(self) -> bool:
        """Whether it learns by steps on features that stay as they are."""
        return self.solver is None

    def parameters(self, width: int, classes: int, rows: int) -> int:  # noqa: ARG002 - other heads need it
        """Numbers it keeps, for features so wide, so many classes and rows to train on."""
        return _of_layers([width, classes])


class MlpHead(Input):
    has_loss: ClassVar[bool] = True
    type: Literal["mlp"] = Field(description="Hidden layers with GELU between them.")
    hidden: list[Annotated[int, Field(ge=1, le=16_384)]] = Field(default=[256], min_length=1, max_length=8, description="Their widths.")
    solver: None = Field(default=None, description="Stepped; there is nothing to solve.")
    dropout: Dropout = Field(default=0.0, description="Share of the inputs of each layer that a step leaves out.")

    @property
    def stepped(self) -> bool:
        return True

    def parameters(self, width: int, classes: int, rows: int) -> int:  # noqa: ARG002
        return _of_layers([width, *self.hidden, classes])


class PrototypeHead(Input):
    """The class whose mean is nearest (Snell et al. 2017). Good with few rows of a class; nothing is trained."""

    has_loss: ClassVar[bool] = False
    type: Literal["prototype"] = Field(description="The mean of each class's features; the nearest by Euclidean distance wins.")
    solver: None = Field(default=None, description="Means are computed; there is nothing to solve.")

    @property
    def stepped(self) -> bool:
        return False

    def parameters(self, width: int, classes: int, rows: int) -> int:  # noqa: ARG002
        return _of_layers([width, classes])


class KnnHead(Input):
    """The votes of the nearest training rows. The head keeps the features of all of them, and so does the artifact."""

    has_loss: ClassVar[bool] = False
    type: Literal["knn"] = Field(description="The training rows nearest to a new one vote.")
    k: int = Field(default=5, ge=1, le=1_000, description="How many vote.")
    distance: Literal["cosine", "euclidean"] = Field(default="cosine", description="What near means.")
    solver: None = Field(default=None, description="Rows are kept; there is nothing to solve.")

    @property
    def stepped(self) -> bool:
        return False

    def parameters(self, width: int, classes: int, rows: int) -> int:
        return rows * (width + 1) + classes + 1


Head = Annotated[LinearHead | MlpHead | PrototypeHead | KnnHead, Field(discriminator="type")]


def _of_layers(sizes: Sequence[int]) -> int:
    """Weights and biases."""
    return sum((size + 1) * out for size, out in itertools.pairwise(sizes))
