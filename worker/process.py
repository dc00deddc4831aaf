"""A child process as its supervisor sees it: started, spoken to, listened to, ended."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys

from worker.messages import Lines, Message, send

SEND_SECONDS = 5.0
"""A child that does not read for so long is as good as dead."""


class ChildProcess:
    """One `python -m worker.child`. The thread that makes it must outlive it: the kernel ties its death to that thread."""

    def __init__(self, role: str, environment: dict[str, str], device: str = "cpu") -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "worker.child", role, str(theirs.fileno()), str(os.getpid()), device],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=environment,
                start_new_session=True,
            )
        ours.settimeout(SEND_SECONDS)
        self.socket, self._lines = ours, Lines()
        self.role, self.ready = role, False

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, message: Message) -> bool:
        """Whether the message went out."""
        try:
            send(self.socket, message)
        except OSError:
            return False
        return True

    def receive(self) -> list[Message] | None:
        """What has arrived; None when the line is closed. Call when the socket is readable."""
        try:
            piece = self.socket.recv(1 << 20)
            return self._lines.feed(piece) if piece else None
        except (OSError, ValueError):
            return None

    def end(self) -> int:
        """Kill it with all it started, and reap it; gives its exit status, negative for a signal."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self.socket.close()
        return self._process.wait()

    def exit_status(self) -> int:
        """Of a child whose line is closed: how it ended by itself, or -9 if it had to be helped."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(2)
        return self.end()
