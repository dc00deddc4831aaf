"""Running an installation: `up` supervises the API and a worker, `work` a worker alone, as processes of their own; `down` stops them."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import httpx

from headstart import logs
from headstart.cli.supervision import Supervision, holder, only_one, stop
from headstart.client.credentials import find_credentials
from headstart.errors import HeadstartError, Unavailable
from headstart.settings import Settings, load_settings, server_environment

READY_SECONDS = 90.0
"""How long a fresh start may take until the API and a worker are ready."""

UP, WORK = "up", "work"
"""The two things that may run in a home, each once; a file with its pid is in the run folder."""

API, WORKER = {"api": ["app"]}, {"worker": ["worker"]}
LONE_WORKER = {"worker": ["worker", "--alone"]}


def settings_for(home: Path | None, **overrides: object) -> Settings:
    """The settings of the installation in `home`; `overrides` by their names, None for those that are not given."""
    return load_settings(None, home=home, **overrides)


def up(home: Path | None, **overrides: object) -> None:
    """Run the API, and a worker unless that is elsewhere, until SIGTERM or SIGINT.

    Raises:
        Conflict: it runs already.
        Unavailable: a process cannot be started at all.
    """
    settings = settings_for(home, **overrides)
    _run(UP, "Headstart", settings, API | WORKER if settings.worker == "here" else API)


def work(home: Path | None, **overrides: object) -> None:
    """Run a worker alone, until SIGTERM or SIGINT; the API is another's affair, as a rule on another machine.

    Raises:
        Conflict: one runs already in this home.
        Unavailable: it cannot be started at all.
    """
    _run(WORK, "A worker", settings_for(home, **overrides), LONE_WORKER)


def _run(name: str, what: str, settings: Settings, modules: dict[str, list[str]]) -> None:
    logs.configure(settings, name)
    settings.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with only_one(_pid_file(settings, name), what):
        Supervision(settings, modules).run()


def _pid_file(settings: Settings, name: str) -> Path:
    return settings.run / f"{name}.pid"


def up_in_background(home: Path | None, **overrides: object) -> bool:
    """Start `up` in the background and wait until it is ready; gives False when it was running already.

    Raises:
        Unavailable: it did not become ready; the message names the log.
    """
    settings = settings_for(home, **overrides)
    if holder(_pid_file(settings, UP)) is not None:
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
    """Stop what runs in `home`, `up` and a lone worker alike, and wait until it has stopped; gives False when nothing ran."""
    settings = settings_for(home)
    stopped = [stop(_pid_file(settings, name)) for name in (UP, WORK)]
    return any(stopped)


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
