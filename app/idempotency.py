"""`Idempotency-Key`: the same POST again gets the first answer; while the first still runs, 409."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from headstart.errors import Conflict, invalid_field
from headstart.store.idempotency import Request

MAX_LENGTH = 255


class Running:
    """The repeatable requests that this process is answering right now."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys: set[tuple[str, str, str]] = set()

    @contextmanager
    def hold(self, workspace_id: str, route: str, key: str | None) -> Iterator[None]:
        """Keep the same key out until the block, commit included, has ended.

        Raises:
            Conflict: `idempotency_running`.
        """
        if key is None:
            yield
            return
        entry = (workspace_id, route, key)
        with self._lock:
            if entry in self._keys:
                raise Conflict(
                    "idempotency_running",
                    "The first request with this Idempotency-Key is still being answered.",
                    "Try again shortly.",
                    retry_after_seconds=1,
                )
            self._keys.add(entry)
        try:
            yield
        finally:
            with self._lock:
                self._keys.discard(entry)


def checked(key: str | None) -> str | None:
    """The header's value.

    Raises:
        BadInput: it is not 1 to 255 printable ASCII characters.
    """
    if key is not None and not (1 <= len(key) <= MAX_LENGTH and key.isascii() and key.isprintable()):
        raise invalid_field("/Idempotency-Key", f"An Idempotency-Key is 1 to {MAX_LENGTH} printable ASCII characters.")
    return key


def repeatable(workspace_id: str, route: str, key: str | None, *parts: bytes) -> Request | None:
    """What makes this POST the same as another: `parts` hold all that it says."""
    if key is None:
        return None
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return Request(workspace_id, route, key, digest.hexdigest())
