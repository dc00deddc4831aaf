"""Resumable uploads, and datasets that are versions of others."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "uploads",
        sa.Column("id", sa.String(length=255), nullable=False),
        sa.Column("workspace_id", sa.String(length=255), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("received_bytes", sa.BigInteger(), nullable=False),
        sa.Column("about", sa.Text(), nullable=False),
        sa.Column("dataset_id", sa.String(length=255), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["workspace_id"], ["workspaces.id"], name=op.f("fk_uploads_workspace_id")),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.id"], name=op.f("fk_uploads_dataset_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_uploads")),
    )
    op.create_index(op.f("ix_uploads_workspace_id"), "uploads", ["workspace_id"])
    op.create_index(op.f("ix_uploads_expires_at"), "uploads", ["expires_at"])
    # In one statement with its constraint, which SQLite takes only so; copying the table would break the references to its rows.
    op.execute("ALTER TABLE datasets ADD COLUMN parent_id VARCHAR(255) CONSTRAINT fk_datasets_parent_id REFERENCES datasets (id)")
    op.create_index(op.f("ix_datasets_parent_id"), "datasets", ["parent_id"])
    op.add_column("datasets", sa.Column("parent_how", sa.String(length=255), nullable=True))
    op.add_column("datasets", sa.Column("parent_key", sa.String(length=255), nullable=True))


def downgrade() -> None:
    op.drop_column("datasets", "parent_key")
    op.drop_column("datasets", "parent_how")
    op.drop_index(op.f("ix_datasets_parent_id"), "datasets")
    op.drop_column("datasets", "parent_id")
    op.drop_table("uploads")
