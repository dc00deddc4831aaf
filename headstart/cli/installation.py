"""Running an installation: `up` supervises the API and a worker as processes of their own, `down` stops them."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import structlog

from headstart import logs
from headstart.client.credentials import find_credentials
from headstart.errors import Conflict, HeadstartError, Unavailable
from headstart.processes import CANNOT_START
from headstart.settings import Settings, load_settings, server_environment

log = structlog.get_logger()

READY_SECONDS = 90.0
"""How long a fresh start may take until the API and a worker are ready."""

RESTART_PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0)
"""Pause before a process that ended is started again; back to the first once one has run for `STEADY_SECONDS`."""

STEADY_SECONDS = 10.0
"""What cannot run ends sooner; what ran so long was stopped from outside."""

STOP_SECONDS = 20.0
LOCK_SECONDS = 1.0


def settings_for(home: Path | None, **overrides: object) -> Settings:
    """The settings of the installation in `home`; `overrides` by their names, None for those that are not given."""
    return load_settings(None, home=home, **overrides)


def up(home: Path | None, **overrides: object) -> None:
    """Run in this process until SIGTERM or SIGINT.

    Raises:
        Conflict: it runs already.
        Unavailable: a process cannot be started at all.
    """
    settings = settings_for(home, **overrides)
    logs.configure(settings, "up")
    settings.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _only_one(settings):
        Installation(settings).run()


def up_in_background(home: Path | None, **overrides: object) -> bool:
    """Start `up` in the background and wait until it is ready; gives False when it was running already.

    Raises:
        Unavailable: it did not become ready; the message names the log.
    """
    settings = settings_for(home, **overrides)
    if running_pid(settings) is not None:
        wait_until_ready(settings, READY_SECONDS)
        return False
    settings.run.mkdir(parents=True, exist_ok=True)
    log_file = settings.run / "headstart.log"
    began = time.time()
    with open(log_file, "ab") as output:
        earlier = output.tell()
        process = subprocess.Popen(
            [sys.executable, "-m", "headstart.cli", "up"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=server_environment(settings),
            start_new_session=True,
        )
    try:
        wait_until_ready(settings, READY_SECONDS, process=process, since=began)
    except Unavailable as error:
        written = log_file.read_bytes()[earlier:].decode(errors="replace").splitlines()
        said = [line for line in written if not line.startswith(("20", "Hint:", "Code:"))]  # sentences, not events, which begin with a time
        why = f" {said[0]}" if said else ""
        raise Unavailable(error.code, f"{error.message}{why}", f"The log is {log_file}.") from error
    return True


def down(home: Path | None) -> bool:
    """Stop the installation in `home` and wait until it has stopped; gives False when none ran."""
    settings = settings_for(home)
    pid = running_pid(settings)
    if pid is None:
        return False
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_SECONDS + 10
    while running_pid(settings) == pid:
        if time.monotonic() > deadline:
            raise Conflict("state_conflict", f"Process {pid} has not stopped.", "Look at its log, or end it by its pid.")
        time.sleep(0.1)
    return True


def running_pid(settings: Settings) -> int | None:
    """The pid of the `up` that runs in this home. A pid file whose lock nobody holds is stale, whatever pid it names."""
    try:
        with open(_pid_file(settings), "rb+") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read() or b"0") or None
    except (FileNotFoundError, ValueError):
        pass
    return None


def wait_until_ready(
    settings: Settings, seconds: float, *, process: subprocess.Popen[bytes] | None = None, since: float | None = None
) -> str:
    """Wait for `/readyz` of a started installation; gives its URL.

    Args:
        process: the `up` that was started; when it ends, waiting is over.
        since: credentials written before this time (seconds since the epoch) are those of an earlier run.

    Raises:
        Unavailable: it ended, or took longer.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process is not None and process.poll() is not None:
            raise Unavailable("unavailable", f"Headstart did not start (status {process.returncode}).")
        with suppress(HeadstartError, httpx.HTTPError, OSError, ValueError):
            fresh = since is None or settings.credentials.stat().st_mtime >= since
            url = find_credentials(home=settings.folder).url
            if fresh and httpx.get(f"{url}/readyz", timeout=2, trust_env=False).status_code == httpx.codes.OK:
                return url
        time.sleep(0.1)
    raise Unavailable("unavailable", f"Headstart was not ready after {seconds:g} seconds.")


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


class Installation:
    """The API and a worker: started, started again when they end, stopped together."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        parent = ["--parent", str(os.getpid())]
        self._parts = [
            _Part("api", [sys.executable, "-m", "app", *parent]),
            _Part("worker", [sys.executable, "-m", "worker", *parent]),
        ]
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
        """SIGTERM to both at once, SIGKILL to what is left after `STOP_SECONDS`."""
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


def _pid_file(settings: Settings) -> Path:
    return settings.run / "up.pid"


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


@contextmanager
def _only_one(settings: Settings) -> Iterator[None]:
    """Hold the lock of the pid file; the kernel lets it go when this process ends, however it ends."""
    settings.run.mkdir(parents=True, exist_ok=True)
    file = os.open(_pid_file(settings), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            _lock_within(file, LOCK_SECONDS)
        except BlockingIOError:
            message = f"Headstart runs already in {settings.folder}."
            raise Conflict("state_conflict", message, "`headstart down` stops it.") from None
        os.ftruncate(file, 0)
        os.pwrite(file, str(os.getpid()).encode(), 0)
        yield
        os.ftruncate(file, 0)
    finally:
        os.close(file)
