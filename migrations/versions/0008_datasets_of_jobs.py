"""Jobs whose tasks learn from several datasets."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

JOBS = sa.table(
    "jobs",
    sa.column("id", sa.String),
    sa.column("status", sa.String),
    sa.column("spec", sa.JSON),
    sa.column("plan", sa.JSON),
    sa.column("report", sa.JSON),
    sa.column("error", sa.JSON),
    sa.column("owner", sa.String),
    sa.column("finished_at", sa.DateTime(timezone=True)),
    sa.column("status_at", sa.DateTime(timezone=True)),
)
ENDED = ["succeeded", "failed", "cancelled"]
ONE_ONLY = {
    "code": "bad_data",
    "message": "The tasks of the job learn from several datasets, and this release learns from one.",
    "hint": "Use the newer release.",
}


def upgrade() -> None:
    op.create_table(
        "job_datasets",
        sa.Column("job_id", sa.String(length=255), nullable=False),
        sa.Column("dataset_id", sa.String(length=255), nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["jobs.id"], name=op.f("fk_job_datasets_job_id")),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.id"], name=op.f("fk_job_datasets_dataset_id")),
        sa.PrimaryKeyConstraint("job_id", "dataset_id", name=op.f("pk_job_datasets")),
    )
    op.create_index(op.f("ix_job_datasets_dataset_id"), "job_datasets", ["dataset_id"])


def downgrade() -> None:
    """The older release knows one dataset a job, and no field that names another."""
    connection = op.get_bind()
    named = sa.table("job_datasets", sa.column("job_id", sa.String))
    unfinished = JOBS.c.id.in_(sa.select(named.c.job_id)) & JOBS.c.status.not_in(ENDED)
    ended = {"status": "failed", "error": ONE_ONLY, "owner": None, "finished_at": JOBS.c.status_at}
    connection.execute(sa.update(JOBS).where(unfinished).values(**ended))
    for (job,) in connection.execute(sa.select(JOBS.c.id)).all():  # one at a time: a report may be long
        here = JOBS.c.id == job
        spec, plan, report = connection.execute(sa.select(JOBS.c.spec, JOBS.c.plan, JOBS.c.report).where(here)).one()
        values = {"spec": without(spec), "plan": without(plan)}
        if report is not None and "tasks" in report:
            values["report"] = report | {"tasks": {name: plain(task) for name, task in report["tasks"].items()}}
        connection.execute(sa.update(JOBS).where(here).values(**values))
    op.drop_table("job_datasets")


def without(record: dict[str, Any]) -> dict[str, Any]:
    return record | {"tasks": [plain(task) for task in record["tasks"]]}


def plain(task: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in task.items() if name != "dataset"}
