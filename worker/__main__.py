"""`python -m worker`: one worker process, its supervisor thread and its children."""

from __future__ import annotations

import argparse
import os
import sys
import threading

import structlog

from headstart import logs
from headstart.doorbell.celery import make_celery
from headstart.errors import HeadstartError, Unavailable
from headstart.processes import CANNOT_START, die_with_parent
from headstart.settings import load_settings
from headstart.store.database import Database
from headstart.store.migrate import migrate
from worker import alone
from worker.listening import listen
from worker.supervisor import Supervisor

log = structlog.get_logger()

FAILED = 70
"""Exit status (EX_SOFTWARE of sysexits.h)."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m worker", description=__doc__)
    parser.add_argument("--parent", type=int, help="pid of the process that supervises this one; end when it does")
    parser.add_argument("--alone", action="store_true", help="the API is elsewhere: make sure of what the two must share")
    arguments = parser.parse_args()
    if arguments.parent is not None:
        die_with_parent(arguments.parent)
    try:
        settings = load_settings()
    except HeadstartError as error:
        print(error, file=sys.stderr)  # noqa: T201 - there is no log yet
        return CANNOT_START
    logs.configure(settings, "worker")
    try:
        celery, database = make_celery(settings), Database(settings.database)
        if arguments.alone:
            alone.check_settings(settings, database)
        migrate(database)
        if arguments.alone:
            alone.check_shared(settings, database)
        supervisor = Supervisor(settings, database)
    except Unavailable as error:
        log.error("worker_cannot_start", reason=str(error))  # noqa: TRY400 - the sentence says it all
        return FAILED
    except (HeadstartError, KeyError, ValueError, ImportError) as error:
        log.error("worker_cannot_start", reason=str(error), error=type(error).__name__)  # noqa: TRY400
        return CANNOT_START
    thread = threading.Thread(target=_supervise, args=(supervisor,), name="supervisor")
    thread.start()
    log.info("worker_started", owner=supervisor.owner)
    try:
        listen(celery, ring=supervisor.ring, stop=supervisor.stop)
    except BaseException:
        log.exception("doorbell_broken")
        raise
    finally:
        supervisor.stop()
        thread.join()
    return FAILED  # the supervisor's thread ends the process when all is well


def _supervise(supervisor: Supervisor) -> None:
    """The sweep edge: a supervisor that fails ends the process, so that whoever runs it starts another."""
    try:
        supervisor.run()
    except BaseException:
        log.exception("supervisor_failed")
        os._exit(FAILED)
    log.info("worker_stopped")
    os._exit(0)  # Celery would poll its broker for seconds more, and it holds nothing: a ring is a hint


if __name__ == "__main__":
    sys.exit(main())
