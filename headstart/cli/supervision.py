"""Processes that are started, started again when they end, and stopped together; and the lock by which only one supervises them."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from headstart.errors import Conflict, Unavailable
from headstart.processes import CANNOT_START
from headstart.settings import Settings, server_environment

log = structlog.get_logger()

RESTART_PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0)
"""Pause before a process that ended is started again; back to the first once one has run for `STEADY_SECONDS`."""

STEADY_SECONDS = 10.0
"""What cannot run ends sooner; what ran so long was stopped from outside."""

STOP_SECONDS = 20.0
LOCK_SECONDS = 1.0


@dataclass
class _Part:
    """One supervised process."""

    name: str
    command: list[str]
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    start_at: float = 0.0
    failures: int = 0
    status: int = field(default=0)


class Supervision:
    """Runs modules as processes of their own until SIGTERM or SIGINT."""

    def __init__(self, settings: Settings, modules: Mapping[str, Sequence[str]]) -> None:
        """`modules` are what to run, each a module's name and arguments, by the name it has in the log."""
        self._settings = settings
        parent = ["--parent", str(os.getpid())]
        self._parts = [_Part(name, [sys.executable, "-m", *words, *parent]) for name, words in modules.items()]
        self._stopping = threading.Event()

    def run(self) -> None:
        """Until SIGTERM or SIGINT. Children are started from this thread, to which the kernel ties their lives."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stopping.set())
        environment = server_environment(self._settings)
        try:
            while not self._stopping.is_set():
                for part in self._parts:
                    self._tend(part, environment)
                self._stopping.wait(0.1)
        finally:
            self._stop()

    def _tend(self, part: _Part, environment: dict[str, str]) -> None:
        now = time.monotonic()
        if part.process is None:
            if now >= part.start_at:
                part.process, part.started_at = subprocess.Popen(part.command, stdin=subprocess.DEVNULL, env=environment), now
                log.info("process_started", part=part.name, pid=part.process.pid)
            return
        status = part.process.poll()
        if status is None:
            return
        if status == CANNOT_START:
            raise Unavailable("unavailable", f"The {part.name} cannot start.", "The line above says why.")
        part.failures = 0 if now - part.started_at > STEADY_SECONDS else part.failures + 1
        pause = RESTART_PAUSES[min(part.failures, len(RESTART_PAUSES)) - 1] if part.failures else 0.0
        log.warning("process_ended", part=part.name, status=status, again_in_seconds=pause)
        part.process, part.start_at = None, now + pause

    def _stop(self) -> None:
        """SIGTERM to all at once, SIGKILL to what is left after `STOP_SECONDS`."""
        alive = [part.process for part in self._parts if part.process is not None and part.process.poll() is None]
        for process in alive:
            process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for process in alive:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                log.warning("process_killed", pid=process.pid)
                process.kill()
                process.wait()
        log.info("stopped")


def holder(pid_file: Path) -> int | None:
    """The pid of whoever holds the lock of this file. A pid file whose lock nobody holds is stale, whatever pid it names."""
    try:
        with open(pid_file, "rb+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read() or b"0") or None
    except (FileNotFoundError, ValueError):
        pass
    return None


@contextmanager
def only_one(pid_file: Path, what: str) -> Iterator[None]:
    """Hold the lock of the pid file; the kernel lets it go when this process ends, however it ends.

    Raises:
        Conflict: another process holds it; `what` begins the sentence that says so.
    """
    pid_file.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(pid_file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            _lock_within(file, LOCK_SECONDS)
        except BlockingIOError:
            message = f"{what} runs already in {pid_file.parent.parent}."
            raise Conflict("state_conflict", message, "`headstart down` stops it.") from None
        os.ftruncate(file, 0)
        os.pwrite(file, str(os.getpid()).encode(), 0)
        yield
        os.ftruncate(file, 0)
    finally:
        os.close(file)


def _lock_within(file: int, seconds: float) -> None:
    """Take the lock; whoever only looks holds it for a moment, so a first refusal says little."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def stop(pid_file: Path) -> bool:
    """Stop whoever holds the lock of this file and wait until it has stopped; gives False when nobody does.

    Raises:
        Conflict: it does not stop.
    """
    pid = holder(pid_file)
    if pid is None:
        return False
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS + 10
    while holder(pid_file) == pid:
        if time.monotonic() > deadline:
            raise Conflict("state_conflict", f"Process {pid} has not stopped.", "Look at its log, or end it by its pid.")
        time.sleep(0.1)
    return True
