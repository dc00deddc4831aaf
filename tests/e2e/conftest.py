"""One running installation for all quick end-to-end tests, and the pieces of data they use."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

from headstart.client import Headstart
from headstart.demos import backbone_folder, dataset_file, default_assets_root
from headstart.errors import HeadstartError
from tests.e2e.service import Service, running_service


@pytest.fixture(scope="session")
def tweets() -> Path:
    """The demo tweets; `make install` fetches them."""
    try:
        backbone_folder(default_assets_root(), "minilm-l6")
        return dataset_file(default_assets_root(), "tweets")
    except HeadstartError:
        pytest.skip("the demo assets are not fetched: make install")


@pytest.fixture(scope="session")
def few_tweets(tweets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 of them, for jobs that take a moment."""
    return cut(tweets, tmp_path_factory.mktemp("data") / "few.csv", 300)


def cut(source: Path, target: Path, rows: int) -> Path:
    with open(source, newline="") as full, open(target, "w", newline="") as part:
        writer = csv.writer(part)
        for number, row in enumerate(csv.reader(full)):
            if number > rows:
                break
            writer.writerow(row)
    return target


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory, tweets: Path) -> Iterator[Service]:
    with running_service(tmp_path_factory.mktemp("home")) as running:
        yield running


@pytest.fixture
def client(service: Service) -> Iterator[Headstart]:
    with service.client() as connected:
        yield connected
