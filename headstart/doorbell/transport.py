"""The queue folder: kombu's filesystem transport, made safe.

The stock transport writes a message in place, so a producer that dies in between leaves a torn file, and a consumer that
reads it exits (celery/kombu#1551). Here a message gets its name when it is whole, and one that cannot be read is dropped:
the row is the truth, and the worker looks by itself every few seconds.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from pathlib import Path
from queue import Empty
from typing import Any

import structlog
from kombu.transport import TRANSPORT_ALIASES, filesystem

log = structlog.get_logger()

SCHEME = "headstart-folder"
SUFFIX = ".ring"

MOST_WAITING = 1000
"""Where no worker hears, one ring more says nothing new."""

MOST_BYTES = 2**16
"""A ring is a few hundred bytes; what is larger is not ours."""


class Channel(filesystem.Channel):
    """One folder of `<time>_<random>.<queue>.ring` files; exchanges need no table, for the routing key is the queue."""

    @property
    def folder(self) -> Path:
        folder = Path(self.transport_options["folder"])
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def get_table(self, exchange: str) -> list[Any]:  # noqa: ARG002 - kombu's signature
        return []

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str, queue: str) -> None:
        """There is no table to write."""

    def _lookup(self, exchange: str, routing_key: str, default: str | None = None) -> list[str]:  # noqa: ARG002
        return [routing_key]

    def _put(self, queue: str, message: Any, **_: Any) -> None:  # type: ignore[override] # noqa: ANN401 - kombu passes routing words
        if self._size(queue) >= MOST_WAITING:
            return
        name = f"{time.time_ns():020d}_{uuid.uuid4().hex}.{queue}{SUFFIX}"
        temporary = self.folder / f".{name}"
        try:
            temporary.write_bytes(json.dumps(message).encode())
            os.rename(temporary, self.folder / name)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise

    def _messages(self, queue: str) -> list[Path]:
        ending = f".{queue}{SUFFIX}"
        with os.scandir(self.folder) as entries:
            return sorted(Path(entry) for entry in entries if entry.name.endswith(ending) and not entry.name.startswith("."))

    def _get(self, queue: str, timeout: float | None = None) -> Any:  # noqa: ANN401, ARG002 - kombu's signature
        for path in self._messages(queue):
            taken = path.with_name(f".taken-{uuid.uuid4().hex}")
            try:
                os.rename(path, taken)  # of several workers one wins
                with open(taken, "rb") as file:
                    content = file.read(MOST_BYTES + 1)
                taken.unlink()
            except OSError:
                continue
            message = _message(content)
            if message is not None:
                return message
            log.warning("torn_message_dropped", file=path.name, bytes=len(content))
        raise Empty

    def _size(self, queue: str) -> int:
        return len(self._messages(queue))

    def _purge(self, queue: str) -> int:
        messages = self._messages(queue)
        for path in messages:
            path.unlink(missing_ok=True)
        return len(messages)

    def _delete(self, queue: str, *_args: object, **_kwargs: object) -> None:
        self._purge(queue)


def _message(content: bytes) -> dict[str, Any] | None:
    """The message that kombu wrote, None for anything else: torn, foreign, or made to hurt."""
    try:
        message = json.loads(content) if len(content) <= MOST_BYTES else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(message, dict) or not isinstance(message.get("body"), str):
        return None
    properties = message.get("properties")
    known = isinstance(properties, dict) and isinstance(properties.get("delivery_info"), dict) and "delivery_tag" in properties
    return message if known and isinstance(message.get("headers", {}), dict) else None


class Transport(filesystem.Transport):
    Channel = Channel


def register() -> None:
    """Make `headstart-folder://` known to kombu."""
    TRANSPORT_ALIASES[SCHEME] = f"{__name__}:Transport"
