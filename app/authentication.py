"""Who is calling: the key is checked before a byte of the body is read, and believed for a few seconds."""

from __future__ import annotations

import re
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import anyio
import structlog
from anyio import to_thread
from starlette.types import ASGIApp, Receive, Scope, Send

from app.services import Services
from headstart.errors import Denied, HeadstartError, Unauthenticated
from headstart.store import keys
from headstart.store.keys import Caller

log = structlog.get_logger()

OPEN_PATHS = frozenset({"/", "/livez", "/readyz", "/openapi.json", "/docs"})
OPEN_BELOW = "/docs/"
NOTED_EVERY = timedelta(minutes=1)
_KEY = re.compile(rb"(?i:bearer) +(hs_[A-Za-z0-9_-]{20,200}) *")


class RateLimited(HeadstartError):
    status = 429


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the tables that strangers can fill."""

    cached_keys: int = 4096
    addresses: int = 4096
    wrong_keys: int = 100
    """From one address in one window; only wrong keys are counted, and a right one always passes."""
    window_seconds: float = 60.0


class WrongKeys:
    """How many wrong keys each address has sent in its present window."""

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits, self._clock = limits, clock
        self._seen: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def count(self, address: str) -> None:
        """Count one more.

        Raises:
            RateLimited: there were too many.
        """
        now = self._clock()
        began, wrong = self._seen.pop(address, (now, 0))
        if now - began >= self._limits.window_seconds:
            began, wrong = now, 0
        self._seen[address] = (began, wrong + 1)
        while len(self._seen) > self._limits.addresses:
            self._seen.popitem(last=False)
        if wrong >= self._limits.wrong_keys:
            wait = max(1, round(began + self._limits.window_seconds - now))
            raise RateLimited("rate_limited", "Too many wrong keys came from this address.", "Check the key.", retry_after_seconds=wait)


class Callers:
    """Callers by key, from a cache of digests or from the store in a thread of its own."""

    def __init__(self, services: Services, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self._services, self._limits, self._clock = services, limits, clock
        self._cache: OrderedDict[str, tuple[float, Caller]] = OrderedDict()
        self._noted: OrderedDict[str, datetime] = OrderedDict()
        # Not the pool of the handlers: those may all wait for the database, and an answer of 401 should not.
        self._threads: anyio.CapacityLimiter | None = None

    async def find(self, secret: str) -> Caller | None:
        digest = keys.digest_of(secret)
        until, caller = self._cache.get(digest, (0.0, None))
        if caller is not None and self._clock() < until:
            return caller
        asked_at = self._clock()
        self._threads = self._threads or anyio.CapacityLimiter(4)
        caller = await to_thread.run_sync(self._look_up, secret, limiter=self._threads)
        if caller is None:
            self._cache.pop(digest, None)
            return None
        self._cache[digest] = (asked_at + self._services.settings.key_cache_seconds, caller)
        self._cache.move_to_end(digest)
        while len(self._cache) > self._limits.cached_keys:
            self._cache.popitem(last=False)
        return caller

    def _look_up(self, secret: str) -> Caller | None:
        now = self._services.clock()
        with self._services.database.read() as session:
            caller = keys.find_caller(session, secret, now=now)
        if caller is not None and now - self._noted.get(caller.key_id, now - 2 * NOTED_EVERY) >= NOTED_EVERY:
            self._note(caller, now)
        return caller

    def _note(self, caller: Caller, now: datetime) -> None:
        self._noted[caller.key_id] = now
        while len(self._noted) > self._limits.cached_keys:
            self._noted.popitem(last=False)
        try:
            with self._services.database.write() as session:
                keys.note_use(session, caller.key_id, now=now)
        except HeadstartError as error:  # a time that is a minute old is no reason to refuse a request
            log.warning("key_use_not_noted", key_id=caller.key_id, reason=error.code)


def needed_scope(method: str, path: str) -> str:
    """The scope for a request: one rule for all routes, so that a new one cannot forget it."""
    if path.startswith(("/v1/keys", "/v1/workspaces", "/v1/cache")):
        return "admin"
    reads = method in {"GET", "HEAD", "OPTIONS"} or (method == "POST" and (path.endswith("/predict") or path == "/v1/plans"))
    return "read" if reads else "write"


class Authentication:
    """ASGI middleware: puts the `Caller` into the scope's state, or refuses before the first `receive()`."""

    def __init__(self, app: ASGIApp, services: Services, limits: Limits) -> None:
        self.app = app
        self.callers = Callers(services, limits)
        self.wrong = WrongKeys(limits)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not (scope["path"] in OPEN_PATHS or scope["path"].startswith(OPEN_BELOW)):
            caller = await self._caller(scope)
            needed = needed_scope(scope["method"], scope["path"])
            if needed not in caller.scopes:
                raise Denied("scope_missing", f"This needs a key with the scope '{needed}'.", "An admin makes keys at POST /v1/keys.")
            scope["state"]["caller"] = caller
            structlog.contextvars.bind_contextvars(key_id=caller.key_id)
        await self.app(scope, receive, send)

    async def _caller(self, scope: Scope) -> Caller:
        sent = [value for name, value in scope["headers"] if name == b"authorization"]
        if not sent:
            raise Unauthenticated("unauthenticated", "There is no API key.", "Send `Authorization: Bearer hs_…`.")
        match = _KEY.fullmatch(sent[0]) if len(sent) == 1 else None
        caller = None if match is None else await self.callers.find(match[1].decode("ascii"))
        if caller is None:
            self.wrong.count((scope.get("client") or ("", 0))[0])
            raise Unauthenticated("unauthenticated", "The API key is wrong, expired or revoked.", "Send `Authorization: Bearer hs_…`.")
        return caller
