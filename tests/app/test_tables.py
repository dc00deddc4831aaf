"""Requests that read a dataset's table: what becomes of them, and of others, while it is slow, gone or damaged."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from headstart.store import datasets
from headstart.store.tables import Dataset
from tests.app.service import Running, problem
from tests.app.test_versions import finished, read


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(80) as pool:
        yield pool


def made(running: Running, client: httpx.Client) -> str:
    dataset = client.post("/v1/datasets", json={"name": "reviews", "upload": finished(client)}).json()["id"]
    read(running, dataset)
    return str(dataset)


def table_of(running: Running, dataset: str) -> Path:
    with running.services.database.read() as session:
        return running.services.blobs.path(datasets.table_key(dataset, session.get_one(Dataset, dataset).epoch))


def block(table: Path) -> None:
    """Make of a table a pipe: whoever reads it waits for what is written there."""
    table.unlink()
    os.mkfifo(table)


def get(running: Running, path: str) -> httpx.Response:
    with running.client("writer") as client:
        return client.get(path)


def test_no_transaction_is_open_while_a_table_is_looked_through(running: Running, writer: httpx.Client, threads: ThreadPoolExecutor):
    dataset = made(running, writer)
    table = table_of(running, dataset)
    block(table)
    waiting: Future[httpx.Response] = threads.submit(get, running, f"/v1/datasets/{dataset}/rows")
    with open(table, "wb"):  # opens as soon as somebody reads
        held = running.services.database.engine.pool.checkedout()  # type: ignore[attr-defined]
    assert held == 0
    assert problem(waiting.result())["code"] == "bad_data"
