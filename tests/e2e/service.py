"""A real installation for tests: `headstart up` in a folder of its own, its processes, and ways to hurt them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from headstart.client import Headstart
from headstart.client.credentials import find_credentials
from headstart.settings import PREFIX

QUICK_LEASES = {"HEADSTART_BEAT_SECONDS": "0.5", "HEADSTART_LEASE_SECONDS": "3", "HEADSTART_POLL_SECONDS": "15"}
START_SECONDS = 120.0


@dataclass(frozen=True)
class Process:
    """A process as /proc shows it; the start time tells a pid that was used again."""

    pid: int
    parent: int
    started: str
    command: str

    @property
    def alive(self) -> bool:
        now = _read(self.pid)
        return now is not None and now.started == self.started


def _read(pid: int) -> Process | None:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        command = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat[stat.rindex(")") + 2 :].split()
    return None if fields[0] == "Z" else Process(pid, int(fields[1]), fields[19], command)


def descendants(pid: int) -> list[Process]:
    """All live processes below `pid`."""
    everyone = [process for entry in Path("/proc").iterdir() if entry.name.isdigit() and (process := _read(int(entry.name)))]
    found: list[Process] = []
    below = {pid}
    while new := [process for process in everyone if process.parent in below and process not in found]:
        found += new
        below = {process.pid for process in new}
    return found


def wait_for(condition: Callable[[], object], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come within {seconds:g} s"
        time.sleep(0.05)


class Service:
    """A running installation."""

    def __init__(self, home: Path, process: subprocess.Popen[bytes]) -> None:
        self.home, self.process = home, process
        self.seen: set[Process] = set()

    def client(self, key: str | None = None) -> Headstart:
        return Headstart(url=self.url, key=key) if key is not None else Headstart(home=self.home)

    @property
    def url(self) -> str:
        return find_credentials(home=self.home).url

    @property
    def log(self) -> str:
        return (self.home / "log.txt").read_text(errors="replace")

    def processes(self) -> list[Process]:
        found = descendants(self.process.pid)
        self.seen.update(found)
        return found

    def find(self, words: str) -> list[Process]:
        return [process for process in self.processes() if words in process.command]

    def worker(self) -> Process:
        return next(process for process in self.find("-m worker ") if "--parent" in process.command)

    def engine_child(self) -> Process:
        return self.find("-m worker.child engine")[0]

    def has_engine(self) -> bool:
        return bool(self.find("-m worker.child engine"))


def kill(*victims: Process) -> None:
    """SIGKILL, all before any can react to another's death."""
    for victim in victims:
        os.kill(victim.pid, signal.SIGKILL)


def ready(home: Path) -> bool:
    try:
        return httpx.get(f"{find_credentials(home=home).url}/readyz", timeout=2, trust_env=False).status_code == httpx.codes.OK
    except Exception:  # noqa: BLE001 - whatever it is, it is not ready yet
        return False


@contextmanager
def running_service(home: Path, *arguments: str, **settings: str) -> Iterator[Service]:
    """`headstart up` on a free port; stopped by SIGTERM at the end, after which nothing of it may be left."""
    with _running(home, ["up", "--home", str(home), "--port", "0", *arguments], lambda _: ready(home), settings) as service:
        yield service


@contextmanager
def running_elsewhere(home: Path, python: Path) -> Iterator[Service]:
    """`headstart up` of another environment, with nothing of this checkout on its path."""
    with _running(home, ["up", "--home", str(home), "--port", "0"], lambda _: ready(home), {}, python=python, cwd=home) as service:
        yield service


@contextmanager
def running_worker(
    home: Path, *arguments: str, behind: Sequence[str] = (), until: Callable[[Service], bool] = Service.has_engine, **settings: str
) -> Iterator[Service]:
    """`headstart worker`, started by the command `behind`; stopped in the same way."""
    with _running(home, ["worker", "--home", str(home), *arguments], until, settings, behind) as service:
        yield service


@contextmanager
def _running(
    home: Path,
    words: Sequence[str],
    is_ready: Callable[[Service], bool],
    settings: dict[str, str],
    behind: Sequence[str] = (),
    python: Path = Path(sys.executable),
    cwd: Path | None = None,
) -> Iterator[Service]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)} | QUICK_LEASES | settings
    home.mkdir(parents=True, exist_ok=True)
    command = [*behind, str(python), "-m", "headstart.cli", *words]
    with open(home / "log.txt", "ab") as log:
        process = subprocess.Popen(
            command, env=environment, cwd=cwd, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
        )
    service = Service(home, process)
    try:
        wait_for(lambda: process.poll() is not None or is_ready(service), START_SECONDS, "a ready service")
        assert process.poll() is None, service.log
        yield service
        service.processes()
    finally:
        if process.poll() is None:
            service.processes()
            process.terminate()
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    wait_for(lambda: not [one for one in service.seen if one.alive], 15, "the end of every process")
