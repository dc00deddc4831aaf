"""Ringing: after the commit, in the background, once; never blocks and never raises."""

from __future__ import annotations

import queue
import threading

import structlog

from headstart.doorbell.celery import QUEUE, TASK, make_celery
from headstart.settings import Settings

log = structlog.get_logger()

MOST_WAITING = 1000


class Doorbell:
    """One background thread that sends the id of waiting work to the broker."""

    def __init__(self, settings: Settings) -> None:
        self._celery = make_celery(settings)
        self._waiting: queue.Queue[str | None] = queue.Queue(MOST_WAITING)
        self._thread = threading.Thread(target=self._run, name="doorbell", daemon=True)
        self._thread.start()

    def ring(self, work_id: str) -> None:
        """Say that `work_id` waits. A ring that is lost costs at most a worker's poll interval."""
        try:
            self._waiting.put_nowait(work_id)
        except queue.Full:
            log.warning("doorbell_full", work_id=work_id)

    def close(self) -> None:
        """Send what waits, at most two seconds long."""
        try:
            self._waiting.put(None, timeout=1)
        except queue.Full:
            return
        self._thread.join(2)

    def _run(self) -> None:
        connection = self._celery.connection_for_write()
        while (work_id := self._waiting.get()) is not None:
            try:
                if not connection.connected:
                    connection.connect()  # once: sending would try for ever
                self._celery.send_task(TASK, [work_id], queue=QUEUE, ignore_result=True, retry=False, connection=connection)
            except Exception as error:  # noqa: BLE001 - whatever a broker's client raises: the row is the truth, the ring a hint
                log.warning("doorbell_failed", work_id=work_id, error=type(error).__name__)
                connection.collect()  # without a word to the other side, which may not answer
