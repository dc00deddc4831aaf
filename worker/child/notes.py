"""What an attempt tells of how it goes: gathered, and told once a second at most, because each telling is a transaction."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from headstart.specs.jobs import LogLevel
from worker.messages import Message

NOTES_SECONDS = 1.0


class Notes:
    """Events, log lines and progress in the order in which they came; told on a thread of their own, so that a long step delays nothing.

    Args:
        tell: takes a message; OSError when nobody hears any more.
    """

    def __init__(self, tell: Callable[[Message], None], seconds: float = NOTES_SECONDS) -> None:
        self._tell, self._seconds = tell, seconds
        self._events: list[Message] = []
        self._lines: list[Message] = []
        self._progress: Message | None = None
        self._lock = threading.Lock()
        self._noted = threading.Event()
        self._teller: threading.Thread | None = None

    def event(self, type: str, data: dict[str, Any]) -> None:  # noqa: A002 - the contract's word
        with self._lock:
            self._events.append({"type": type, "data": data, "at": _now()})
        self._wake()

    def log(self, message: str, level: LogLevel = "info") -> None:
        with self._lock:
            self._lines.append({"message": message, "level": level, "at": _now()})
        self._wake()

    def progress(self, *, fraction: float, step: int, steps: int, epoch: int, epochs: int) -> None:
        """Only the newest is told."""
        data = {"fraction": fraction, "step": step, "steps": steps, "epoch": epoch, "epochs": epochs}
        with self._lock:
            self._progress = {"type": "progress", "data": data, "at": _now()}
        self._wake()

    def flush(self) -> None:
        """Tell now what was noted."""
        with self._lock:
            self._noted.clear()
            events = [*self._events, *([] if self._progress is None else [self._progress])]
            lines, self._events, self._lines, self._progress = self._lines, [], [], None
            if events or lines:
                self._tell({"say": "notes", "events": events, "lines": lines})

    def _wake(self) -> None:
        if self._teller is None:  # not before it is needed: its stack would count against the memory of a confined child
            self._teller = threading.Thread(target=self._tell_now_and_then, name="teller", daemon=True)
            self._teller.start()
        self._noted.set()

    def _tell_now_and_then(self) -> None:
        with suppress(OSError):  # the supervisor has gone, and this process is about to
            while True:
                self._noted.wait()
                self.flush()
                time.sleep(self._seconds)


def _now() -> str:
    return datetime.now(UTC).isoformat()
