"""Connections to PostgreSQL that never wait long: for a lock, for a statement, or for a server that has gone silent."""

from __future__ import annotations

import time
from typing import Any, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.errors import ConnectionTimeout
from sqlalchemy import URL, Connection, Engine, create_engine, event, text

T = TypeVar("T")

CONNECT_SECONDS = 2
PING_SECONDS = 1.0
"""For the question whether a connection that lay in the pool still stands."""

SILENCE_SECONDS = 4.0
"""For the answer to any statement; the server itself gives up sooner. With connect and ping a request is refused within five seconds."""

POOL_SECONDS = 1.5

_OPTIONS = "-c statement_timeout=3s -c lock_timeout=2s -c idle_in_transaction_session_timeout=30s -c timezone=UTC"
_NETWORK = {"connect_timeout": CONNECT_SECONDS, "keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3}
_NETWORK |= {"tcp_user_timeout": 10_000}


class Patient(psycopg.Connection[Any]):
    """Closes itself when the server says nothing for `patience` seconds.

    The kernel notices a peer that has vanished, not one that takes bytes and never answers: a server that hangs, a proxy that stalls.
    """

    patience: float | None = SILENCE_SECONDS

    def wait(self, gen: PQGen[T], interval: float = 0.1, timeout: float | None = None) -> T:
        limit = self.patience if timeout is None else timeout
        began = time.monotonic()
        try:
            return super().wait(gen, interval, limit)
        except psycopg.OperationalError as error:
            if error.sqlstate is not None or limit is None or time.monotonic() - began < limit:
                raise
            self.pgconn.finish()
            raise ConnectionTimeout(f"the server said nothing for {limit:g} seconds") from error


def open_engine(url: URL) -> Engine:
    """Connect lazily; each connection is asked whether it still stands before it is used."""
    engine = create_engine(
        url,
        pool_pre_ping=True,
        pool_size=8,
        max_overflow=8,
        pool_timeout=POOL_SECONDS,
        connect_args={"options": _OPTIONS} | _NETWORK,
    )

    @event.listens_for(engine, "do_connect")
    def _connect(_dialect: object, _record: object, arguments: list[Any], options: dict[str, Any]) -> Patient:
        return Patient.connect(*arguments, **options)

    @event.listens_for(engine, "checkout")
    def _use(connection: Patient, _record: object, _proxy: object) -> None:
        connection.patience = SILENCE_SECONDS

    @event.listens_for(engine, "checkin")
    def _rest(connection: Patient | None, _record: object) -> None:
        if connection is not None:
            connection.patience = PING_SECONDS

    return engine


def lift_limits(connection: Connection) -> None:
    """Let this transaction take what it takes: a migration waits for another, and rewrites tables."""
    for limit in ("lock_timeout", "statement_timeout"):
        connection.execute(text(f"SET LOCAL {limit} = 0"))
    patient: Any = connection.connection.dbapi_connection
    patient.patience = None


def is_silence(error: BaseException | None) -> bool:
    """Whether this is a server that lets one wait, as against one that refuses at once."""
    return isinstance(error, ConnectionTimeout)
