"""What ten more rows cost: a job on 10,000 texts, then one on the same texts and ten more, through the whole service.

    python -m benchmarks.append_rows

Each pair is a fresh installation. The second job must compute ten rows, in at most 2 % of the time that the first took for its features.
"""

from __future__ import annotations

import csv
import statistics
import sys
import tempfile
from pathlib import Path

from headstart.cli.installation import down, up_in_background
from headstart.client import Headstart
from headstart.demos import dataset_file, default_assets_root
from headstart.engine import hardware
from headstart.specs.jobs import Job

ROWS, MORE = 10_000, 10
PAIRS = 5
MOST_SHARE = 0.02


def texts(target: Path, rows: int) -> Path:
    """The first film reviews of the demo data."""
    with open(dataset_file(default_assets_root(), "film"), newline="") as full, open(target, "w", newline="") as part:
        writer = csv.writer(part)
        writer.writerows(row for number, row in enumerate(csv.reader(full)) if number <= rows)
    return target


def pair(folder: Path) -> tuple[Job, Job]:
    home = folder / "home"
    up_in_background(home, port=0)
    try:
        with Headstart(home=home) as client:
            datasets = [client.upload(texts(folder / f"{rows}.csv", rows), name=f"film-{rows}") for rows in (ROWS, ROWS + MORE)]
            jobs = [client.adapt(dataset, target="label", model="film") for dataset in datasets]
            first, second = (job.wait(progress=False) for job in jobs)
            caches = [job.report().cache for job in jobs]
            if caches != [{"rows_computed": ROWS, "rows_reused": 0}, {"rows_computed": MORE, "rows_reused": ROWS}]:
                raise SystemExit(f"not a first job and one with {MORE} rows more: {caches}")
            return first, second
    finally:
        down(home)


def main() -> int:
    found = []
    for _ in range(PAIRS):
        with tempfile.TemporaryDirectory() as folder:
            found.append(pair(Path(folder)))
    print(hardware.measure().model_dump_json())
    print(f"| seconds | {ROWS:,} rows | {MORE} more |\n|---|---|---|")
    for name in ("features", "preparing"):
        columns = [[getattr(job.seconds, name) for job in jobs] for jobs in zip(*found, strict=True)]
        cells = [f"{statistics.median(column):.3f} ({min(column):.3f} – {max(column):.3f})" for column in columns]
        print(f"| {name} | {' | '.join(cells)} |")
    shares = [second.seconds.features / first.seconds.features for first, second in found]
    print(
        f"features, {MORE} more ÷ {ROWS:,}: {statistics.median(shares):.2%} ({min(shares):.2%} – {max(shares):.2%}); at most {MOST_SHARE:.0%}"
    )
    return 0 if statistics.median(shares) <= MOST_SHARE else 1


if __name__ == "__main__":
    sys.exit(main())
