"""What the tests say to a reader: it is started as the supervisor starts it, and asked with all that a request holds."""

from __future__ import annotations

import select
from pathlib import Path
from typing import Any

from headstart.settings import child_environment
from worker.messages import Message
from worker.process import ChildProcess


def start_reader() -> ChildProcess:
    """A reader that has said that it is ready."""
    child = ChildProcess("reader", child_environment(computes=False) | {"PYTHONPATH": str(Path(__file__).parents[2])})
    assert hear(child) == {"say": "ready"}
    return child


def hear(child: ChildProcess, seconds: float = 30.0) -> Message | None:
    """The next message, or None when the line closes."""
    while True:
        readable, _, _ = select.select([child.socket], [], [], seconds)
        assert readable, "the child says nothing"
        messages = child.receive()
        if messages is None:
            return None
        if messages:
            return messages[0]


def ask(child: ChildProcess, source: Path, *, seconds: float = 30.0, **changes: Any) -> Message | None:
    """What it answers when it is asked to read `source`, with little memory and time unless `changes` say otherwise."""
    request: Message = {
        "do": "dataset",
        "source": str(source),
        "target": str(source.with_suffix(".arrow")),
        "format": source.suffix[1:],
        "types": {},
        "mode": "strict",
        "parent": None,
        "max_problems": 10,
        "memory_bytes": 2**30,
        "cpu_seconds": 20,
        "file_bytes": 2**30,
    }
    assert child.send(request | changes)
    return hear(child, seconds)
