"""What the feature cache is worth: a first and a second job on the same 10,000 texts, through the whole service.

    python -m benchmarks.second_job

Each pair is a fresh installation: the first job computes every row, the second (another seed, so another split) finds them all.
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

ROWS = 10_000
PAIRS = 5


def texts(target: Path) -> Path:
    """The first 10,000 film reviews of the demo data."""
    with open(dataset_file(default_assets_root(), "film"), newline="") as full, open(target, "w", newline="") as part:
        writer = csv.writer(part)
        writer.writerows(row for number, row in enumerate(csv.reader(full)) if number <= ROWS)
    return target


def pair(folder: Path) -> tuple[Job, Job]:
    home = folder / "home"
    up_in_background(home, port=0)
    try:
        with Headstart(home=home) as client:
            dataset = client.upload(texts(folder / "film.csv"), name="film")
            jobs = [client.adapt(dataset, target="label", model="film", seed=seed) for seed in (0, 1)]
            first, second = (job.wait(progress=False) for job in jobs)
            caches = [job.report().cache for job in jobs]
            if caches != [{"rows_computed": ROWS, "rows_reused": 0}, {"rows_computed": 0, "rows_reused": ROWS}]:
                raise SystemExit(f"not a first and a second job: {caches}")
            return first, second
    finally:
        down(home)


def main() -> int:
    found = []
    for _ in range(PAIRS):
        with tempfile.TemporaryDirectory() as folder:
            found.append(pair(Path(folder)))
    print(hardware.measure().model_dump_json())
    print("| seconds | first job | second job |\n|---|---|---|")
    for name in ("features", "preparing", "training", "evaluating"):
        columns = [[getattr(job.seconds, name) for job in jobs] for jobs in zip(*found, strict=True)]
        cells = [f"{statistics.median(column):.3f} ({min(column):.3f} – {max(column):.3f})" for column in columns]
        print(f"| {name} | {' | '.join(cells)} |")
    ratios = [first.seconds.preparing / second.seconds.preparing for first, second in found]
    print(f"preparing, first ÷ second: {statistics.median(ratios):.0f} ({min(ratios):.0f} – {max(ratios):.0f})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
