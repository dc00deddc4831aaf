"""What estimates of time and memory are worth: small jobs through the whole service, as planned beside what they took.

    python -m benchmarks.estimates [--rounds 4]

Each round is a job of each method on 2,000 tweets. No job finds rows in the cache: each cuts texts at another length, all of them longer than
any tweet. From the fourth round on every kind of job has three before it, so that its estimates are corrected.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.common import service
from benchmarks.fine_tuning import tweets
from headstart.client import Headstart
from headstart.engine import hardware
from headstart.planning.history import uncorrected
from headstart.specs.history import PastJob
from headstart.specs.plans import Estimate

METHODS: dict[str, dict[str, Any]] = {
    "head, solved": {"type": "feature-extraction"},
    "head, by steps": {"type": "feature-extraction", "head": {"type": "linear", "solver": None}},
    "top_layers 2": {"type": "fine-tuning", "top_layers": 2},
    "lora": {"type": "lora"},
    "full": {"type": "fine-tuning", "trainable": ["*"]},
}
EPOCHS = {"head, by steps": 10}
"""One for all others; a head that is solved has none."""

MEASURES = ("preparing_seconds", "training_seconds", "evaluating_seconds", "peak_memory_bytes")
LONGEST_CUT = 250


def past_jobs(home: Path, table: Path, rounds: int) -> list[tuple[str, PastJob]]:
    """Each job that was run, by its method's name."""
    done = []
    with Headstart(home=home) as client:
        dataset = client.upload(table, name="tweets")
        for number in range(rounds * len(METHODS)):
            name = list(METHODS)[number % len(METHODS)]
            options: dict[str, Any] = {
                "method": METHODS[name],
                "training": {"epochs": EPOCHS.get(name, 1), "max_tokens": LONGEST_CUT - number},
                "evaluation": {"split_column": "split"},
            }
            job = client.adapt(dataset, target="label", model="tweets", backbone="demo:minilm-l6", **options).wait(progress=False)
            report, plan = client.get_job_report(job.id), job.plan
            past = PastJob(estimate=plan.estimate, correction=plan.correction, actual=report.actual, **report.cache)
            print(
                name, *(f"{getattr(past.estimate, of):,} {getattr(past.actual, of):,.3f};" for of in MEASURES), file=sys.stderr, flush=True
            )
            done.append((name, past))
    return done


def error(estimate: Estimate, actual: Estimate, measure: str) -> float:
    """How far off, by what it was."""
    told, was = getattr(estimate, measure), getattr(actual, measure)
    return float(abs(told - was) / was)


def whole_error(estimate: Estimate, actual: Estimate) -> float:
    told, was = (sum(getattr(each, measure) for measure in MEASURES[:3]) for each in (estimate, actual))
    return float(abs(told - was) / was)


def shown(measure: str, value: float) -> str:
    return f"{value / 2**20:,.0f} MiB" if measure.endswith("bytes") else f"{value:.2f}"


def print_tables(done: list[tuple[str, PastJob]]) -> None:
    print(f"| job | {' | '.join(MEASURES)} |\n|---|{'---|' * len(MEASURES)}")
    for name in METHODS:
        jobs = [job for method, job in done if method == name]
        cells = []
        for measure in MEASURES:
            each = (uncorrected(jobs[0]), jobs[-1].estimate)
            actual = statistics.median(getattr(job.actual, measure) for job in jobs)
            before, after = (shown(measure, getattr(estimate, measure)) for estimate in each)
            cells.append(f"{before} → {after}, took {shown(measure, actual)}")
        print(f"| {name} | {' | '.join(cells)} |")
    late = [job for _, job in done if job.correction is not None]
    print("\n| median error, % | all jobs, uncorrected | jobs with a history, uncorrected | the same, corrected |\n|---|---|---|---|")
    for measure in (*MEASURES, "all seconds"):
        found = [
            [whole_error(estimate, actual) if measure == "all seconds" else error(estimate, actual, measure) for estimate, actual in pairs]
            for pairs in (
                [(uncorrected(job), job.actual) for _, job in done],
                [(uncorrected(job), job.actual) for job in late],
                [(job.estimate, job.actual) for job in late],
            )
        ]
        print(f"| {measure} | {' | '.join(f'{100 * statistics.median(each):.0f}' if each else '–' for each in found)} |")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4)
    rounds = parser.parse_args().rounds
    print(hardware.measure().model_dump_json())
    with tempfile.TemporaryDirectory() as name, service(Path(name)) as home:
        print_tables(past_jobs(home, tweets(Path(name, "tweets.csv")), rounds))
    return 0


if __name__ == "__main__":
    sys.exit(main())
