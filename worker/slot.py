"""A slot: one child and what it is doing."""

from __future__ import annotations

from collections import deque

from headstart.store.leases import Lease
from worker.messages import Message
from worker.process import ChildProcess


class Slot:
    """State of one child; times are monotonic seconds."""

    def __init__(self, role: str, kinds: tuple[str, ...]) -> None:
        self.role, self.kinds = role, kinds
        self.child: ChildProcess | None = None
        self.inbox: deque[Message] = deque()
        self.lease: Lease | None = None
        self.ready = self.closed = self.finished = False
        self.deaths, self.spawn_at = 0, 0.0
        self.spawned_at = self.began_at = self.renewed_at = self.heard_at = 0.0
        self.seconds_allowed: float | None = None

    def spawn(self, environment: dict[str, str], device: str, now: float) -> ChildProcess:
        self.spawned_at = now
        self.child = ChildProcess(self.role, environment, device)
        return self.child

    def begin(self, lease: Lease, now: float) -> None:
        self.lease = lease
        self.began_at = self.renewed_at = self.heard_at = now

    def end_attempt(self) -> None:
        self.lease, self.seconds_allowed, self.finished = None, None, True

    def tell(self, message: Message) -> bool:
        """Whether the child took it."""
        return self.child is not None and self.child.send(message)

    def forget(self) -> None:
        """The child has gone."""
        self.child, self.lease, self.seconds_allowed = None, None, None
        self.ready = self.closed = self.finished = False
        self.inbox.clear()
