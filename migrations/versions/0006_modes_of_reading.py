"""How a dataset's file is read; and, on the way down, profiles in the words of the older release, which knows fewer types and formats."""

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

DATASETS = sa.table(
    "datasets", sa.column("id", sa.String), sa.column("format", sa.String), sa.column("types", sa.JSON), sa.column("profile", sa.JSON)
)
OLD_TYPES = {"text", "category", "number", "image", "audio"}
OLD_COLUMN = {"name", "type", "missing", "distinct", "longest", "mean_length", "values", "mean_seconds", "mean_pixels"}


def upgrade() -> None:
    # In one statement with its constraint, which SQLite takes only so. The default is for the older release, which may still be running.
    op.execute(
        "ALTER TABLE datasets ADD COLUMN mode VARCHAR(255) DEFAULT 'strict' NOT NULL "
        "CONSTRAINT ck_datasets_mode CHECK (mode IN ('strict', 'lenient'))"
    )


def downgrade() -> None:
    connection = op.get_bind()
    for (dataset,) in connection.execute(sa.select(DATASETS.c.id)).all():  # one at a time: a profile may have megabytes
        here = DATASETS.c.id == dataset
        kind, types, profile = connection.execute(sa.select(DATASETS.c.format, DATASETS.c.types, DATASETS.c.profile).where(here)).one()
        values: dict[str, Any] = {
            "format": "parquet" if kind == "arrow" else kind,  # the nearest that it can show; a table that was read is the same
            "types": {column: stated for column, stated in types.items() if stated in OLD_TYPES},
        }
        if profile is not None:
            values["profile"] = downgraded(profile)
        connection.execute(sa.update(DATASETS).where(here).values(**values))
    op.execute("ALTER TABLE datasets DROP COLUMN mode")


def downgraded(profile: dict[str, Any]) -> dict[str, Any]:
    old = {name: value for name, value in profile.items() if name not in {"dropped_rows", "split_column"}}
    return old | ({"columns": [column_of(column) for column in old["columns"]]} if "columns" in old else {})


def column_of(new: dict[str, Any]) -> dict[str, Any]:
    """Lists were texts to the older release, and it counted them whole."""
    old = {name: value for name, value in new.items() if name in OLD_COLUMN}
    return old if old["type"] in OLD_TYPES else old | {"type": "text", "values": None}
