"""Predictions of one adapted model over a shared backbone.

Axes: N inputs, D width, F numbers of extra columns, V vectors of inputs: one each, or one for each word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from headstart.engine.artifacts import Artifact, TaskEntry
from headstart.engine.backbones.loading import Backbone
from headstart.engine.backbones.merging import merged
from headstart.engine.examples import Example
from headstart.engine.extras import Cell, encode_extras
from headstart.engine.features import Parts, computed_parts, gathered
from headstart.engine.heads import HEADS
from headstart.engine.inputs.text import EncodedTexts
from headstart.engine.inputs.words import Sentence, sentence_of_text, sentence_of_words, spread
from headstart.engine.prefix import Prefix
from headstart.engine.readout import Readout, Vectors, readout_of
from headstart.engine.tasks import kind_of
from headstart.engine.tasks.tagged import OfWords, Words
from headstart.errors import BadInput, EngineFault, closest, invalid_field, listing, quote
from headstart.specs.plans import parted
from headstart.specs.predictions import Output, PredictedRow, PredictionWarning

Given = Mapping[str, str | bytes | Sequence[str] | Mapping[str, Cell]]
"""One input by the names of what the model reads; under `features` what else its heads read, by column."""


_NO_EXTRAS: Mapping[str, Sequence[Cell]] = {}


@dataclass(frozen=True, slots=True)
class Embedded:
    """Inputs after f: what every head of every model on the same prefix starts from."""

    read: Vectors
    """What heads read, [N, D] of whole inputs and [W, D] of their words."""
    words: Words | None
    """None where no head reads them."""
    units: NDArray[np.int64]
    """Tokens of each text; patches of an image or fiftieths of a second of sound, [N]."""
    truncated: list[bool]
    extras: Mapping[str, Sequence[Cell]]
    """What else the heads read, by column, of each input."""

    @property
    def features(self) -> NDArray[np.float32]:
        """Of whole inputs, [N, D]."""
        return self.read["example"]


class Predictor:
    """One artifact on one resident backbone; many predictors share the backbone, and one call's `embed` may serve several of them.

    The same inputs in the same call give the same bits, in any process with the same versions, device and thread count. An input may sit in
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
        self._preprocessor = backbone.preprocessor
        if manifest.preprocessing != self._preprocessor.digest(manifest.max_tokens):
            raise EngineFault("bad_data", "The artifact was made with other preprocessing.", "Register the backbone it was made from.")
        self.manifest = manifest
        self._heads = artifact.heads
        self._weights = whole.sha256
        layers = [backbone.anatomy.layer(name) for name in parted(manifest.output)]
        self._readout = readout_of([task.reads for task in manifest.tasks], manifest.pooling, layers[0])
        self._prefix = Prefix(whole.module, layers, manifest.pooling if self._readout is None else "none", manifest.dtype)

    @property
    def shares(self) -> tuple[str, ...]:
        """Predictors with the same value give the same `embed`, so that one pass of f can carry a batch that mixes their requests."""
        made = self.manifest
        read = "+".join(sorted({task.reads for task in made.tasks}))
        return (self._weights, made.output, made.pooling, read, made.dtype, str(made.max_tokens), str(made.batch_tokens))

    def predict(
        self, inputs: Sequence[Given], *, top_k: int | None = None, tasks: Sequence[str] | None = None
    ) -> tuple[list[PredictedRow], int]:
        """Answers in the order of `inputs`, and the tokens read in all (0 for images and sound).

        Args:
            inputs: each by the names of the model's inputs: any strings, empty and blank ones too, or encoded files; at least one. Beside
                them `features`, what else its heads read by column.
            top_k: how many scores to give of each task; None: all.
            tasks: which heads to run; None: all.

        Raises:
            BadInput: `invalid_field`, for a task or an input that the model does not have, an input that fits only some of the tasks, or a
                file that cannot be read.
            EngineFault: `bad_data`, when the tokenizer fails; `out_of_memory`; `diverged`.
        """
        entries, extras = self.select(tasks), self._extras(inputs)
        answered: list[list[PredictedRow]] = []
        tokens = 0
        for examples, reading in self._read_by(entries, inputs):
            try:
                embedded = self.embed(examples, extras)
            except EngineFault as fault:
                if fault.code == "bad_data":
                    self._name_the_bad(examples)
                raise
            tokens += int(embedded.units.sum()) if self._preprocessor.modality == "text" else 0
            answered.append(self.answer(embedded, reading, top_k))
        return answered[0] if len(answered) == 1 else _together(answered, entries), tokens

    def _read_by(self, tasks: Sequence[TaskEntry], inputs: Sequence[Given]) -> list[tuple[Sequence[Example], Sequence[TaskEntry]]]:
        """What the backbone takes of the inputs, and the tasks that read it; f runs once for all tasks that read the same."""
        if self._readout is not None:
            return [(_sentences(inputs, self.manifest.tasks[0].inputs), tasks)]
        readings = _readings(tasks)
        _check_inputs(inputs, readings)
        return [(_examples(inputs, names), reading) for names, reading in readings.items()]

    def _extras(self, inputs: Sequence[Given]) -> dict[str, list[Cell]]:
        """The other columns of the inputs; a column that an input lacks is missing there."""
        known = sorted({extra.column for task in self.manifest.tasks for extra in task.features})
        read: dict[str, list[Cell]] = {column: [None] * len(inputs) for column in known}
        for number, given in enumerate(inputs):
            features = given.get("features") or {}
            assert isinstance(features, Mapping)  # noqa: S101 - `Given`
            for column, value in features.items():
                if column not in read:
                    near = closest(column, known)
                    hint = f"Did you mean {quote(near[0])}?" if near else f"It reads: {listing(known)}." if known else "Leave features out."
                    message = f"The model reads no feature {quote(column)}."
                    raise invalid_field(f"/inputs/{number}/features", message, hint)
                read[column][number] = value
        return read

    def _name_the_bad(self, examples: Sequence[Example]) -> None:
        """Say which file could not be read; looked for only when one could not, so that none is decoded twice otherwise.

        Raises:
            BadInput: with the code that the file is refused by.
        """
        for number, example in enumerate(examples):
            try:
                self._preprocessor.encode([example], self.manifest.max_tokens).batch(np.zeros(1, np.int64))
            except EngineFault as fault:
                cause = fault.__cause__
                if isinstance(cause, BadInput):
                    raise invalid_field(f"/inputs/{number}", cause.message, cause.hint, code=cause.code) from fault

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

    def embed(self, examples: Sequence[Example], extras: Mapping[str, Sequence[Cell]] = _NO_EXTRAS) -> Embedded:
        """Run f; `extras` go along."""
        encoded = self._preprocessor.encode(examples, self.manifest.max_tokens)
        parts = computed_parts(self._prefix, encoded, np.arange(len(examples)), self.manifest.batch_tokens, alike=self._preprocessor.alike)
        if self._readout is None:
            return Embedded({"example": gathered(parts, len(examples))}, None, encoded.lengths, encoded.cut, extras)
        assert isinstance(encoded, EncodedTexts)  # noqa: S101 - words are those of texts
        sentences = [each for each in examples if isinstance(each, Sentence)]
        words = Words.of(sentences).with_seen(np.concatenate(encoded.beginnings or [np.zeros(0, np.int32)]) >= 0)
        return Embedded(self._read(parts, encoded, words, self._readout), words, encoded.lengths, encoded.cut, extras)

    def _read(self, parts: Parts, encoded: EncodedTexts, words: Words, readout: Readout) -> Vectors:
        """What heads take from the vectors of tokens, in the order of the inputs."""
        whole: Vectors = {}
        for rows, hidden in parts:
            for read, vectors in readout(torch.from_numpy(hidden), encoded.skeleton(rows)).items():
                places, count = (rows, len(encoded.ids)) if read == "example" else (spread(words.counts, rows), len(words.seen))
                whole.setdefault(read, np.empty((count, vectors.shape[1]), np.float32))[places] = vectors.numpy()
        return whole

    def answer(self, embedded: Embedded, tasks: Sequence[TaskEntry], top_k: int | None) -> list[PredictedRow]:
        """Run the heads; rows in the order of `embedded`."""
        by_task: dict[str, Sequence[Output]] = {}
        for task in tasks:
            read, words = embedded.read[task.reads], embedded.words if task.reads == "words" else None
            if task.features:
                beside = encode_extras(task.features, embedded.extras, len(embedded.units))
                read = np.hstack([read, beside if words is None else np.repeat(beside, words.counts, axis=0)])  # [V, D + F]
            logits = HEADS[task.head].logits(self._heads[task.name], read)
            given = logits if words is None else OfWords(logits, words)
            by_task[task.name] = kind_of(task.type, task.problem, task.scheme).decode(given, task.classes, top_k, task.scoring)
        most = self.manifest.max_tokens
        warning = PredictionWarning(
            code="truncated", message="Only its beginning was read." if most is None else f"Only the first {most} tokens were read."
        )
        return [
            PredictedRow.model_construct(
                outputs={name: answers[row] for name, answers in by_task.items()}, warnings=[warning] if cut else []
            )
            for row, cut in enumerate(embedded.truncated)
        ]


Readings = Mapping[tuple[str, ...], Sequence[TaskEntry]]
"""Tasks by the names of what they read."""


def _readings(tasks: Sequence[TaskEntry]) -> Readings:
    readings: dict[tuple[str, ...], list[TaskEntry]] = {}
    for task in tasks:
        readings.setdefault(tuple(task.inputs), []).append(task)
    return readings


def _check_inputs(inputs: Sequence[Given], readings: Readings) -> None:
    """See that each input holds just what the tasks read.

    Raises:
        BadInput: `invalid_field`, with the first input that does not.
    """
    wanted = list(dict.fromkeys(name for names in readings for name in names))
    for number, given in enumerate(inputs):
        there = [name for name in given if name != "features"]
        if set(there) == set(wanted):
            continue
        pointer, fits = f"/inputs/{number}", [task for names, tasks in readings.items() if set(names) == set(there) for task in tasks]
        if not fits:
            message = f"The model reads {listing(wanted)}, not {listing(there)}."
            raise invalid_field(pointer, message, f"Give each input with {listing(wanted)}.")
        reads = "; ".join(f"{listing([task.name for task in tasks])}: {listing(names)}" for names, tasks in readings.items())
        named = ", ".join(f'"{task.name}"' for task in fits)
        message = (
            f"The tasks read different inputs ({reads}), and one with {listing(there)} fits {listing([task.name for task in fits])} alone."
        )
        raise invalid_field(pointer, message, f"Set parameters.tasks to [{named}], or give {listing(wanted)}.")


def _examples(inputs: Sequence[Given], names: Sequence[str]) -> list[Example]:
    """What the backbone takes, of inputs by name."""
    examples: list[Any] = []  # a text, two, or a file
    for given in inputs:
        first, *second = (given[name] for name in names)
        examples.append((first, *second) if second else first)
    return examples


def _sentences(inputs: Sequence[Given], names: Sequence[str]) -> list[Sentence]:
    """Texts with their words, or the words that are given: a model whose heads read words takes both.

    Args:
        names: what is said to be read.

    Raises:
        BadInput: `invalid_field`, with the first input that is neither.
    """
    sentences = []
    for number, given in enumerate(inputs):
        there = [name for name in given if name != "features"]
        if there not in (["text"], ["tokens"]):
            message = f"The model reads {listing(names)}, not {listing(there)}."
            raise invalid_field(f"/inputs/{number}", message, f"Give each input with {listing(names)}.")
        text, words = given.get("text"), given.get("tokens")
        if isinstance(text, str):
            sentences.append(sentence_of_text(text))
        else:
            assert isinstance(words, Sequence)  # noqa: S101 - `Given`
            sentences.append(sentence_of_words([str(word) for word in words]))
    return sentences


def _together(answered: Sequence[Sequence[PredictedRow]], tasks: Sequence[TaskEntry]) -> list[PredictedRow]:
    """The answers to each input by tasks that read different parts of it, in the order of the tasks."""
    rows = []
    for parts in zip(*answered, strict=True):
        outputs = {name: output for part in parts for name, output in part.outputs.items()}
        warnings = {warning.code: warning for part in parts for warning in part.warnings}
        rows.append(PredictedRow.model_construct(outputs={task.name: outputs[task.name] for task in tasks}, warnings=[*warnings.values()]))
    return rows
