"""What a waiting person sees: a bar on a terminal, a line now and then elsewhere, or nothing. Always on stderr."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.text import Text

from headstart.specs.jobs import Job, JobStatus

_LINE_SECONDS = 10.0
_SMOOTHING = 0.25
"""The speed is that of about so much of the time gone by, and of `_LEAST_SMOOTHING_SECONDS` at least."""
_LEAST_SMOOTHING_SECONDS = 5.0


class TimeLeft:
    """How long a job will still take: by its plan at first, then more and more by how its progress moves."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._attempt = -1
        self._began = self._moved = clock()
        self._fraction = self._per_second = 0.0

    def after(self, job: Job) -> float | None:
        """Seconds from now, given how the job is now; None when nobody knows, because it is slower than it was ever seen to be."""
        if job.status.terminal:
            return 0.0
        now, fraction = self._clock(), job.progress.fraction
        if job.attempt != self._attempt or fraction < self._fraction or job.status is JobStatus.QUEUED:
            self._begin(job, now)
        elif fraction > self._fraction:
            self._move(fraction, now)
        if self._per_second <= 0.0:
            return None
        left = (1.0 - fraction) / self._per_second - (now - self._moved)
        return left if left >= 0.0 else None

    def _begin(self, job: Job, now: float) -> None:
        estimate = job.plan.estimate
        whole = estimate.preparing_seconds + estimate.training_seconds + estimate.evaluating_seconds
        self._attempt, self._fraction = job.attempt, job.progress.fraction
        self._began = self._moved = now
        self._per_second = 1.0 / whole if whole > 0.0 else 0.0

    def _move(self, fraction: float, now: float) -> None:
        """Let the speed since the last move weigh as much as its share of the time it is smoothed over."""
        took = max(now - self._moved, 1e-3)
        seen = (fraction - self._fraction) / took
        weight = 1.0 - math.exp(-took / max(_LEAST_SMOOTHING_SECONDS, _SMOOTHING * (now - self._began)))
        self._per_second += weight * (seen - self._per_second)
        self._fraction, self._moved = fraction, now


def spoken(seconds: float | None) -> str:
    """`12 s`, `3 min 20 s`, `2 h 5 min`; a dash for what is not known."""
    if seconds is None:
        return "—"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


class Watch(Protocol):
    """Something that shows a job as it was last seen; `poll_seconds` is how often it wants to see it."""

    poll_seconds: float

    def show(self, job: Job) -> None: ...


class Silence:
    """Shows nothing, so one long poll at a time is enough."""

    poll_seconds = 30.0

    def show(self, job: Job) -> None:
        del job


class Bar:
    """Status, share done, seconds gone and left, redrawn in place."""

    poll_seconds = 1.0

    def __init__(self, progress: Progress, title: str, clock: Callable[[], float]) -> None:
        self._progress = progress
        self._left = TimeLeft(clock)
        self._task = progress.add_task(title, total=1.0, status="", left=spoken(None))

    def show(self, job: Job) -> None:
        left = spoken(self._left.after(job))
        self._progress.update(self._task, completed=job.progress.fraction, status=job.status.value, left=left)


class Lines:
    """One line for each change of status, and one every ten seconds between."""

    poll_seconds = 2.0

    def __init__(self, console: Console, clock: Callable[[], float]) -> None:
        self._console = console
        self._clock = clock
        self._began = clock()
        self._left = TimeLeft(clock)
        self._said: tuple[str, float] | None = None

    def show(self, job: Job) -> None:
        now, status = self._clock(), job.status.value
        left = self._left.after(job)
        if self._said is not None and self._said[0] == status and now - self._said[1] < _LINE_SECONDS:
            return
        self._said = (status, now)
        rest = "" if job.status.terminal else f", {spoken(left)} left"
        self._console.print(Text(f"{job.id} {status} {job.progress.fraction:.0%} after {spoken(now - self._began)}{rest}"))


@contextmanager
def watch_upload(filename: str, *, show: bool, console: Console | None = None) -> Iterator[Callable[[int, int], None]]:
    """A bar of bytes on a terminal, and nothing elsewhere; gives what is to be told how many are there, and how many there will be."""
    console = console or Console(stderr=True)
    if not (show and console.is_terminal):
        yield lambda _there, _whole: None
        return
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(filename, total=None)
        yield lambda there, whole: progress.update(task, completed=there, total=whole)


@contextmanager
def watch(title: str, *, show: bool, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> Iterator[Watch]:
    """The display that fits where stderr goes."""
    console = console or Console(stderr=True)
    if not show:
        yield Silence()
    elif console.is_terminal:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[status]}"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]} left"),
        )
        with Progress(*columns, console=console) as progress:
            yield Bar(progress, title, clock)
    else:
        yield Lines(console, clock)
