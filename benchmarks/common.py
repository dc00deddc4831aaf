"""What several benchmarks do alike: a service of their own, the demo's film reviews, a process for each size, a median with its range."""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from headstart.cli.installation import down, up_in_background
from headstart.client import Headstart
from headstart.client.sugar import JobHandle
from headstart.demos import dataset_file, default_assets_root
from headstart.specs.jobs import Job


@contextmanager
def service(folder: Path) -> Iterator[Path]:
    """The home of a fresh installation that runs."""
    home = folder / "home"
    up_in_background(home, port=0)
    try:
        yield home
    finally:
        down(home)


def film(target: Path, rows: int) -> Path:
    """The first film reviews of the demo data."""
    with open(dataset_file(default_assets_root(), "film"), newline="") as full, open(target, "w", newline="") as part:
        writer = csv.writer(part)
        writer.writerows(row for number, row in enumerate(csv.reader(full)) if number <= rows)
    return target


def pairs_of_jobs(
    pairs: int, start: Callable[[Headstart, Path], Sequence[JobHandle]], computed: Sequence[int], rows: Sequence[int]
) -> list[tuple[Job, Job]]:
    """Two jobs, one after the other in a fresh installation, so many times.

    Args:
        start: creates both.
        computed: rows that each must compute, of `rows`.

    Raises:
        SystemExit: a job computed another number of rows.
    """
    wanted = [{"rows_computed": new, "rows_reused": of - new} for new, of in zip(computed, rows, strict=True)]
    found = []
    for _ in range(pairs):
        with tempfile.TemporaryDirectory() as name, service(Path(name)) as home, Headstart(home=home) as client:
            jobs = start(client, Path(name))
            first, second = (job.wait(progress=False) for job in jobs)
            caches = [job.report().cache for job in jobs]
            if caches != wanted:
                raise SystemExit(f"not what the jobs should have computed: {caches}")
            found.append((first, second))
    return found


def print_seconds(found: Sequence[tuple[Job, Job]], names: Sequence[str]) -> None:
    """A line for each stage, the first jobs beside the second."""
    for name in names:
        columns = [[getattr(job.seconds, name) for job in jobs] for jobs in zip(*found, strict=True)]
        print(f"| {name} | {' | '.join(spread(column, 3) for column in columns)} |")


def spread(values: Sequence[float], digits: int = 1) -> str:
    """Median (least – most)."""
    return f"{statistics.median(values):,.{digits}f} ({min(values):,.{digits}f} – {max(values):,.{digits}f})"


def by_size(
    module: str,
    about: str | None,
    sizes: Sequence[int],
    measure: Callable[[Path, int], dict[str, float]],
    prepare: Callable[[Path, int], object] = lambda _folder, _rows: None,
) -> Iterator[tuple[int, dict[str, float]]]:
    """What `measure` gives for each number of rows, each in a process of its own: `module` started again with `--one`.

    Args:
        about: of the command line.
        prepare: fills the folder first, in this process.
    """
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="*", default=sizes)
    parser.add_argument("--folder", type=Path, help="where to write; a temporary folder by default")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one is not None:  # before the caller has printed anything
        print(json.dumps(measure(options.folder, options.one)))
        sys.exit(0)

    def each() -> Iterator[tuple[int, dict[str, float]]]:
        for rows in options.rows:
            with tempfile.TemporaryDirectory(dir=options.folder) as folder:
                prepare(Path(folder), rows)
                command = [sys.executable, "-m", module, "--one", str(rows), "--folder", folder]
                yield rows, json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)

    return each()
