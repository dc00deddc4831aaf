"""What is said on the wire, without saying it: a call, its request, when to try again, and what an answer means.

Nothing here sends, sleeps or draws lots; the shells (`http.py`) do, so that a synchronous and an asynchronous client share all of this.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, BinaryIO, Generic, TypeVar
from urllib.parse import quote as percent
from uuid import uuid4

import httpx
from pydantic import BaseModel, ValidationError

from headstart.errors import (
    BadInput,
    Conflict,
    Denied,
    Fault,
    HeadstartError,
    Locked,
    Malformed,
    NotFound,
    Overloaded,
    TooLarge,
    Unauthenticated,
    Unavailable,
    UnsupportedMedia,
)
from headstart.specs.problems import Problem

T = TypeVar("T")
Shape = TypeVar("Shape", bound=BaseModel)

UNEXPECTED = "unexpected_answer"
_FAMILY: Mapping[int, type[HeadstartError]] = {
    kind.status: kind
    for kind in (
        BadInput,
        Malformed,
        Unauthenticated,
        Denied,
        NotFound,
        Conflict,
        Locked,
        TooLarge,
        UnsupportedMedia,
        Overloaded,
        Unavailable,
    )
} | {502: Unavailable, 504: Unavailable}
_TRY_AGAIN = frozenset({429, 502, 503, 504})
_WAIT_FOR = frozenset({"dataset_not_ready", "idempotency_running"})
LONGEST_RETRY_AFTER = 120.0


@dataclass(frozen=True, slots=True)
class Upload:
    """A multipart body: small `fields` first, then the `file`, read from disk while it is sent."""

    fields: Mapping[str, str]
    file: Path | BinaryIO
    filename: str

    @contextmanager
    def opened(self) -> Iterator[BinaryIO]:
        """The file for all tries of one call; a file object of the caller's stays open."""
        if isinstance(self.file, Path):
            with self.file.open("rb") as file:
                yield file
        else:
            yield self.file


def multipart(file: str | Path | BinaryIO | None, fields: Mapping[str, str], schema: Mapping[str, str] | None) -> Upload:
    """A file with its fields.

    Raises:
        BadInput: there is no file.
    """
    if file is None:
        raise BadInput("invalid_field", "There is neither a file nor an upload.", "Give the file to send, or the id of a finished upload.")
    source = Path(file) if isinstance(file, str) else file
    stated = {} if schema is None else {"schema": json.dumps(dict(schema))}
    return Upload({**fields, **stated}, source, Path(str(getattr(source, "name", "upload"))).name)


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One operation with its arguments; `parse` turns the bytes of a good answer into its typed value."""

    method: str
    path: str
    parse: Callable[[bytes], T]
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | None = None
    upload: Upload | None = None
    idempotency_key: str | None = None
    wait_seconds: float = 0.0
    retried: bool = True

    def read(self, content: bytes) -> T:
        """The typed value of an answer's bytes.

        Raises:
            HeadstartError: `unexpected_answer`, when they have another shape than this client knows.
        """
        try:
            return self.parse(content)
        except ValidationError as error:
            where = ".".join(str(part) for part in error.errors(include_input=False, include_url=False)[0]["loc"]) or "the whole"
            raise HeadstartError(
                UNEXPECTED,
                f"The answer to {self.method} {self.path} has a shape this client does not know, at {where}.",
                "A newer server needs a newer client: pip install -U headstart.",
            ) from None
        except ValueError:
            raise HeadstartError(UNEXPECTED, f"The answer to {self.method} {self.path} is not JSON.", "Is the address right?") from None


def answer(shape: type[Shape]) -> Callable[[bytes], Shape]:
    """A parser for one shape; keys it does not know are passed over, because the contract may add some."""
    return lambda content: shape.model_validate_json(content, extra="ignore")


def nothing(_content: bytes) -> None:
    """The parser for an answer without a body (204)."""


def text(content: bytes) -> str:
    """The parser for a page."""
    return content.decode()


def mapping(content: bytes) -> dict[str, Any]:
    """The parser for an object whose keys are the server's own affair."""
    value = json.loads(content)
    if not isinstance(value, dict):
        raise ValueError("not an object")  # noqa: TRY004 - `Call.read` asks for ValueError
    return value


def route(*parts: str) -> str:
    """A path below `/v1`, each part percent-encoded; `reviews:3` and `reviews@prod` stay readable.

    Raises:
        BadInput: a part is empty or would climb to another path.
    """
    for part in parts:
        if part in {"", ".", ".."}:
            raise BadInput("invalid_field", "An id or name is empty.", "Give the id or name that the server listed.")
    try:
        return "/v1/" + "/".join(percent(part, safe="@:") for part in parts)
    except UnicodeEncodeError:
        raise BadInput("invalid_field", "An id or name holds characters that cannot be sent.") from None


def stated(**fields: str | None) -> dict[str, str]:
    """The fields of a body that are not left out."""
    return {name: value for name, value in fields.items() if value is not None}


def query(**params: str | int | None) -> dict[str, str]:
    """Query parameters without those that are None."""
    return {name: str(value) for name, value in params.items() if value is not None}


def body(value: BaseModel | Mapping[str, Any]) -> bytes:
    """A JSON body, written once, so that each try sends the same bytes.

    Raises:
        BadInput: it holds something JSON has no word for, such as NaN or a lone surrogate.
    """
    plain = value.model_dump(mode="json", exclude_unset=True) if isinstance(value, BaseModel) else dict(value)
    try:
        return json.dumps(plain, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError):
        raise BadInput(
            "invalid_field", "The request cannot be written as JSON.", "Use strings, finite numbers, booleans, None, lists and dicts."
        ) from None


def fresh_key(given: str | None = None) -> str:
    """The caller's idempotency key, or a new one; the same for every try of one call."""
    if given is None:
        return uuid4().hex
    if not given.strip() or not given.isascii() or not given.isprintable() or len(given) > 255:
        raise BadInput("invalid_field", "An idempotency key is 1 to 255 printable ASCII characters.")
    return given


def request_arguments(call: Call[T], file: BinaryIO | None, timeout_seconds: float) -> dict[str, Any]:
    """Keyword arguments of `httpx.Client.build_request`. Equal for each try, down to the multipart boundary."""
    headers: dict[str, str] = {"Accept": "application/json", **call.headers}
    if call.idempotency_key is not None:
        headers["Idempotency-Key"] = call.idempotency_key
    timeout = httpx.Timeout(timeout_seconds, connect=min(10.0, timeout_seconds), read=timeout_seconds + call.wait_seconds)
    arguments: dict[str, Any] = {"method": call.method, "url": call.path, "params": dict(call.params), "timeout": timeout}
    if call.content is not None:
        headers.setdefault("Content-Type", "application/json")
        arguments["content"] = call.content
    if call.upload is not None and file is not None:
        boundary = hashlib.sha256((call.idempotency_key or call.path).encode()).hexdigest()[:32]
        headers["Content-Type"] = f"multipart/form-data; boundary={boundary}"
        arguments["data"] = dict(call.upload.fields)
        arguments["files"] = {"file": (call.upload.filename, file, "application/octet-stream")}
    return arguments | {"headers": headers}


@dataclass(frozen=True, slots=True)
class Retries:
    """How long to keep trying: `failures` tries at most, and `patience_seconds` for what is merely not ready yet."""

    failures: int = 5
    first_pause_seconds: float = 0.25
    longest_pause_seconds: float = 8.0
    patience_seconds: float = 600.0

    def pause_seconds(self, failed: int, jitter: float, asked: int | None) -> float:
        """Before the next try, after so many that failed: at least what the server asked for."""
        backoff = min(self.longest_pause_seconds, self.first_pause_seconds * 2.0 ** (failed - 1))
        return max(float(asked or 0), backoff * (0.5 + 0.5 * jitter))


Outcome = httpx.Response | httpx.RequestError


@dataclass(slots=True)
class Tries:
    """The tries of one call so far, and what follows from the newest outcome."""

    call: Call[Any]
    retries: Retries
    jitter: Callable[[], float]
    failed: int = 0
    waited_seconds: float = 0.0

    def pause_after(self, outcome: Outcome) -> float | None:
        """None when the answer is good, else the seconds to wait before the next try.

        Raises:
            HeadstartError: what the server refused, or what kept failing.
        """
        if self._is_good(outcome):
            return None
        error = failure(self.call, outcome)
        pause = self._pause(outcome, error)
        if pause is None or not self.call.retried:
            raise error
        return pause

    def _is_good(self, outcome: Outcome) -> bool:
        if not isinstance(outcome, httpx.Response):
            return False
        # The try before this one may have deleted the row and lost its answer.
        return outcome.is_success or (outcome.status_code == 404 and self.call.method == "DELETE" and self.failed > 0)

    def _pause(self, outcome: Outcome, error: HeadstartError) -> float | None:
        asked = error.retry_after_seconds
        if asked is not None and asked > LONGEST_RETRY_AFTER:
            return None
        if error.code in _WAIT_FOR and error.status == Conflict.status:
            if asked is None or self.waited_seconds + asked > self.retries.patience_seconds:
                return None
            pause = max(asked, 0.1) + 0.1 * self.jitter()
            self.waited_seconds += pause
            return pause
        if not is_passing(outcome):
            return None
        self.failed += 1
        if self.failed >= self.retries.failures:
            return None
        return self.retries.pause_seconds(self.failed, self.jitter(), asked)


def is_passing(outcome: Outcome) -> bool:
    """Whether the same request may well succeed soon. A time-out is not: the work may still be going on."""
    if isinstance(outcome, httpx.Response):
        return outcome.status_code in _TRY_AGAIN
    return isinstance(outcome, httpx.NetworkError | httpx.RemoteProtocolError | httpx.ConnectTimeout)


def failure(call: Call[Any], outcome: Outcome) -> HeadstartError:
    """The error that an outcome stands for, of the same family the server raises."""
    if isinstance(outcome, httpx.RequestError):
        return _unreachable(call, outcome)
    try:
        problem = Problem.model_validate_json(outcome.content, extra="ignore")
    except ValidationError:
        return _stranger(outcome)
    kind = _FAMILY.get(outcome.status_code, BadInput if outcome.status_code < 500 else HeadstartError)
    error = kind(
        problem.code,
        problem.detail,
        problem.hint,
        faults=tuple(Fault(fault.pointer, fault.message, fault.row) for fault in problem.errors),
        retry_after_seconds=retry_after(outcome.headers),
    )
    error.add_note(f"request {problem.request_id}")
    return error


def _unreachable(call: Call[Any], error: httpx.RequestError) -> Unavailable:
    where = _origin(error)
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        hint = "Start one with `headstart up`, or say where it is in HEADSTART_URL."
        return Unavailable("unreachable", f"No server answers at {where}.", hint)
    if isinstance(error, httpx.TimeoutException):
        return Unavailable(
            "unreachable", f"{where} did not answer {call.method} {call.path} in time.", "Try again, or give a longer timeout."
        )
    return Unavailable("unreachable", f"The connection to {where} broke during {call.method} {call.path}.", "Try again.")


def _origin(error: httpx.RequestError) -> str:
    try:
        url = error.request.url
    except RuntimeError:  # a transport of a test may raise without a request
        return "the server's address"
    return f"{url.scheme}://{url.netloc.decode()}"


def _stranger(response: httpx.Response) -> HeadstartError:
    """An error that no Headstart wrote: a proxy's page, another service on that port."""
    kind = _FAMILY.get(response.status_code, HeadstartError if response.status_code < 500 else Unavailable)
    return kind(
        UNEXPECTED,
        f"The address answered {response.status_code} {response.reason_phrase}".rstrip() + ", not in Headstart's words.",
        "Is the address right, or does a proxy stand between?",
        retry_after_seconds=retry_after(response.headers),
    )


def retry_after(headers: httpx.Headers) -> int | None:
    """Seconds of a Retry-After header, in either form of RFC 9110 §10.2.3; None when there is none that can be read.

    A date is measured against the answer's own Date, so that a wrong clock here does not matter.
    """
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return int(value[:9])
    try:
        return max(0, round((parsedate_to_datetime(value) - parsedate_to_datetime(headers["date"])).total_seconds()))
    except (ValueError, TypeError, KeyError):
        return None
