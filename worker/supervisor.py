"""The supervisor: one thread that claims work, has children do it, renews leases, sweeps, and writes what came of it."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

import structlog

from headstart.blobs.local import LocalBlobs
from headstart.errors import HeadstartError, Unavailable
from headstart.settings import Settings, child_environment
from headstart.specs.ids import new_id
from headstart.specs.jobs import JobStatus
from headstart.specs.plans import Hardware
from headstart.specs.problems import Failure
from headstart.store import leases, workers
from headstart.store.database import Database
from headstart.store.leases import Lease
from worker import housekeeping
from worker.backbones import BackboneWork
from worker.caches import CacheNotes
from worker.datasets import DatasetWork
from worker.failpoints import reach
from worker.jobs import JobWork
from worker.messages import Message
from worker.outcomes import Outcomes
from worker.slot import Slot
from worker.sweeper import Sweeper
from worker.work import Work

log = structlog.get_logger()

_KINDS: tuple[Work, ...] = (DatasetWork(), BackboneWork(), JobWork())
WORK = {work.kind: work for work in _KINDS}
RETRY_SECONDS = 1.0
"""Pause before something that the database refused is tried again."""

READY_SECONDS = 180.0
"""A child that has not said `ready` for so long never will."""

SPAWN_PAUSE_SECONDS = (0.5, 2.0, 10.0)
"""Pause before a child that keeps dying before it is ready is started again."""


class Supervisor:
    """Runs until `stop()`; `ring()` makes it look at the table at once. Both may be called from any thread."""

    def __init__(self, settings: Settings, database: Database, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._settings, self._database, self._now = settings, database, monotonic
        self._blobs = LocalBlobs(settings.blob_folder)
        self.owner = f"{socket.gethostname()}/{os.getpid()}/{new_id('evt')[-6:]}"
        self._slots = [
            Slot("reader", tuple(kind for kind, work in WORK.items() if work.role == "reader")),
            Slot("engine", tuple(kind for kind, work in WORK.items() if work.role == "engine")),
        ]
        self._cache = CacheNotes(settings, database, now=_wall())
        self._outcomes = Outcomes(database, self._blobs, WORK)
        self._sweeper = Sweeper(database, self._outcomes, settings.lease_seconds, self._now)
        self._selector = selectors.DefaultSelector()
        self._bell, self._rope = socket.socketpair()
        for end in (self._bell, self._rope):
            end.settimeout(0.0)
        self._selector.register(self._bell, selectors.EVENT_READ, None)
        self._stopping = threading.Event()
        self._owed: list[Lease] = []
        """Work that was let go while the database was away: given back once it answers."""

    def ring(self) -> None:
        with suppress(BlockingIOError):  # so many rings wait already that one more says nothing new
            self._rope.send(b"!")

    def stop(self) -> None:
        self._stopping.set()
        self.ring()

    def run(self) -> None:
        """Claim, watch, renew, sweep, until stopped; then give back what is leased."""
        poll = renew = sweep = tidy = self._now()
        while not self._stopping.is_set():
            self._spawn()
            rung = self._listen(self._pause(poll, renew, sweep))
            now = self._now()
            try:
                rung = self._pay() or rung
                self._work_off()
                if rung or now >= renew:
                    renew = now + self._settings.beat_seconds
                    self._renew()
                if now >= sweep:
                    sweep = now + min(self._settings.beat_seconds, self._settings.lease_seconds / 3)
                    rung = bool(self._sweeper.sweep(_wall())) or rung
                if now >= tidy:
                    tidy = now + housekeeping.EVERY_SECONDS
                    self._tidy()
                if rung or now >= poll or self._finished():
                    poll = now + self._settings.poll_seconds
                    self._claim()
            except Unavailable as error:
                log.warning("database_away", error=error.message)
                self._fence()
                self._stopping.wait(RETRY_SECONDS)
        self._let_go()

    def _pause(self, *moments: float) -> float:
        """Until the next thing is due; short while a message waits for the database or a child must be started again."""
        if any(slot.inbox or slot.child is None for slot in self._slots):
            return min(RETRY_SECONDS, self._settings.beat_seconds)
        return max(0.0, min(moments) - self._now())

    def _spawn(self) -> None:
        for slot in self._slots:
            if slot.child is None and self._now() >= slot.spawn_at:
                child = slot.spawn(child_environment(computes=slot.role == "engine"), self._settings.device, self._now())
                self._selector.register(child.socket, selectors.EVENT_READ, slot)
                log.debug("child_started", role=slot.role, pid=child.pid)

    def _listen(self, seconds: float) -> bool:
        """Take in what children say; whether the doorbell rang."""
        rung = False
        for key, _ in self._selector.select(seconds):
            slot: Slot | None = key.data
            if slot is None:
                rung = bool(self._bell.recv(4096)) or rung
                continue
            messages = slot.child.receive() if slot.child is not None else None
            if messages is None:
                slot.closed = True
            else:
                slot.heard_at = self._now()
                slot.inbox.extend(messages)
        return rung

    def _work_off(self) -> None:
        """Answer what children said; a message stays in the inbox until the database has taken it."""
        for slot in self._slots:
            while slot.inbox:
                self._try(slot, lambda slot=slot: self._handle(slot, slot.inbox[0]))  # type: ignore[misc]
                if slot.inbox:
                    slot.inbox.popleft()
            if slot.closed:
                self._mourn(slot)
            elif slot.child is not None and not slot.ready and self._now() - slot.spawned_at > READY_SECONDS:
                log.error("child_not_ready", role=slot.role)
                self._bury(slot, killed=True)

    def _tidy(self) -> None:
        try:
            housekeeping.tidy(self._database, self._blobs, self._settings.cache)
        except OSError:  # somebody else took a file away meanwhile, or a disk is ill: the next hour will do
            log.exception("not_tidied")

    def _try(self, slot: Slot, action: Callable[[], None]) -> None:
        """What one piece of work makes go wrong ends that piece of work, not the other slot's and not the worker."""
        try:
            action()
        except Unavailable:
            raise
        except Exception:
            log.exception("attempt_not_written", role=slot.role, id=slot.lease.id if slot.lease is not None else None)
            self._end(slot, _internal(slot.lease))

    def _handle(self, slot: Slot, message: Message) -> None:
        match message["say"], slot.lease:
            case "ready", _:
                self._greet(slot, message)
            case "cache", _:
                self._cache.tell(message, now=_wall())
            case _, None:
                return  # said by an attempt that was dropped meanwhile
            case "stage", lease:
                go = self._outcomes.stage(lease, JobStatus(message["to"]), now=_wall())
                if not (slot.tell({"go": go}) and go):
                    self._end(slot, Failure(code="worker_lost", message="The attempt could not go on.", hint=None))
            case "notes", lease:
                self._outcomes.note(lease, message)
            case "done", lease:
                reach("publish.before_commit", self._settings.failpoint)
                self._outcomes.succeed(lease, message, now=_wall())
                self._cache.count(message)
                self._release(slot)
            case "failed", lease:
                log.info("attempt_trace", id=lease.id, code=message["failure"]["code"], trace=message.get("trace"))
                self._outcomes.fail(lease, Failure.model_validate(message["failure"]), message, now=_wall())
                self._release(slot)
            case "crashed", lease:
                self._outcomes.fail(lease, _internal(lease, message), message, now=_wall())
                self._release(slot)

    def _greet(self, slot: Slot, message: Message) -> None:
        slot.ready, slot.deaths, slot.finished = True, 0, True
        if "hardware" in message:
            hardware = Hardware.model_validate(message["hardware"])
            with self._database.write() as session:
                workers.register_worker(session, self.owner, host=socket.gethostname(), hardware=hardware, now=_wall())
            slot.tell(self._cache.request())

    def _finished(self) -> bool:
        """Whether a slot has become free since this was last asked."""
        free = [slot for slot in self._slots if slot.finished]
        for slot in free:
            slot.finished = False
        return bool(free)

    def _claim(self) -> None:
        reach("queued", self._settings.failpoint)
        for slot in self._slots:
            if not slot.ready or slot.lease is not None:
                continue
            with self._database.write() as session:
                lease = leases.claim_next(session, slot.kinds, owner=self.owner, now=_wall())
            if lease is None:
                continue
            log.info("claimed", kind=lease.kind, id=lease.id, attempt=lease.attempt, epoch=lease.epoch)
            slot.begin(lease, self._now())
            self._try(slot, lambda slot=slot, lease=lease: self._start(slot, lease))  # type: ignore[misc]

    def _start(self, slot: Slot, lease: Lease) -> None:
        """Send a claimed attempt to its child."""
        try:
            with self._database.read() as session:
                request = WORK[lease.kind].request(session, lease, self._settings, self._blobs)
        except Unavailable:
            slot.end_attempt()
            self._owed.append(lease)
            raise
        except HeadstartError as error:
            slot.end_attempt()
            self._outcomes.fail(lease, Failure(code=error.code, message=error.message, hint=error.hint), {}, now=_wall())
            return
        slot.seconds_allowed = WORK[lease.kind].seconds_allowed(request, self._settings)
        if not slot.tell(request):
            slot.closed = True

    def _renew(self) -> None:
        for slot in self._slots:
            if slot.lease is None:
                continue
            row = self._outcomes.renew(slot.lease)
            now = self._now()
            if row is None:
                log.warning("lease_lost", kind=slot.lease.kind, id=slot.lease.id, epoch=slot.lease.epoch)
                self._bury(slot, killed=True)
            elif row.status == JobStatus.CANCELLING:
                self._end(slot, Failure(code="worker_lost", message="cancelled", hint=None))
            elif slot.seconds_allowed is not None and now - slot.began_at > slot.seconds_allowed:
                seconds = slot.seconds_allowed
                self._outcomes.fail(slot.lease, _timed_out(seconds), {}, now=_wall())
                self._bury(slot, killed=True)
            elif now - slot.heard_at > self._settings.stall_seconds:
                seconds = self._settings.stall_seconds
                self._end(slot, Failure(code="worker_lost", message=f"The attempt said nothing for {seconds:g} seconds.", hint=None))
            else:
                slot.renewed_at = now

    def _fence(self) -> None:
        """Stop what could not be renewed for two thirds of its lease: somebody else may be about to claim it."""
        for slot in self._slots:
            if slot.lease is not None and self._now() - slot.renewed_at > self._settings.lease_seconds * 2 / 3:
                log.warning("self_fenced", kind=slot.lease.kind, id=slot.lease.id)
                self._owed.append(slot.lease)
                self._bury(slot, killed=True)

    def _pay(self) -> bool:
        """Give back what is owed, unless somebody has it by now; the attempt does not count. Whether there was anything."""
        owed = bool(self._owed)
        while self._owed:
            self._give_back(self._owed[0])
            del self._owed[0]
        return owed

    def _give_back(self, lease: Lease) -> None:
        with self._database.write() as session:
            leases.give_back(session, lease, now=_wall())
        log.info("given_back", kind=lease.kind, id=lease.id)

    def _mourn(self, slot: Slot) -> None:
        """A child has gone: its attempt is over, and the work waits for the next one."""
        lease, ready, status = slot.lease, slot.ready, self._bury(slot, killed=False)
        if lease is not None:
            log.warning("child_died", kind=lease.kind, id=lease.id, status=status)
            if status == -signal.SIGXCPU:
                self._outcomes.fail(lease, _timed_out(self._settings.read_cpu_seconds), {}, now=_wall())
            else:
                self._outcomes.lose(lease.kind, lease.id, lease.epoch, _death(status), now=_wall())
        elif not ready:
            slot.deaths += 1
            log.error("child_died_at_start", role=slot.role, status=status)
            slot.spawn_at = self._now() + SPAWN_PAUSE_SECONDS[min(slot.deaths, len(SPAWN_PAUSE_SECONDS)) - 1]

    def _end(self, slot: Slot, failure: Failure) -> None:
        """End an attempt that cannot go on, child and all. If the database is away now, the lease runs out by itself."""
        lease = slot.lease
        self._bury(slot, killed=True)
        if lease is not None:
            self._outcomes.lose(lease.kind, lease.id, lease.epoch, failure, now=_wall())

    def _bury(self, slot: Slot, *, killed: bool) -> int:
        """Let a child go, dead or killed now; gives its exit status. The next turn starts another in its place."""
        status = 0
        if slot.child is not None:
            self._selector.unregister(slot.child.socket)
            status = slot.child.end() if killed else slot.child.exit_status()
        slot.forget()
        return status

    def _release(self, slot: Slot) -> None:
        slot.end_attempt()
        if slot.role == "reader":  # used once
            self._bury(slot, killed=True)
        else:
            slot.tell(self._cache.request())

    def _let_go(self) -> None:
        """Stopping: end the children, and give back what they were at, so that another worker need not wait for the lease."""
        for slot in self._slots:
            lease = slot.lease
            self._bury(slot, killed=True)
            if lease is not None:
                try:
                    self._give_back(lease)
                except Unavailable:
                    log.warning("not_given_back", kind=lease.kind, id=lease.id)


def _wall() -> datetime:
    return datetime.now(UTC)


def _internal(lease: Lease | None, message: Message | None = None) -> Failure:
    incident = new_id("req")
    said = message or {}
    about = {} if lease is None else {"kind": lease.kind, "id": lease.id, "attempt": lease.attempt}
    log.error("attempt_crashed", incident=incident, error=said.get("error"), trace=said.get("trace"), **about)
    return Failure(
        code="internal", message=f"Something went wrong inside Headstart (incident {incident}).", hint="The worker's log says more."
    )


def _timed_out(seconds: float) -> Failure:
    return Failure(
        code="timed_out", message=f"It took longer than the {seconds:g} seconds it may.", hint="Give it less to do, or more time."
    )


def _death(status: int) -> Failure:
    how = f"signal {-status}" if status < 0 else f"status {status}"
    hint = "If it was for memory, lower training.max_tokens or take a smaller backbone." if status == -9 else None
    return Failure(code="worker_lost", message=f"The process that did the work ended with {how}.", hint=hint)
