"""Models as backbones: what a job starts from, and what its artifact stands on."""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


JOBS = sa.table("jobs", sa.column("id", sa.String), sa.column("plan", sa.JSON))


def upgrade() -> None:
    op.add_column("jobs", sa.Column("parent_id", sa.String(length=255), nullable=True))
    op.create_index(op.f("ix_jobs_parent_id"), "jobs", ["parent_id"])
    # In one statement with its constraint, which SQLite takes only so; copying the table would break the references to its rows.
    op.execute("ALTER TABLE artifacts ADD COLUMN parent_id VARCHAR(255) CONSTRAINT fk_artifacts_parent_id REFERENCES artifacts (id)")
    op.create_index(op.f("ix_artifacts_parent_id"), "artifacts", ["parent_id"])
    rewrite_plans(lambda plan: {**plan, "parent": None})


def downgrade() -> None:
    rewrite_plans(lambda plan: {key: value for key, value in plan.items() if key != "parent"})
    op.drop_index(op.f("ix_artifacts_parent_id"), "artifacts")
    op.drop_column("artifacts", "parent_id")
    op.drop_index(op.f("ix_jobs_parent_id"), "jobs")
    op.drop_column("jobs", "parent_id")


def rewrite_plans(change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Each stored plan is read by the shape that this release knows."""
    connection = op.get_bind()
    for job_id, plan in connection.execute(sa.select(JOBS.c.id, JOBS.c.plan)).all():
        connection.execute(sa.update(JOBS).where(JOBS.c.id == job_id).values(plan=change(plan)))
