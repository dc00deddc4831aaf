"""How long `POST /v1/plans` takes when a workspace has 50 finished jobs to learn from: 200 requests to a running service.

python -m benchmarks.plans
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import update

from benchmarks.common import service
from benchmarks.fine_tuning import tweets
from headstart.cli.installation import settings_for
from headstart.client import Headstart
from headstart.specs.jobs import JobSpec, JobStatus
from headstart.specs.plans import Plan
from headstart.store import backbones, datasets, jobs, workspaces
from headstart.store.database import Database
from headstart.store.tables import Job

JOBS, REQUESTS = 50, 200


def add_finished_jobs(home: Path, spec: JobSpec, plan: Plan) -> None:
    """As if they had run: rows that no worker has seen."""
    database = Database(settings_for(home).database)
    with database.write() as session:
        workspace = workspaces.first_workspace(session)
        assert workspace is not None  # noqa: S101 - the service made it at its start
        parts = {
            "dataset": datasets.resolve_dataset(session, workspace.id, spec.dataset, pointer=""),
            "backbone": backbones.find_backbone(session, workspace.id, spec.backbone),
        }
        for _ in range(JOBS):
            job = jobs.create_job(session, workspace.id, spec, plan, **parts, parent=None, max_attempts=1, now=datetime.now(UTC))  # type: ignore[arg-type]
            report = {"actual": plan.estimate.model_dump(), "cache": {"rows_computed": 1, "rows_reused": 0}}
            session.execute(update(Job).where(Job.id == job.id).values(status=JobStatus.SUCCEEDED, report=report))
    database.close()


def main() -> int:
    with tempfile.TemporaryDirectory() as name, service(Path(name)) as home, Headstart(home=home) as client:
        dataset = client.upload(tweets(Path(name, "tweets.csv")), name="tweets")
        backbone = client.create_backbone(name="minilm-l6", source="demo:minilm-l6")
        while client.get_backbone(backbone.id).status == "pending":
            time.sleep(0.2)
        task = {"type": "text-classification", "inputs": {"text": "text"}, "target": "label"}
        spec = JobSpec.model_validate({"backbone": "minilm-l6", "dataset": dataset.id, "tasks": [task]})
        add_finished_jobs(home, spec, client.create_plan(spec))
        took = []
        for _ in range(REQUESTS):
            began = time.perf_counter()
            plan = client.create_plan(spec)
            took.append(1000 * (time.perf_counter() - began))
        print(plan.correction)
        print(f"p50 {statistics.median(took):.1f} ms, p95 {statistics.quantiles(took, n=20)[-1]:.1f} ms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
