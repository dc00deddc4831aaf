"""What a waiting person sees: a bar on a terminal, a line now and then elsewhere, or nothing. Always on stderr."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from headstart.specs.jobs import Job

_LINE_SECONDS = 10.0


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
    """Status, share done and seconds, redrawn in place."""

    poll_seconds = 1.0

    def __init__(self, progress: Progress, title: str) -> None:
        self._progress = progress
        self._task = progress.add_task(title, total=1.0, status="")

    def show(self, job: Job) -> None:
        self._progress.update(self._task, completed=job.progress.fraction, status=job.status.value)


class Lines:
    """One line for each change of status, and one every ten seconds between."""

    poll_seconds = 2.0

    def __init__(self, console: Console, clock: Callable[[], float]) -> None:
        self._console = console
        self._clock = clock
        self._began = clock()
        self._said: tuple[str, float] | None = None

    def show(self, job: Job) -> None:
        now, status = self._clock(), job.status.value
        if self._said is not None and self._said[0] == status and now - self._said[1] < _LINE_SECONDS:
            return
        self._said = (status, now)
        self._console.print(Text(f"{job.id} {status} {job.progress.fraction:.0%} after {now - self._began:.0f} s"))


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
        )
        with Progress(*columns, console=console) as progress:
            yield Bar(progress, title)
    else:
        yield Lines(console, clock)
