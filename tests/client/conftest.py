"""A client of the in-memory service, with a clock that only sleeping moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from headstart.client import Headstart
from headstart.client.http import Surroundings
from tests.client.service import KEY, Service, transport


class Time:
    """Sleeping takes no time, and is remembered."""

    def __init__(self) -> None:
        self.now = 0.0
        self.naps: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += seconds

    def clock(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    for name in ("HEADSTART_URL", "HEADSTART_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HEADSTART_HOME", str(tmp_path_factory.mktemp("home")))


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def surroundings(service: Service, time: Time) -> Surroundings:
    return Surroundings(sleep=time.sleep, clock=time.clock, jitter=lambda: 0.5, transport=transport(service))


@pytest.fixture
def client(surroundings: Surroundings) -> Iterator[Headstart]:
    with Headstart("http://headstart.test", KEY, surroundings=surroundings) as made:
        yield made


@pytest.fixture
def write(tmp_path: object) -> Callable[[str, str], str]:
    """Write a file below the test's folder and give its path."""
    from pathlib import Path

    def made(name: str, text: str) -> str:
        path = Path(str(tmp_path)) / name
        path.write_text(text, encoding="utf-8")
        return str(path)

    return made
