"""Artifacts: what a job leaves behind. Only what changed: heads, the delta and a manifest, no weight that the backbone has already.

    manifest.json       canonical JSON; `sha256` in it is over the rest of it, and it holds size and sha256 of every other file
    heads.safetensors   `<task>/weight` [K, D], `<task>/bias` [K], float32; `<task>/0.weight` and so on with hidden layers
    delta.safetensors   new values of the backbone's parameters that learnt, or of its adapters' (the manifest says which), by their names,
                        float32; only when there are any
    model_card.md       for people

A folder is checked whole before any of it is used: a changed, missing or added file is refused.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load, save

from headstart.engine.evaluation.scoring import Scoring
from headstart.engine.extras import FittedExtra
from headstart.engine.heads import HeadTensors
from headstart.errors import EngineFault
from headstart.specs.plans import Adapter
from headstart.specs.tasks import Reads, Scheme

FORMAT = 1
MANIFEST = "manifest.json"
HEADS_FILE = "heads.safetensors"
DELTA_FILE = "delta.safetensors"
CARD = "model_card.md"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class BackboneRef(_Part):
    name: str
    sha256: str


class ParentRef(_Part):
    """The artifact that this one stands on: its manifest's digest, which covers its files and its own parent."""

    model: str
    sha256: str


class TaskEntry(_Part):
    name: str
    type: str
    problem: str
    scheme: Scheme | None = Field(default=None, description="Where words are tagged: what the tags mean.")
    inputs: list[str]
    features: list[FittedExtra] = Field(default=[], description="What its head reads beside the backbone's vectors.")
    classes: list[str]
    head: str = Field(description="The kind of head, a name in `engine.heads.HEADS`.")
    temperature: float | None = Field(default=None, description="What its logits are divided by; null: nothing.")
    thresholds: list[float] | None = Field(default=None, description="Multi-label: the score from which on each class is given; null: ½.")

    @property
    def scoring(self) -> Scoring:
        """How its logits become answers."""
        return Scoring(self.temperature, None if self.thresholds is None else tuple(self.thresholds))

    @property
    def reads(self) -> Reads:
        """Whose vectors its head reads."""
        return "example" if self.scheme is None else "words"


class FileEntry(_Part):
    bytes: int
    sha256: str


class Manifest(_Part):
    """How to rebuild the model: y = h(g(f(x))) with f up to `boundary`, g from there to `output` with the delta, and the heads."""

    format: Literal[1]
    method: str
    backbone: BackboneRef
    parent: ParentRef | None = Field(default=None, description="The model whose delta the backbone starts with.")
    adapter: Adapter | None = Field(default=None, description="What the tensors of the delta are; null: new values of parameters.")
    boundary: str
    output: str = Field(description="The layers whose outputs are pooled, joined by `+`.")
    pooling: str
    dtype: Literal["float32", "bfloat16", "float16"]
    max_tokens: int | None = Field(description="The most units of an example; null: as much as the backbone takes.")
    batch_tokens: int
    preprocessing: str = Field(description="Digest of all that decides how raw examples become tensors.")
    tasks: list[TaskEntry]
    versions: dict[str, str]
    created_at: str
    files: dict[str, FileEntry]


@dataclass(frozen=True, slots=True)
class Artifact:
    """A checked artifact in memory."""

    manifest: Manifest
    sha256: str
    """Of the manifest, and so of everything."""
    heads: dict[str, HeadTensors]
    """By task."""
    delta: HeadTensors
    """By parameter name; empty when nothing of the backbone changed."""


def write_artifact(folder: Path, manifest: Manifest, heads: dict[str, HeadTensors], delta: HeadTensors, card: str) -> int:
    """Write an artifact into the empty `folder`; the caller makes the folder visible in one step.

    Args:
        manifest: its `files` is filled in here.

    Returns:
        Bytes of all files.
    """
    tensors = {f"{task}/{name}": np.ascontiguousarray(tensor) for task, head in heads.items() for name, tensor in head.items()}
    contents = {HEADS_FILE: save(tensors), CARD: card.encode()}
    if delta:
        contents[DELTA_FILE] = save({name: np.ascontiguousarray(value) for name, value in delta.items()})
    entries = {name: FileEntry(bytes=len(content), sha256=hashlib.sha256(content).hexdigest()) for name, content in contents.items()}
    contents[MANIFEST] = _sealed(manifest.model_copy(update={"files": entries}).model_dump(mode="json"))
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return sum(map(len, contents.values()))


def load_artifact(folder: Path) -> Artifact:
    """Read an artifact, each file checked against its size and sha256 first.

    Raises:
        EngineFault: `bad_data`, when a file is missing, added or changed, or the format is a newer one.
    """
    manifest, digest = _read_manifest(folder)
    present = {entry.name for entry in folder.iterdir()}
    if present != {MANIFEST, *manifest.files}:
        raise _damaged("a file is missing or was added")
    contents = {name: (folder / name).read_bytes() for name in manifest.files}
    for name, entry in manifest.files.items():
        if len(contents[name]) != entry.bytes or hashlib.sha256(contents[name]).hexdigest() != entry.sha256:
            raise _damaged(f"{name} is not what was written")
    if HEADS_FILE not in contents:
        raise _damaged(f"{HEADS_FILE} is missing")
    try:
        tensors = load(contents[HEADS_FILE])  # from bytes in memory: heads are small, and a map could be cut short under us
        delta = load(contents[DELTA_FILE]) if DELTA_FILE in contents else {}
    except SafetensorError as fault:
        raise _damaged("its tensors cannot be read") from fault
    return Artifact(manifest, digest, {task.name: _of_task(tensors, task) for task in manifest.tasks}, delta)


def _of_task(tensors: dict[str, NDArray[Any]], task: TaskEntry) -> HeadTensors:
    prefix = f"{task.name}/"
    head = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    if not head:
        raise _damaged("a task has no head")
    return head


def _read_manifest(folder: Path) -> tuple[Manifest, str]:
    try:
        content = (folder / MANIFEST).read_bytes()
        record = json.loads(content)
        if not isinstance(record, dict):
            raise _damaged(f"{MANIFEST} is not what was written")
        if isinstance(record.get("format"), int) and record["format"] > FORMAT:
            raise EngineFault("bad_data", "The artifact was written by a newer version.", "Upgrade Headstart.")
        digest = record.pop("sha256", None)
        if content != _sealed(record):
            raise _damaged(f"{MANIFEST} is not what was written")
        return Manifest.model_validate(record), str(digest)
    except (OSError, ValueError, RecursionError, ValidationError) as fault:
        raise _damaged(f"{MANIFEST} cannot be read") from fault


def _sealed(record: dict[str, Any]) -> bytes:
    """One spelling for each content, with the digest of the rest inside, so that any changed byte shows."""
    digest = hashlib.sha256(_canonical(record)).hexdigest()
    return _canonical({**record, "sha256": digest})


def _canonical(record: dict[str, Any]) -> bytes:
    return (json.dumps(record, sort_keys=True, indent=1, ensure_ascii=True) + "\n").encode()


def _damaged(why: str) -> EngineFault:
    return EngineFault("bad_data", f"The artifact is damaged: {why}.", "Restore it from a backup, or run the job again.")
