"""The two shells, synchronous and asynchronous: they send what `protocol` says, as often as `protocol` says."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, BinaryIO, TypeVar
from urllib.parse import urlsplit

import httpx

from headstart import __version__
from headstart.client.credentials import Credentials
from headstart.client.protocol import Call, Outcome, Retries, Tries, request_arguments
from headstart.client.sending import Steps
from headstart.client.streams import Following, Message, Stream, is_stream
from headstart.errors import HeadstartError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the client takes from the world; a test gives its own."""

    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    jitter: Callable[[], float] = random.random  # from 0 up to 1
    transport: httpx.BaseTransport | None = None


class Connection:
    """One pool of connections to one server. Threads may share it."""

    def __init__(self, credentials: Credentials, *, timeout: float, retries: Retries, surroundings: Surroundings) -> None:
        self.url = credentials.url
        self.surroundings = surroundings
        self.retries = retries
        self._timeout = timeout
        self._http = httpx.Client(transport=surroundings.transport, **_options(credentials))

    def send(self, call: Call[T]) -> T:
        """Make a call and parse its answer."""
        return call.read(self.fetch(call))

    def run(self, steps: Steps[T]) -> T:
        """Do what steps say, one after the other; gives what comes of them."""
        do = partial(next, steps)
        while True:
            try:
                step = do()
            except StopIteration as end:
                value: T = end.value
                return value
            try:
                done = self._rest(step) if isinstance(step, float) else self.send(step)
            except HeadstartError as error:
                do = partial(steps.throw, error)
            else:
                do = partial(steps.send, done)

    def _rest(self, seconds: float) -> object:
        self.surroundings.sleep(seconds)
        return None

    def fetch(self, call: Call[Any]) -> bytes:
        """Make a call; its answer as it came over the wire.

        Raises:
            HeadstartError: what the server refused, or Unavailable when it cannot be reached.
        """
        tries = Tries(call, self.retries, self.surroundings.jitter)
        with call.upload.opened() if call.upload is not None else nullcontext() as file:
            while True:
                outcome = self._try(call, file)
                pause = tries.pause_after(outcome)
                if pause is None and isinstance(outcome, httpx.Response):
                    return outcome.content
                self.surroundings.sleep(pause or 0.0)

    def follow(self, stream: Stream[Any]) -> Iterator[Message]:
        """Messages as they come, to the end of the stream; one that breaks off is opened again where it was.

        Raises:
            HeadstartError: what the server refused, or Unavailable when it stays away for a minute.
        """
        following = Following(stream, self.retries, self.surroundings.jitter)
        outcome: Outcome
        while True:
            try:
                with self._http.stream(**request_arguments(following.call(), None, self._timeout)) as outcome:
                    if not is_stream(outcome):
                        outcome.read()
                    else:
                        for piece in outcome.iter_bytes():
                            yield from following.take(piece)
                            if following.ended:
                                return
            except httpx.RequestError as error:
                outcome = error
            self.surroundings.sleep(following.pause_after(outcome))

    def _try(self, call: Call[Any], file: BinaryIO | None) -> Outcome:
        if file is not None:
            file.seek(0)
        request = self._http.build_request(**request_arguments(call, file, self._timeout))
        try:
            return self._http.send(request)
        except httpx.RequestError as error:
            return error

    def close(self) -> None:
        self._http.close()


@dataclass(frozen=True, slots=True)
class AsyncSurroundings:
    """What the asynchronous client takes from the world."""

    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    jitter: Callable[[], float] = random.random
    transport: httpx.AsyncBaseTransport | None = None


class AsyncConnection:
    """The same for one event loop. An upload's file is read in the loop, a piece at a time."""

    def __init__(self, credentials: Credentials, *, timeout: float, retries: Retries, surroundings: AsyncSurroundings) -> None:
        self.url = credentials.url
        self.surroundings = surroundings
        self.retries = retries
        self._timeout = timeout
        self._http = httpx.AsyncClient(transport=surroundings.transport, **_options(credentials))

    async def send(self, call: Call[T]) -> T:
        """Make a call and parse its answer."""
        return call.read(await self.fetch(call))

    async def run(self, steps: Steps[T]) -> T:
        """Do what steps say, one after the other; gives what comes of them."""
        do = partial(next, steps)
        while True:
            try:
                step = do()
            except StopIteration as end:
                value: T = end.value
                return value
            try:
                done = await (self.surroundings.sleep(step) if isinstance(step, float) else self.send(step))
            except HeadstartError as error:
                do = partial(steps.throw, error)
            else:
                do = partial(steps.send, done)

    async def fetch(self, call: Call[Any]) -> bytes:
        """Make a call; its answer as it came over the wire.

        Raises:
            HeadstartError: what the server refused, or Unavailable when it cannot be reached.
        """
        tries = Tries(call, self.retries, self.surroundings.jitter)
        with call.upload.opened() if call.upload is not None else nullcontext() as file:
            while True:
                outcome = await self._try(call, file)
                pause = tries.pause_after(outcome)
                if pause is None and isinstance(outcome, httpx.Response):
                    return outcome.content
                await self.surroundings.sleep(pause or 0.0)

    async def follow(self, stream: Stream[Any]) -> AsyncIterator[Message]:
        """Messages as they come, to the end of the stream; one that breaks off is opened again where it was.

        Raises:
            HeadstartError: what the server refused, or Unavailable when it stays away for a minute.
        """
        following = Following(stream, self.retries, self.surroundings.jitter)
        outcome: Outcome
        while True:
            try:
                async with self._http.stream(**request_arguments(following.call(), None, self._timeout)) as outcome:
                    if not is_stream(outcome):
                        await outcome.aread()
                    else:
                        async for piece in outcome.aiter_bytes():
                            for message in following.take(piece):
                                yield message
                            if following.ended:
                                return
            except httpx.RequestError as error:
                outcome = error
            await self.surroundings.sleep(following.pause_after(outcome))

    async def _try(self, call: Call[Any], file: BinaryIO | None) -> Outcome:
        if file is not None:
            file.seek(0)
        request = self._http.build_request(**request_arguments(call, file, self._timeout))
        try:
            return await self._http.send(request)
        except httpx.RequestError as error:
            return error

    async def close(self) -> None:
        await self._http.aclose()


def _options(credentials: Credentials) -> dict[str, Any]:
    headers = {"User-Agent": f"headstart-client/{__version__}"}
    if credentials.key is not None:
        headers["Authorization"] = f"Bearer {credentials.key}"
    return {"base_url": credentials.url, "headers": headers, "trust_env": not _is_loopback(credentials.url)}


def _is_loopback(url: str) -> bool:
    """A server on this machine is never asked for through a proxy."""
    host = urlsplit(url).hostname or ""
    return host in {"localhost", "::1"} or host.startswith("127.")
