"""One uvicorn server over a bound socket, with the bounds that the service promises."""

from __future__ import annotations

import errno
import socket
import time
from types import FrameType

import uvicorn
from fastapi import FastAPI

from app.protocol import BoundedProtocol
from app.services import Services
from headstart.errors import HeadstartError
from headstart.settings import Settings

BACKLOG = 512
KEEP_ALIVE_SECONDS = 15
BIND_SECONDS = 3.0
"""How long the process before this one may take to let the port go."""


class Server(uvicorn.Server):
    """Tells the waiting requests first when it is told to stop."""

    def __init__(self, config: uvicorn.Config, services: Services) -> None:
        super().__init__(config)
        self._services = services

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._services.stopping.set()
        super().handle_exit(sig, frame)


def server_config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    """How every server of ours is set up; the bounds on heads, pauses and connections are the protocol's."""
    return uvicorn.Config(
        app,
        loop="uvloop",
        http=BoundedProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=settings.shutdown_seconds,
        h11_max_incomplete_event_size=2**16,
    )


def listen(settings: Settings) -> socket.socket:
    """The bound socket, so that port 0 has its number before anybody is told.

    Raises:
        HeadstartError: `unavailable`, the address is taken or not ours.
    """
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listening = socket.socket(family)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    until = time.monotonic() + BIND_SECONDS
    while True:
        try:
            listening.bind((settings.host, settings.port))
            break
        except OSError as error:
            if error.errno == errno.EADDRINUSE and time.monotonic() < until:
                time.sleep(0.1)
                continue
            listening.close()
            message = f"Cannot listen on {settings.host}, port {settings.port}: {error.strerror}."
            raise HeadstartError("unavailable", message, "Choose another with HEADSTART_PORT.") from error
    listening.listen(BACKLOG)
    listening.setblocking(False)  # noqa: FBT003 - the standard library's signature
    return listening


def url_of(listening: socket.socket, host: str) -> str:
    """The address that a client on this machine can ask."""
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        host = "127.0.0.1"
    return f"http://{f'[{host}]' if ':' in host else host}:{listening.getsockname()[1]}"
