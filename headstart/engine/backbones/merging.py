"""A model as a backbone: the deltas of the artifacts it stands on laid over the weights or merged into them, oldest first, without heads."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence

import torch
from torch import nn

from headstart.engine.adapters import merged_weights
from headstart.engine.artifacts import DELTA_FILE, Artifact
from headstart.engine.backbones.loading import Backbone
from headstart.engine.suffix import adapted
from headstart.errors import EngineFault, quote


def merged(backbone: Backbone, parents: Sequence[Artifact]) -> Backbone:
    """The backbone as the last of `parents` left it; what none of them changed is shared with `backbone`.

    Args:
        backbone: as it was registered.
        parents: each made on what the ones before it left.

    Raises:
        EngineFault: `bad_data`, when one of them was made on something else, or changes what the backbone does not have.
    """
    for artifact in parents:
        _check_origin(backbone, artifact)
        backbone = dataclasses.replace(backbone, parent=artifact.sha256)
        if artifact.delta:
            identity = f"{backbone.sha256}\n{artifact.manifest.files[DELTA_FILE].sha256}\n{_meaning(artifact)}"
            backbone = dataclasses.replace(
                backbone, sha256=hashlib.sha256(identity.encode()).hexdigest(), module=_with_delta(backbone.module, artifact)
            )
    return backbone


def _check_origin(backbone: Backbone, artifact: Artifact) -> None:
    """See that `artifact` was made on just this backbone: the same weights, and the same parents before it.

    Raises:
        EngineFault: `bad_data`.
    """
    manifest = artifact.manifest
    if manifest.backbone.sha256 != backbone.anatomy.sha256:
        raise EngineFault(
            "bad_data", "The artifact was made from another backbone.", f"It needs {quote(manifest.backbone.name)} as it was then."
        )
    if (None if manifest.parent is None else manifest.parent.sha256) != backbone.parent:
        needed = "no other model" if manifest.parent is None else f"the model {quote(manifest.parent.model)} as it was then"
        raise EngineFault("bad_data", "The artifact was made on another chain of models.", f"It stands on {needed}.")


def _meaning(artifact: Artifact) -> str:
    """What else than its values decides what a delta does; nothing for new values of parameters."""
    adapter = artifact.manifest.adapter
    return "" if adapter is None else f"{adapter.model_dump_json()}\n"


def _with_delta(module: nn.Module, artifact: Artifact) -> nn.Module:
    """`module` with changed parameters; every other tensor is shared.

    Raises:
        EngineFault: `bad_data`, when it has no such parameter, or one of another shape.
    """
    delta = {name: torch.from_numpy(value) for name, value in artifact.delta.items()}
    if artifact.manifest.adapter is not None:
        delta = merged_weights(module, artifact.manifest.adapter, delta)
    known = dict(module.named_parameters())
    for name, value in delta.items():
        if name not in known or known[name].shape != value.shape:
            raise EngineFault("bad_data", f"The artifact changes {quote(name)}, which the backbone does not have so.", "Run the job again.")
    return adapted(module, delta)
