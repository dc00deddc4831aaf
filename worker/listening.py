"""Hearing the doorbell: a Celery worker with one task that wakes the supervisor and returns."""

from __future__ import annotations

import warnings
from collections.abc import Callable

from celery import Celery, signals
from celery.platforms import SecurityWarning

from headstart.doorbell.celery import QUEUE, TASK


def listen(app: Celery, *, ring: Callable[[], None], stop: Callable[[], None]) -> None:
    """Run Celery in this, the main, thread until SIGTERM or SIGINT; `stop` is called when either comes.

    While the broker is away Celery goes on trying; the supervisor meanwhile looks at the table by itself.
    """
    warnings.simplefilter("ignore", SecurityWarning)  # it warns root of pickled messages; ours are JSON and hold an id

    @app.task(name=TASK)  # type: ignore[untyped-decorator]
    def heard(work_id: str) -> None:  # noqa: ARG001 - a hint; the table says what there is
        ring()

    @signals.worker_shutting_down.connect(weak=False)  # type: ignore[untyped-decorator]
    def shutting_down(**_: object) -> None:
        stop()

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
