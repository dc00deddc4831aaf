"""The child's end of the line: requests come in on a thread of their own, and when the line closes the process ends."""

from __future__ import annotations

import os
import queue
import socket
import threading
from collections.abc import Callable
from typing import Any

from headstart.errors import HeadstartError
from headstart.specs.jobs import JobStatus
from worker.child.notes import Notes
from worker.messages import Lines, Message, send

Serve = Callable[[Message, "Channel"], None]
"""How a role answers one request."""


class Fenced(BaseException):
    """The supervisor no longer holds the work; not an Exception, so that nothing in between swallows it."""


class Channel:
    """Says things to the supervisor and takes its requests.

    Attributes:
        notes: what need not be said at once.
    """

    def __init__(self, connection: socket.socket) -> None:
        self.notes = Notes(self._send)
        self._connection = connection
        self._sending = threading.Lock()
        self._requests: queue.Queue[Message] = queue.Queue()
        threading.Thread(target=self._read, name="control", daemon=True).start()

    def next_request(self) -> Message:
        return self._requests.get()

    def say(self, what: str, **fields: Any) -> None:  # noqa: ANN401 - JSON values
        """Say it now, after all that was noted before."""
        self.notes.flush()
        self._send({"say": what, **fields})

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

    def _send(self, message: Message) -> None:
        with self._sending:
            send(self._connection, message)

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
