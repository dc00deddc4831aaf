"""What the feature cache is worth: a first and a second job on the same 10,000 texts, through the whole service.

    python -m benchmarks.second_job

Each pair is a fresh installation: the first job computes every row, the second (another seed, so another split) finds them all.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.common import film, pairs_of_jobs, print_seconds, spread
from headstart.client import Headstart
from headstart.client.sugar import JobHandle
from headstart.engine import hardware

ROWS = 10_000
PAIRS = 5


def start(client: Headstart, folder: Path) -> Sequence[JobHandle]:
    dataset = client.upload(film(folder / "film.csv", ROWS), name="film")
    return [client.adapt(dataset, target="label", model="film", seed=seed) for seed in (0, 1)]


def main() -> int:
    found = pairs_of_jobs(PAIRS, start, computed=(ROWS, 0), rows=(ROWS, ROWS))
    print(hardware.measure().model_dump_json())
    print("| seconds | first job | second job |\n|---|---|---|")
    print_seconds(found, ("features", "preparing", "training", "evaluating"))
    ratios = [first.seconds.preparing / second.seconds.preparing for first, second in found]
    print(f"preparing, first ÷ second: {spread(ratios, 0)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
