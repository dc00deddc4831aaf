"""Run a job spec that lies in a file: `python examples/run_spec.py examples/specs/bert.json`.

The file is the body of `POST /v1/jobs`, and is sent as it is. What it names is uploaded and registered first, if it is not there: by
default the demo dataset and the demo backbone of these names.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from headstart.client import Headstart
from headstart.client.sugar import JobHandle
from headstart.demos import dataset_file, default_assets_root
from headstart.errors import HeadstartError
from headstart.specs.reports import Report


def main() -> int:
    parser = argparse.ArgumentParser(description="Run a job spec that lies in a file, and see what came of it.")
    parser.add_argument("spec", type=Path, help="a JSON file: the body of POST /v1/jobs")
    parser.add_argument("--data", type=Path, help="the dataset's file (default: the demo dataset of the name in the spec)")
    parser.add_argument("--source", help="the backbone's source (default: demo:NAME, by the name in the spec)")
    parser.add_argument("--home", type=Path, help="home of the installation (default: HEADSTART_HOME or ~/.headstart)")
    options = parser.parse_args()
    spec = json.loads(options.spec.read_text(encoding="utf-8"))
    try:
        with Headstart(home=options.home) as client:
            provide(client, spec["dataset"], options.data)
            client.ensure_backbone(options.source or f"demo:{spec['backbone']}", name=spec["backbone"])
            job = JobHandle(client, client.create_job(spec))
            print(f"Job {job.id}: {spec['backbone']} on {spec['dataset']} …")
            job.wait()
            show_worth(client.get_job_report(job.id))
            print(f"The model is {job.model().reference}.")
    except HeadstartError as error:
        print(f"{error}\n({error.code})", file=sys.stderr)
        return 1
    return 0


def provide(client: Headstart, name: str, path: Path | None) -> None:
    """Upload the dataset, unless there is a ready one of this name."""
    found = client.find_dataset(name)
    if found is None or found.status != "ready":
        client.upload(path or dataset_file(default_assets_root(), name), name=name)


def show_worth(report: Report) -> None:
    """Each number of the test split, and the same number of what is compared with."""
    print(f"{report.trainable_parameters:,} parameters of the backbone and the heads learnt; {report.artifact_bytes:,} bytes are kept.")
    for name, task in report.tasks.items():
        print(f"\n{name}, {task.rows} {task.split} rows, classes {', '.join(task.classes)}")
        for metric, value in task.metrics.items():
            beside = [f"{baseline} {values[metric]:.3f}" for baseline, values in task.baselines.items() if metric in values]
            print(f"  {metric:<12} {value:.3f}   {', '.join(beside)}")


if __name__ == "__main__":
    sys.exit(main())
