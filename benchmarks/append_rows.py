"""What ten more rows cost: a job on 10,000 texts, then one on the same texts and ten more, through the whole service.

    python -m benchmarks.append_rows

Each pair is a fresh installation. The second job must compute ten rows, in at most 2 % of the time that the first took for its features.
"""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common import film, pairs_of_jobs, print_seconds
from headstart.client import Headstart
from headstart.client.sugar import JobHandle
from headstart.engine import hardware

ROWS, MORE = 10_000, 10
PAIRS = 5
MOST_SHARE = 0.02


def start(client: Headstart, folder: Path) -> Sequence[JobHandle]:
    datasets = [client.upload(film(folder / f"{rows}.csv", rows), name=f"film-{rows}") for rows in (ROWS, ROWS + MORE)]
    return [client.adapt(dataset, target="label", model="film") for dataset in datasets]


def main() -> int:
    found = pairs_of_jobs(PAIRS, start, computed=(ROWS, MORE), rows=(ROWS, ROWS + MORE))
    print(hardware.measure().model_dump_json())
    print(f"| seconds | {ROWS:,} rows | {MORE} more |\n|---|---|---|")
    print_seconds(found, ("features", "preparing"))
    shares = [second.seconds.features / first.seconds.features for first, second in found]
    print(
        f"features, {MORE} more ÷ {ROWS:,}: {statistics.median(shares):.2%} ({min(shares):.2%} – {max(shares):.2%}); at most {MOST_SHARE:.0%}"
    )
    return 0 if statistics.median(shares) <= MOST_SHARE else 1


if __name__ == "__main__":
    sys.exit(main())
