"""Hearing the doorbell: a Celery worker with one task that wakes the supervisor and returns."""

from __future__ import annotations

import signal
import threading
import warnings
from collections.abc import Callable

import structlog
from celery import Celery, signals
from celery.exceptions import CPendingDeprecationWarning
from celery.platforms import SecurityWarning

from headstart.doorbell.celery import QUEUE, TASK

log = structlog.get_logger()

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 15.0


def listen(app: Celery, *, ring: Callable[[], None], stop: Callable[[], None]) -> None:
    """Run Celery in this, the main, thread until SIGTERM or SIGINT; `stop` is called when either comes.

    While the broker is away, or refuses, the supervisor looks at the table by itself: nothing about a broker ends the worker.
    """
    warnings.simplefilter("ignore", SecurityWarning)  # it warns root of pickled messages; ours are JSON and hold an id
    warnings.simplefilter("ignore", CPendingDeprecationWarning)  # of what happens to late acknowledgements; ours are early
    stopped = threading.Event()

    @app.task(name=TASK)  # type: ignore[untyped-decorator]
    def heard(work_id: str) -> None:  # noqa: ARG001 - a hint; the table says what there is
        ring()

    @signals.worker_shutting_down.connect(weak=False)  # type: ignore[untyped-decorator]
    def shutting_down(**_: object) -> None:
        stopped.set()
        stop()

    for number in (signal.SIGTERM, signal.SIGINT):  # Celery sets its own once it runs
        signal.signal(number, lambda *_: shutting_down())
    pause = FIRST_PAUSE_SECONDS
    while not stopped.is_set():
        refused = _refusal(app)
        if refused is None:
            pause = FIRST_PAUSE_SECONDS
            _hear(app)
        if not stopped.is_set():
            log.warning("broker_away", reason=refused or "the connection broke", again_in_seconds=pause)
        stopped.wait(pause)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


def _refusal(app: Celery) -> str | None:
    """Why the broker cannot be spoken to; None when it can. Celery gives up at some reasons, and at others tries five times a second."""
    try:
        with app.connection_for_read() as connection:
            connection.connect()
    except Exception as error:  # noqa: BLE001 - the doorbell's edge: whatever a broker's client raises
        return f"{type(error).__name__}: {error}"
    return None


def _hear(app: Celery) -> None:
    """Until told to stop, or until Celery gives up."""
    worker = app.Worker(
        pool="solo",
        concurrency=1,
        queues=[QUEUE],
        loglevel="WARNING",
        quiet=True,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
    )
    worker.start()
