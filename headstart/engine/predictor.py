"""Predictions of one adapted model over a shared backbone.

Axes: N texts, D width, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from headstart.engine.artifacts import Artifact, TaskEntry
from headstart.engine.backbones.loading import Backbone
from headstart.engine.backbones.merging import merged
from headstart.engine.batches import pad_id, preprocessing_digest, tokenise
from headstart.engine.features import run_batches
from headstart.engine.heads import HEADS
from headstart.engine.prefix import Prefix
from headstart.engine.tasks import TASKS
from headstart.errors import BadInput, EngineFault, closest, listing, quote
from headstart.specs.predictions import Classification, PredictedRow, PredictionWarning


@dataclass(frozen=True, slots=True)
class Embedded:
    """Texts after f: what every head of every model on the same prefix starts from."""

    features: NDArray[np.float32]  # [N, D]
    tokens: NDArray[np.int64]
    """Tokens of each text, [N]."""
    truncated: list[bool]


class Predictor:
    """One artifact on one resident backbone; many predictors share the backbone, and one call's `embed` may serve several of them.

    The same texts in the same call give the same bits, in any process with the same versions, device and thread count. A text may sit in
    different company from call to call; products of another shape round differently, so that its scores can then differ in the last
    digits: about 1e-6 in float32, 1e-3 in 16 bits.

    Args:
        backbone: as it was registered.
        artifact: the model's own.
        parents: the artifacts it stands on, oldest first.

    Raises:
        EngineFault: `bad_data`, when the artifact was made from another backbone, other parents or other preprocessing.
    """

    def __init__(self, backbone: Backbone, artifact: Artifact, parents: Sequence[Artifact] = ()) -> None:
        manifest = artifact.manifest
        whole = merged(backbone, [*parents, artifact])
        if manifest.preprocessing != preprocessing_digest(backbone.anatomy.files, manifest.max_tokens):
            raise EngineFault("bad_data", "The artifact was made with another tokenizer.", "Register the backbone it was made from.")
        self.manifest = manifest
        self._heads = artifact.heads
        self._tokenizer = backbone.tokenizer
        self._weights = whole.sha256
        self._prefix = Prefix(whole.module, manifest.output, manifest.pooling, manifest.dtype)

    @property
    def shares(self) -> tuple[str, ...]:
        """Predictors with the same value give the same `embed`, so that one pass of f can carry a batch that mixes their requests."""
        made = self.manifest
        return (self._weights, made.output, made.pooling, made.dtype, str(made.max_tokens), str(made.batch_tokens))

    def predict(
        self, texts: Sequence[str], *, top_k: int | None = None, tasks: Sequence[str] | None = None
    ) -> tuple[list[PredictedRow], int]:
        """Answers in the order of `texts`, and the tokens read in all.

        Args:
            texts: any strings, empty and blank ones too; at least one.
            top_k: how many scores to give of each task; None: all.
            tasks: which heads to run; None: all.

        Raises:
            BadInput: `invalid_field`, for a task the model does not have.
            EngineFault: `bad_data`, when the tokenizer fails; `out_of_memory`; `diverged`.
        """
        entries = self.select(tasks)
        embedded = self.embed(texts)
        return self.answer(embedded, entries, top_k), int(embedded.tokens.sum())

    def select(self, tasks: Sequence[str] | None) -> list[TaskEntry]:
        """The tasks of these names, in the model's order.

        Raises:
            BadInput: `invalid_field`.
        """
        known = [task.name for task in self.manifest.tasks]
        for name in tasks or ():
            if name not in known:
                near = closest(name, known)
                hint = f"Did you mean {quote(near[0])}?" if near else f"Tasks are: {listing(known)}."
                raise BadInput("invalid_field", f"The model has no task {quote(name)}.", hint)
        return [task for task in self.manifest.tasks if tasks is None or task.name in tasks]

    def embed(self, texts: Sequence[str]) -> Embedded:
        """Run f."""
        tokens = tokenise(self._tokenizer, texts, self.manifest.max_tokens)
        features = run_batches(self._prefix, tokens, pad_id(self._tokenizer), self.manifest.batch_tokens)
        return Embedded(features, tokens.lengths, tokens.truncated)

    def answer(self, embedded: Embedded, tasks: Sequence[TaskEntry], top_k: int | None) -> list[PredictedRow]:
        """Run the heads; rows in the order of `embedded`."""
        by_task: dict[str, list[Classification]] = {}
        for task in tasks:
            logits = HEADS[task.head].logits(self._heads[task.name], embedded.features)
            by_task[task.name] = TASKS[task.type].decode(logits, task.classes, top_k)
        warning = PredictionWarning(code="truncated", message=f"Only the first {self.manifest.max_tokens} tokens were read.")
        return [
            PredictedRow.model_construct(
                outputs={name: answers[row] for name, answers in by_task.items()}, warnings=[warning] if cut else []
            )
            for row, cut in enumerate(embedded.truncated)
        ]
