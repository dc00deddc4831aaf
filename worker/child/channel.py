"""The child's end of the line: requests come in on a thread of their own, and when the line closes the process ends."""

from __future__ import annotations

import os
import queue
import socket
import threading
import time
from collections.abc import Callable
from typing import Any

from headstart.errors import HeadstartError
from headstart.specs.jobs import JobStatus
from worker.messages import Lines, Message, send

PROGRESS_SECONDS = 1.0
"""Progress is told at most so often: each telling is a transaction."""


Serve = Callable[[Message, "Channel"], None]
"""How a role answers one request."""


class Fenced(BaseException):
    """The supervisor no longer holds the work; not an Exception, so that nothing in between swallows it."""


class Channel:
    """Says things to the supervisor and takes its requests."""

    def __init__(self, connection: socket.socket, clock: Callable[[], float] = time.monotonic) -> None:
        self._connection, self._clock = connection, clock
        self._requests: queue.Queue[Message] = queue.Queue()
        self._last_progress = float("-inf")
        threading.Thread(target=self._read, name="control", daemon=True).start()

    def next_request(self) -> Message:
        return self._requests.get()

    def say(self, what: str, **fields: Any) -> None:  # noqa: ANN401 - JSON values
        send(self._connection, {"say": what, **fields})

    def failed(self, error: HeadstartError, **fields: Any) -> None:  # noqa: ANN401
        """Say that the attempt failed in a way that trying again would not change."""
        self.say("failed", failure={"code": error.code, "message": error.message, "hint": error.hint}, **fields)

    def stage(self, status: JobStatus) -> None:
        """Ask to enter `status`, and wait until the row is there.

        Raises:
            Fenced: the lease is lost.
        """
        self.say("stage", to=str(status))
        if not self._requests.get().get("go"):
            raise Fenced

    def progress(self, *, fraction: float, step: int, steps: int, epoch: int, epochs: int) -> None:
        now = self._clock()
        if now - self._last_progress < PROGRESS_SECONDS:
            return
        self._last_progress = now
        self.say("progress", progress={"fraction": fraction, "step": step, "steps": steps, "epoch": epoch, "epochs": epochs})

    def event(self, type: str, data: dict[str, Any]) -> None:  # noqa: A002 - the contract's word
        self.say("event", type=type, data=data)

    def _read(self) -> None:
        lines = Lines()
        while True:
            try:
                piece = self._connection.recv(1 << 16)
            except OSError:
                piece = b""
            if not piece:
                os._exit(0)  # the supervisor has gone: whatever this process does now is nobody's
            for message in lines.feed(piece):
                self._requests.put(message)
