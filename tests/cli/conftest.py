"""The command line against the in-memory service on a real socket."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from headstart.cli import run
from tests.client.service import KEY, Service, listening


class Said(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def service() -> Service:
    return Service()


@pytest.fixture
def url(service: Service) -> Iterator[str]:
    with listening(service) as address:
        yield address


@pytest.fixture
def home(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with credentials, as `headstart up` leaves it, and nothing in the environment but that home."""
    for name in ("HEADSTART_URL", "HEADSTART_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HEADSTART_HOME", str(tmp_path))
    path = tmp_path / "credentials.json"
    path.write_text(json.dumps({"url": url, "key": KEY}))
    path.chmod(0o600)
    return tmp_path


@pytest.fixture
def say(home: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Run one command line."""

    def said(*arguments: str) -> Said:
        code = run(arguments)
        return Said(code, *capsys.readouterr())

    return said
