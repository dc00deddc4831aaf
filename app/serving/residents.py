"""What is loaded: backbones by content, shared by all their models, and models by artifact; the least recently used go first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import structlog

from app.serving.engine import Loads, Predicts
from headstart.blobs.local import LocalBlobs
from headstart.specs.backbones import Anatomy
from headstart.store import backbones
from headstart.store.models import Served

log = structlog.get_logger()


@dataclass(slots=True)
class _Resident:
    thing: Any
    bytes: int


class Residents:
    """Called from worker threads, for one backbone by one thread at a time. What is evicted while in use lives until its user lets go."""

    def __init__(self, engine: Loads, blobs: LocalBlobs, limit_bytes: int) -> None:
        self._engine, self._blobs, self._limit_bytes = engine, blobs, limit_bytes
        self._lock = threading.Lock()
        self._held: OrderedDict[str, _Resident] = OrderedDict()

    def predictor(self, served: Served) -> Predicts:
        """The model, loaded on first use.

        Raises:
            EngineFault: `bad_data`, a stored file is missing or changed.
            OSError: a stored file cannot be read.
        """
        key = f"{served.backbone_sha256}/{served.artifact_id}"
        found = self._find(key)
        backbone = self._backbone(served)  # also marks it as used, so that it is not evicted before its models
        if found is not None:
            return found  # type: ignore[no-any-return]
        *parents, folder = (self._blobs.path(blob) for blob in (*served.parent_blobs, served.artifact_blob))
        predictor = self._engine.load_predictor(backbone, folder, parents)
        self._keep(key, predictor, sum(file.stat().st_size for each in (*parents, folder) for file in each.iterdir()))
        return predictor

    def _backbone(self, served: Served) -> Any:  # noqa: ANN401
        found = self._find(served.backbone_sha256)
        if found is not None:
            return found
        anatomy = Anatomy.model_validate(served.backbone_anatomy)
        backbone = self._engine.load_backbone(self._blobs.path(backbones.folder_key(served.backbone_sha256)), anatomy)
        log.info("backbone_loaded", backbone=served.backbone, bytes=anatomy.bytes)
        self._keep(served.backbone_sha256, backbone, anatomy.bytes)
        return backbone

    def _find(self, key: str) -> Any:  # noqa: ANN401
        with self._lock:
            found = self._held.get(key)
            if found is None:
                return None
            self._held.move_to_end(key)
            return found.thing

    def _keep(self, key: str, thing: Any, size: int) -> None:  # noqa: ANN401
        with self._lock:
            self._held[key] = _Resident(thing, size)
            while sum(resident.bytes for resident in self._held.values()) > self._limit_bytes and len(self._held) > 1:
                self._evict(next(iter(self._held)))

    def _evict(self, key: str) -> None:
        """A backbone takes its models along: they hold it."""
        for each in [held for held in self._held if held == key or held.startswith(f"{key}/")]:
            del self._held[each]
            log.info("evicted", resident=each)
