"""The sweeper: finds leases whose counter has not moved, by this process's own clock, and ends their attempts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import structlog

from headstart.specs.problems import Failure
from headstart.store import leases
from headstart.store.database import Database
from worker.outcomes import Outcomes

log = structlog.get_logger()


class Sweeper:
    """Remembers when each counter last moved; no clock of another machine is asked."""

    def __init__(self, database: Database, outcomes: Outcomes, lease_seconds: float, monotonic: Callable[[], float]) -> None:
        self._database, self._outcomes, self._lease_seconds, self._now = database, outcomes, lease_seconds, monotonic
        self._seen: dict[tuple[str, str], tuple[int, int, float]] = {}

    def sweep(self, wall: datetime) -> int:
        """End what has been silent for a whole lease; gives how many attempts that were."""
        with self._database.read() as session:
            pulses = leases.leased(session)
        now, seen, ended = self._now(), {}, 0
        for pulse in pulses:
            key = (pulse.kind, pulse.id)
            epoch, beat, since = self._seen.get(key, (-1, -1, now))
            if (epoch, beat) != (pulse.epoch, pulse.beat):
                since = now
            seen[key] = (pulse.epoch, pulse.beat, since)
            if now - since >= self._lease_seconds:
                ended += self._end(pulse, wall)
        self._seen = seen
        return ended

    def _end(self, pulse: leases.Pulse, wall: datetime) -> bool:
        failure = Failure(code="worker_lost", message="The worker stopped answering.", hint="Look at the workers' logs.")
        ended = self._outcomes.lose(pulse.kind, pulse.id, pulse.epoch, failure, beat=pulse.beat, now=wall)
        if ended:
            log.warning("lease_expired", kind=pulse.kind, id=pulse.id, epoch=pulse.epoch)
        return ended
