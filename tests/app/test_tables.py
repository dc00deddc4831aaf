"""Requests that read a dataset's table: what becomes of them, and of others, while it is slow, gone or damaged."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import httpx
import pytest

from app.comparing import MOST_WAITING, Comparisons
from headstart.blobs.local import LocalBlobs
from headstart.store import datasets
from headstart.store.database import Database
from headstart.store.tables import Dataset
from tests.app.service import Running, problem
from tests.app.test_versions import finished, read, version


class LosingBlobs(LocalBlobs):
    """Somebody deletes each dataset just before its table is opened."""

    def __init__(self, root: Path, database: Database) -> None:
        super().__init__(root)
        self._database = database

    def path(self, key: str) -> Path:
        _, dataset_id, *rest = key.split("/")
        if rest:
            with self._database.write() as session:
                session.get_one(Dataset, dataset_id).deleted_at = datetime.now(UTC)
            self.delete(datasets.folder_key(dataset_id))
        return super().path(key)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(80) as pool:
        yield pool


def made(running: Running, client: httpx.Client) -> str:
    dataset = client.post("/v1/datasets", json={"name": "reviews", "upload": finished(client)}).json()["id"]
    read(running, dataset)
    return str(dataset)


def next_of(running: Running, client: httpx.Client, dataset: str) -> str:
    following = version(client, dataset, append={"rows": [{"id": 4}]}).json()["id"]
    read(running, following)
    return str(following)


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


@pytest.mark.parametrize("part", ["rows", "diff"])
def test_a_dataset_that_is_deleted_before_its_table_is_opened_is_404(running: Running, writer: httpx.Client, part: str):
    dataset = next_of(running, writer, made(running, writer))
    services = running.services
    services.blobs = LosingBlobs(services.blobs.root, services.database)
    told = problem(writer.get(f"/v1/datasets/{dataset}/{part}"))
    assert told == problem(writer.get(f"/v1/datasets/ds_unknown/{part}"))
    assert (told["status"], told["detail"]) == (404, "There is no such dataset.")


def test_a_table_that_cannot_be_read_is_503_and_not_called_damaged(running: Running, writer: httpx.Client):
    dataset = made(running, writer)
    table = table_of(running, dataset)
    elsewhere = table.rename(table.with_suffix(".away"))
    response = writer.get(f"/v1/datasets/{dataset}/rows")
    assert response.headers["retry-after"] == "5"
    assert problem(response) == {
        "type": "/docs/errors#unavailable",
        "title": "Unavailable",
        "status": 503,
        "code": "unavailable",
        "detail": "The stored table of the dataset cannot be read.",
        "hint": "Try again shortly; if that does not help, tell the operator.",
        "errors": [],
    }
    elsewhere.rename(table)
    assert len(writer.get(f"/v1/datasets/{dataset}/rows").json()["data"]) == 3


def test_comparisons_that_wait_are_few_and_hold_up_nobody_else(running: Running, writer: httpx.Client, threads: ThreadPoolExecutor):
    first = made(running, writer)
    second = next_of(running, writer, first)
    known = writer.get(f"/v1/datasets/{second}/diff").json()
    third = next_of(running, writer, second)
    table = table_of(running, third)
    content = table.read_bytes()
    block(table)
    slow = threads.submit(get, running, f"/v1/datasets/{third}/diff")
    with open(table, "wb"):  # opens as soon as somebody reads
        others = [threads.submit(get, running, f"/v1/datasets/{third}/diff?against={first}") for _ in range(MOST_WAITING + 40)]
        refused = list(islice(as_completed(others, timeout=15), 40))
        assert writer.get("/readyz").status_code == 200
        assert writer.get(f"/v1/datasets/{second}/diff").json() == known
        table.unlink()
        table.write_bytes(content)
    assert problem(slow.result())["code"] == "bad_data"
    for each in refused:
        assert each.result().headers["retry-after"] == "5"
        assert problem(each.result())["code"] == "overloaded"
    assert [each.result().json()["rows"]["added"] for each in others if each not in refused] == [2] * MOST_WAITING


def test_a_comparison_waits_for_others_only_so_long(running: Running, writer: httpx.Client, threads: ThreadPoolExecutor):
    running.app.state.comparisons = Comparisons(wait_seconds=0.05)
    dataset = next_of(running, writer, made(running, writer))
    table = table_of(running, dataset)
    block(table)
    slow = threads.submit(get, running, f"/v1/datasets/{dataset}/diff")
    with open(table, "wb"):
        assert problem(writer.get(f"/v1/datasets/{dataset}/diff")) == {
            "type": "/docs/errors#overloaded",
            "title": "Overloaded",
            "status": 429,
            "code": "overloaded",
            "detail": "Other versions are being compared.",
            "hint": "Try again shortly.",
            "errors": [],
        }
    assert problem(slow.result())["code"] == "bad_data"
