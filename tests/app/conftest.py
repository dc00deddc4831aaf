"""One server for each test, with a fresh database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.app import service
from tests.app.service import Running


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    with service.running(tmp_path) as made:
        yield made


@pytest.fixture
def admin(running: Running) -> Iterator[httpx.Client]:
    with running.client() as client:
        yield client


@pytest.fixture
def writer(running: Running) -> Iterator[httpx.Client]:
    with running.client("writer") as client:
        yield client


@pytest.fixture
def ids(running: Running) -> dict[str, str]:
    """One of each thing in the first workspace."""
    return service.fill(running)


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One server for the module's tests that change nothing; one of each thing is in its first workspace."""
    with service.running(tmp_path_factory.mktemp("home"), max_body_bytes=2**22) as made:
        service.fill(made)
        yield made
