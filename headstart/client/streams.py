"""Following a job live: server-sent events taken apart, and when a stream that broke off is opened again. Nothing here sends or sleeps.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import httpx

from headstart.client.protocol import LONGEST_RETRY_AFTER, UNEXPECTED, Call, Outcome, Retries, answer, failure, is_passing, query, route
from headstart.errors import HeadstartError, Unavailable
from headstart.specs.jobs import Event, JobStatus, LogLine

T = TypeVar("T")

STREAM = "text/event-stream"
END = "end"
"""The comment after which nothing follows."""

SILENT_SECONDS = 30.0
"""Added to the time-out: a server that has nothing to tell says so every 15 seconds."""

MOST_FAILURES = 12
"""Times in a row that a stream may not open or say nothing, about a minute: a server that is restarted is back by then."""


@dataclass(frozen=True, slots=True)
class Message:
    id: str
    event: str
    data: str


class Parser:
    """Messages from bytes that come in pieces of any size. `retry` is passed over: when to open again is decided here.

    Attributes:
        comment: the newest comment.
    """

    def __init__(self) -> None:
        self.comment: str | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._rest = ""
        self._after_return = False
        self._id = self._event = ""
        self._data: list[str] = []

    def feed(self, piece: bytes) -> list[Message]:
        """The messages that `piece` completes; one that is never completed is none."""
        text = self._decoder.decode(piece)
        if not text:
            return []
        if self._after_return:  # CR LF is one end of line, also when it comes in two pieces
            text = text.removeprefix("\n")
        self._after_return = text.endswith("\r")
        *lines, self._rest = re.split(r"\r\n|\n|\r", self._rest + text)
        return [message for line in lines if (message := self._take(line)) is not None]

    def _take(self, line: str) -> Message | None:
        if not line:
            return self._complete()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "":
                self.comment = value
            case "id" if "\0" not in value:
                self._id = value
            case "event":
                self._event = value
            case "data":
                self._data.append(value)
        return None

    def _complete(self) -> Message | None:
        event, data, self._event, self._data = self._event, self._data, "", []
        return Message(self._id, event or "message", "\n".join(data)) if data else None


@dataclass(frozen=True, slots=True)
class Stream(Generic[T]):
    """Rows to follow: `call` opens them and reads one row; `is_last` knows the message after which nothing follows, if one does."""

    call: Call[T]
    is_last: Callable[[Message], bool] = lambda _: False

    def read(self, message: Message) -> T:
        return self.call.read(message.data.encode())


def job_events(job: str, *, after: int | str | None = None) -> Stream[Event]:
    return Stream(_live(job, "events", after, answer(Event)), _ends_the_job)


def job_logs(job: str, *, after: int | str | None = None) -> Stream[LogLine]:
    return Stream(_live(job, "logs", after, answer(LogLine)))


def _live(job: str, rows: str, after: int | str | None, parse: Callable[[bytes], T]) -> Call[T]:
    return Call("GET", route("jobs", job, rows), parse, query(after=after), headers={"Accept": STREAM}, wait_seconds=SILENT_SECONDS)


def _ends_the_job(message: Message) -> bool:
    if message.event != "status":
        return False
    try:
        return JobStatus(json.loads(message.data)["data"]["to"]).terminal
    except (ValueError, KeyError, TypeError):  # whoever reads the message says what is wrong with it
        return False


def is_stream(response: httpx.Response) -> bool:
    return response.is_success and response.headers.get("content-type", "").startswith(STREAM)


class Following:
    """A stream as far as it was read, over all the connections that it takes."""

    def __init__(self, stream: Stream[Any], retries: Retries, jitter: Callable[[], float]) -> None:
        self.ended = False
        self._stream, self._retries, self._jitter = stream, retries, jitter
        self._parser = Parser()
        self._last = ""
        self._failed = 0

    def call(self) -> Call[Any]:
        """What opens the stream, the first time or where it broke off."""
        self._parser = Parser()  # half a message is sent again as a whole
        seen = {"Last-Event-ID": self._last} if self._last else {}
        return replace(self._stream.call, headers={**self._stream.call.headers, **seen})

    def take(self, piece: bytes) -> list[Message]:
        """The messages that `piece` completes."""
        self._failed = 0
        messages = self._parser.feed(piece)
        for number, message in enumerate(messages, start=1):
            self._last = message.id or self._last
            if self._stream.is_last(message):
                self.ended = True
                return messages[:number]
        self.ended = self._parser.comment == END
        return messages

    def pause_after(self, outcome: Outcome) -> float:
        """Seconds until the stream is to be opened again, after a connection that ended too early or never came to be.

        Raises:
            HeadstartError: what the server refused, or Unavailable when it stays away.
        """
        self._failed += 1
        error = self._error(outcome)
        asked, passing = error.retry_after_seconds, isinstance(error, Unavailable) or is_passing(outcome)
        if not passing or self._failed >= MOST_FAILURES or (asked or 0) > LONGEST_RETRY_AFTER:
            raise error
        return self._retries.pause_seconds(self._failed, self._jitter(), asked)

    def _error(self, outcome: Outcome) -> HeadstartError:
        path = self._stream.call.path
        if isinstance(outcome, httpx.Response) and is_stream(outcome):
            return Unavailable("unreachable", f"The stream of {path} breaks off again and again.", "Try again.")
        if isinstance(outcome, httpx.Response) and outcome.is_success:
            return HeadstartError(UNEXPECTED, f"The answer to GET {path} is not a stream.", "Is the address right?")
        return failure(self._stream.call, outcome)
