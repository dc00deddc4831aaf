"""A TCP proxy before a real server on this machine, that can be cut and stalled: what a network does to those who trust it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any

PIECE = 1 << 16


def _set() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


class Proxy:
    """Forwards `port` to a server on `upstream`; lives in an event loop on a thread of its own."""

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="proxy", daemon=True)
        self._thread.start()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._flowing = _set()
        self.port = 0
        self.heal()

    def cut(self) -> None:
        """End every connection at once, and refuse new ones."""
        self._run(self._cut())

    def stall(self) -> None:
        """Take connections and bytes, and pass nothing on: whoever waits for an answer waits for ever."""
        self._loop.call_soon_threadsafe(self._flowing.clear)

    def strand(self) -> None:
        """Stall the connections that there are, for ever; new ones are served: what a firewall does that has forgotten them."""
        self.stall()
        self._flowing = _set()

    def heal(self) -> None:
        """Go on: what was stalled arrives, what was cut can be connected to again, on the same port."""
        self._loop.call_soon_threadsafe(self._flowing.set)
        self._run(self._listen())

    def close(self) -> None:
        self._run(self._cut())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    async def _cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in self._writers:
            writer.transport.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        flowing = self._flowing
        try:
            await flowing.wait()
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._upstream)
            self._writers.add(inner_writer)
            await asyncio.gather(self._pipe(reader, inner_writer, flowing), self._pipe(inner_reader, writer, flowing))
            self._writers.discard(inner_writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            self._writers.discard(writer)
            self._tasks.discard(task)
            writer.transport.abort()

    async def _pipe(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, flowing: asyncio.Event) -> None:
        try:
            while piece := await reader.read(PIECE):
                await flowing.wait()
                writer.write(piece)
                await writer.drain()
        finally:
            with suppress(OSError):
                writer.close()


@contextmanager
def proxied(upstream: int) -> Iterator[Proxy]:
    proxy = Proxy(upstream)
    try:
        yield proxy
    finally:
        proxy.close()
