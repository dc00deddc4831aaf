"""From a request to an answer: one lane for each backbone, a bounded queue before it, one thread at a time in it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import anyio
import structlog
from anyio import to_thread

from app.services import Services
from app.serving.engine import Loads, import_engine
from app.serving.inputs import Given, by_name
from app.serving.references import References
from app.serving.residents import Residents
from headstart.errors import HeadstartError, Overloaded, Unavailable
from headstart.specs.predictions import Parameters, PredictedRow
from headstart.store.models import Served

log = structlog.get_logger()

T = TypeVar("T")

ENGINE_PAUSE_SECONDS = 0.05


class PredictionFailed(Exception):
    """Something below Python, or nobody foresaw, went wrong in a batch."""


class Serving:
    """Everything that predictions share in one process."""

    def __init__(self, services: Services, engine: Callable[[], Loads] | None = None) -> None:
        self._services = services
        self._import = engine or partial(import_engine, services.settings.device)
        self.references = References(services.database)
        self.state = "loading"
        self._residents: Residents | None = None
        self._lanes: dict[str, anyio.CapacityLimiter] = {}

    def start(self) -> None:
        """Begin to load the engine, in the background."""
        threading.Thread(target=self._load, name="engine", daemon=True).start()

    def _load(self) -> None:
        settings = self._services.settings
        try:
            self._residents = Residents(self._import(), self._services.blobs, settings.resident_bytes)
            self.state = "ready"
        except Exception:
            self.state = "failed"
            log.exception("engine_failed")

    async def predict(
        self, workspace_id: str, reference: str, inputs: Sequence[Given | bytes], parameters: Parameters
    ) -> tuple[Served, list[PredictedRow], int]:
        """The answers of the model that `reference` names, in the order of `inputs`, with the tokens read.

        Raises:
            BadInput: the model reads something else, or a file cannot be read.
            NotFound: there is no such model.
            Overloaded: the queue before its backbone is full.
            Unavailable: the engine could not be loaded.
        """
        served = self.references.recall(workspace_id, reference)
        fresh = served is None
        if served is None:
            served = await self._read(workspace_id, reference)
        residents = await self._ready()
        try:
            return served, *await self._run(residents, served, inputs, parameters)
        except HeadstartError as error:
            if fresh or error.status < 500:
                raise
        except PredictionFailed:
            if fresh:
                raise
        # What was remembered may have been deleted meanwhile: a stored file that is gone is a 404, not a fault.
        served = await self._read(workspace_id, reference)
        return served, *await self._run(residents, served, inputs, parameters)

    async def _read(self, workspace_id: str, reference: str) -> Served:
        served = await to_thread.run_sync(self.references.read, workspace_id, reference)
        self.references.remember(workspace_id, reference, served)
        return served

    async def _ready(self) -> Residents:
        while self._residents is None:
            if self.state == "failed" or self._services.stopping.is_set():
                raise Unavailable("unavailable", "The engine is not there.", "Tell the operator.", retry_after_seconds=5)
            await asyncio.sleep(ENGINE_PAUSE_SECONDS)
        return self._residents

    async def _run(
        self, residents: Residents, served: Served, inputs: Sequence[Given | bytes], parameters: Parameters
    ) -> tuple[list[PredictedRow], int]:
        given = by_name(inputs, served.inputs)
        lane = self._lanes.setdefault(served.backbone_sha256, anyio.CapacityLimiter(1))
        if lane.statistics().tasks_waiting >= self._services.settings.predict_queue:
            raise Overloaded("overloaded", "Too many requests wait for this backbone.", "Try again shortly.", retry_after_seconds=1)
        work = partial(_predict, residents, served, given, parameters)
        return await to_thread.run_sync(_caught, work, limiter=lane)


def _predict(residents: Residents, served: Served, inputs: Sequence[Given], parameters: Parameters) -> tuple[list[PredictedRow], int]:
    return residents.predictor(served).predict(inputs, top_k=parameters.top_k, tasks=parameters.tasks)


def _caught(work: Callable[[], T]) -> T:
    """The batch edge: a tokenizer can panic with what is no `Exception`, and a thread must outlive it."""
    try:
        return work()
    except (HeadstartError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        raise PredictionFailed(type(error).__name__) from error
