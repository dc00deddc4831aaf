"""Schema changes, one file each, run by Alembic on SQLite and PostgreSQL."""
