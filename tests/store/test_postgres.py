"""A PostgreSQL that goes away, in every way a network knows: refused within five seconds, in words, and well again afterwards."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from headstart.errors import BadInput, Unavailable
from headstart.store.database import Database
from headstart.store.migrate import migrate
from tests.proxy import Proxy, proxied
from tests.store.databases import empty_database

PROMISED_SECONDS = 5.0


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    with proxied(5432) as made:
        yield made


@pytest.fixture
def database(proxy: Proxy, tmp_path: Path) -> Iterator[Database]:
    with empty_database("postgresql", tmp_path) as url:
        opened = Database(url.replace(":5432", f":{proxy.port}"))
        migrate(opened)
        yield opened
        opened.close()


def ask(database: Database) -> float:
    """The seconds until it refused."""
    began = time.monotonic()
    with pytest.raises(Unavailable), database.read() as session:
        session.execute(text("SELECT 1"))
    return time.monotonic() - began


def test_a_server_that_is_silent_from_one_moment_to_the_next_is_refused_within_five_seconds(database: Database, proxy: Proxy):
    with database.read() as session:
        session.execute(text("SELECT 1"))
    proxy.stall()
    assert ask(database) < PROMISED_SECONDS
    proxy.heal()
    time.sleep(1.1)
    with database.read() as session:
        assert session.scalar(text("SELECT 1")) == 1


@pytest.mark.slow
def test_a_server_that_falls_silent_within_a_transaction_is_refused_within_five_seconds(database: Database, proxy: Proxy):
    with pytest.raises(Unavailable), database.write() as session:
        session.execute(text("SELECT 1"))
        proxy.stall()
        began = time.monotonic()
        session.execute(text("SELECT 1"))
    assert time.monotonic() - began < PROMISED_SECONDS


def test_many_who_ask_a_silent_server_at_once_do_not_wait_in_a_row(database: Database, proxy: Proxy):
    proxy.stall()
    waited: list[float] = []
    threads = [threading.Thread(target=lambda: waited.extend(ask(database) for _ in range(5))) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(waited) == 100
    assert max(waited) < PROMISED_SECONDS


def test_a_server_that_refuses_is_refused_at_once_and_is_well_again_at_once(database: Database, proxy: Proxy):
    proxy.cut()
    assert ask(database) < 1
    proxy.heal()
    with database.read() as session:
        assert session.scalar(text("SELECT 1")) == 1


def test_a_migration_waits_for_another_longer_than_any_request_may(database: Database):
    """The lock of a migration that is running is held for six seconds."""
    from headstart.store.migrate import ADVISORY_LOCK

    held = threading.Event()

    def hold():
        with database.engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_LOCK})
            held.set()
            time.sleep(6)

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(5)
    began = time.monotonic()
    migrate(database)
    assert time.monotonic() - began > 5
    thread.join()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("nonsense", "is not a database URL"),
        ("postgresql+psycopg://host:port/name", "is not a database URL"),
        ("postgres://host/name", "begins with 'postgres'"),
        ("mysql://host/name", "begins with 'mysql'"),
        ("postgresql+asyncpg://host/name", "begins with 'postgresql+asyncpg'"),
    ],
)
def test_a_url_that_can_never_work_is_refused_at_once_in_words_that_show_no_password(url: str, words: str):
    with pytest.raises(BadInput, match=words.replace("+", r"\+")) as caught:
        Database(url.replace("//", "//user:secret@"))
    assert "secret" not in str(caught.value)
    assert "postgresql+psycopg://" in str(caught.value)


def test_an_option_that_the_driver_does_not_know_is_refused(tmp_path: Path):
    with empty_database("postgresql", tmp_path) as url:
        database = Database(f"{url}?bogus=1")
        with pytest.raises(BadInput, match="option"):
            migrate(database)
        database.close()
