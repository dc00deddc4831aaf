"""Feature caches: what each machine holds, and in a plan the dtype that features are kept in."""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

JOBS = sa.table("jobs", sa.column("id", sa.String), sa.column("plan", sa.JSON))


def upgrade() -> None:
    op.create_table(
        "caches",
        sa.Column("id", sa.String(length=255), nullable=False),
        sa.Column("host", sa.String(length=255), nullable=False),
        sa.Column("budget_bytes", sa.BigInteger(), nullable=False),
        sa.Column("keys", sa.JSON(), nullable=False),
        sa.Column("workspaces", sa.JSON(), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_caches")),
    )
    rewrite_caches(lambda cache: {**cache, "dtype": "float32"})


def downgrade() -> None:
    rewrite_caches(lambda cache: {key: value for key, value in cache.items() if key != "dtype"})
    op.drop_table("caches")


def rewrite_caches(change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Each stored plan is read by the shape that this release knows. Until now features were kept in float32."""
    connection = op.get_bind()
    for job_id, plan in connection.execute(sa.select(JOBS.c.id, JOBS.c.plan)).all():
        connection.execute(sa.update(JOBS).where(JOBS.c.id == job_id).values(plan={**plan, "cache": change(plan["cache"])}))
