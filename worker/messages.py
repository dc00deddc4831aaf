"""What supervisor and child say to each other: one JSON object a line over a socket pair."""

from __future__ import annotations

import json
import socket
from typing import Any

Message = dict[str, Any]

MOST_BYTES = 64 * 2**20
"""A longer line is not a message of ours."""


def send(connection: socket.socket, message: Message) -> None:
    """Send one message whole.

    Raises:
        OSError: the other side has gone, or does not read within the socket's timeout.
    """
    connection.sendall(json.dumps(message, ensure_ascii=True, allow_nan=False).encode() + b"\n")


class Lines:
    """The messages in a stream of bytes that arrives in pieces."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._waiting_bytes = 0

    def feed(self, piece: bytes) -> list[Message]:
        """The messages that `piece` completes.

        Raises:
            ValueError: a line is not a message.
        """
        first, newline, rest = piece.partition(b"\n")
        self._pieces.append(first)
        self._waiting_bytes += len(first)
        if self._waiting_bytes > MOST_BYTES:
            raise ValueError("a message without end")
        if not newline:
            return []
        *whole, last = [b"".join(self._pieces), *rest.split(b"\n")]
        self._pieces, self._waiting_bytes = [last], len(last)
        return [_message(line) for line in whole]


def _message(line: bytes) -> Message:
    value = json.loads(line)
    if not isinstance(value, dict):
        raise ValueError("not a message")  # noqa: TRY004 - to the reader of a stream, as wrong as broken JSON
    return value
