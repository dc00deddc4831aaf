"""What an attempt tells of itself goes out gathered and in order, and before whatever changes its stage or ends it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from worker.child.notes import Notes
from worker.messages import Message

SOON = 0.3
LATE = 3600.0


class Heard:
    """Messages as they come."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self._changed = threading.Condition()

    def __call__(self, message: Message) -> None:
        with self._changed:
            self.messages.append(message)
            self._changed.notify()

    def wait_for(self, count: int) -> list[Message]:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.messages) >= count, 20), self.messages
            return self.messages

    def words(self) -> list[str]:
        return [line["message"] for message in self.messages for line in message["lines"]]


def test_a_chatty_attempt_is_told_in_few_messages_without_a_line_lost():
    heard = Heard()
    notes = Notes(heard, SOON)
    began, said = time.monotonic(), 0
    while time.monotonic() - began < 5 * SOON:
        notes.log(f"line {said}")
        notes.event("metric", {"step": said})
        notes.progress(fraction=0.5, step=said, steps=said, epoch=1, epochs=1)
        said += 1
        time.sleep(0.001)
    notes.flush()
    assert heard.words() == [f"line {number}" for number in range(said)]
    steps = [event["data"]["step"] for message in heard.messages for event in message["events"] if event["type"] == "metric"]
    assert steps == list(range(said))
    assert 2 <= len(heard.messages) <= (time.monotonic() - began) / SOON + 2


def test_the_first_line_goes_out_at_once_and_the_next_without_waiting_for_another():
    heard = Heard()
    notes = Notes(heard, 0.05)
    for count, line in enumerate(("one", "two", "three"), start=1):
        notes.log(line)
        heard.wait_for(count)
    assert heard.words() == ["one", "two", "three"]


def test_of_progress_only_the_newest_is_told_after_the_events():
    heard = Heard()
    notes = Notes(heard, LATE)
    notes.log("the first goes at once")
    heard.wait_for(1)
    for step in range(5):
        notes.progress(fraction=step / 5, step=step, steps=5, epoch=1, epochs=1)
        notes.event("metric", {"step": step})
    notes.flush()
    notes.flush()
    events = [(event["type"], event["data"]["step"]) for event in heard.messages[1]["events"]]
    assert events == [("metric", 0), ("metric", 1), ("metric", 2), ("metric", 3), ("metric", 4), ("progress", 4)]
    assert len(heard.messages) == 2


SAYS = """
import socket, sys
from headstart.errors import EngineFault
from headstart.specs.jobs import JobStatus
from worker.child.channel import Channel
channel = Channel(socket.socket(fileno=int(sys.argv[1])))
channel.notes.log("one")
channel.stage(JobStatus.TRAINING)
channel.notes.log("two", "warning")
channel.notes.progress(fraction=0.5, step=1, steps=2, epoch=1, epochs=1)
channel.failed(EngineFault("bad_data", "No."))
"""


def test_what_was_noted_is_told_before_a_change_of_stage_and_before_the_end():
    """In a process of its own: a channel whose line closes ends its process."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(b'{"go": true}\n')
        command = [sys.executable, "-c", SAYS, str(theirs.fileno())]
        subprocess.run(command, pass_fds=[theirs.fileno()], cwd=Path(__file__).parents[2], check=True, timeout=60)
        theirs.close()
        messages = [json.loads(line) for line in ours.makefile()]
    said = [(message["say"], [line["message"] for line in message.get("lines", [])]) for message in messages]
    assert said == [("notes", ["one"]), ("stage", []), ("notes", ["two"]), ("failed", [])]
    assert messages[2]["lines"][0]["level"] == "warning"
    assert [event["type"] for event in messages[2]["events"]] == ["progress"]
