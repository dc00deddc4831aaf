"""The tables. A change here is a migration in `migrations/versions`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, get_args

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    DateTime,
    Dialect,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

from headstart.specs.datasets import READ_MODES
from headstart.specs.jobs import JobStatus, LogLevel


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC time with microseconds, on databases with and without zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Table(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's name
        datetime: UtcDateTime(),
        dict[str, Any]: JSON(none_as_null=True),
        list[str]: JSON(none_as_null=True),
        int: BigInteger(),
        str: String(255),
    }


def one_of(column: str, values: list[str]) -> CheckConstraint:
    """The CHECK that keeps a state column to its words."""
    return CheckConstraint(f"{column} IN ({', '.join(repr(str(value)) for value in values)})", name=column)


class Leased:
    """The columns of work that a worker claims: who has it, the fencing epoch, and the counter that shows life."""

    owner: Mapped[str | None]
    epoch: Mapped[int] = mapped_column(default=0)
    beat: Mapped[int] = mapped_column(default=0)
    attempt: Mapped[int] = mapped_column(default=0)
    max_attempts: Mapped[int]


class Workspace(Table):
    __tablename__ = "workspaces"
    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    created_at: Mapped[datetime]


class Key(Table):
    __tablename__ = "keys"
    id: Mapped[str] = mapped_column(primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"), index=True)
    name: Mapped[str]
    prefix: Mapped[str]
    digest: Mapped[str] = mapped_column(unique=True)
    scopes: Mapped[list[str]]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class IdempotencyKey(Table):
    """The first answer to a POST, kept for 24 hours; written in the transaction that made the row."""

    __tablename__ = "idempotency_keys"
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"), primary_key=True)
    route: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request_sha256: Mapped[str]
    status: Mapped[int]
    location: Mapped[str | None]
    body: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(index=True)


class Dataset(Leased, Table):
    __tablename__ = "datasets"
    __table_args__ = (
        UniqueConstraint("workspace_id", "name", "version"),
        Index("ix_datasets_status_owner", "status", "owner"),
        one_of("status", ["pending", "validating", "ready", "invalid"]),
        one_of("mode", list(READ_MODES)),
    )
    id: Mapped[str] = mapped_column(primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"))
    name: Mapped[str]
    version: Mapped[int]
    status: Mapped[str]
    format: Mapped[str]
    bytes: Mapped[int]
    sha256: Mapped[str]
    types: Mapped[dict[str, Any]]
    mode: Mapped[str] = mapped_column(server_default="strict")
    rows: Mapped[int | None]
    profile: Mapped[dict[str, Any] | None]
    problem_count: Mapped[int]
    error: Mapped[dict[str, Any] | None]
    parent_id: Mapped[str | None] = mapped_column(ForeignKey("datasets.id"), index=True)
    """The version whose rows come first, or are replaced."""
    parent_how: Mapped[str | None]
    parent_key: Mapped[str | None]
    created_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]


class Upload(Table):
    """A file on its way. What has arrived of it is told by the file itself; `received_bytes` is what was last acknowledged."""

    __tablename__ = "uploads"
    id: Mapped[str] = mapped_column(primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"), index=True)
    bytes: Mapped[int]
    received_bytes: Mapped[int]
    about: Mapped[str] = mapped_column(Text)
    """`Upload-Metadata` as it was sent: ASCII."""
    dataset_id: Mapped[str | None] = mapped_column(ForeignKey("datasets.id"))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)


class Backbone(Leased, Table):
    __tablename__ = "backbones"
    __table_args__ = (
        Index(
            "uq_backbones_workspace_id_name",
            "workspace_id",
            "name",
            unique=True,
            sqlite_where=text("deleted_at IS NULL"),
            postgresql_where=text("deleted_at IS NULL"),
        ),
        Index("ix_backbones_status_owner", "status", "owner"),
        one_of("status", ["pending", "ready", "invalid"]),
    )
    id: Mapped[str] = mapped_column(primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"))
    name: Mapped[str]
    source: Mapped[str]
    status: Mapped[str]
    sha256: Mapped[str | None] = mapped_column(index=True)
    anatomy: Mapped[dict[str, Any] | None]
    error: Mapped[dict[str, Any] | None]
    created_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]


class Job(Leased, Table):
    __tablename__ = "jobs"
    __table_args__ = (
        Index("ix_jobs_status_owner", "status", "owner"),
        Index("ix_jobs_workspace_id_id", "workspace_id", "id"),
        one_of("status", list(JobStatus)),
    )
    id: Mapped[str] = mapped_column(primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"))
    dataset_id: Mapped[str] = mapped_column(ForeignKey("datasets.id"), index=True)
    backbone_id: Mapped[str] = mapped_column(ForeignKey("backbones.id"), index=True)
    parent_id: Mapped[str | None] = mapped_column(index=True)
    """The artifact that the backbone starts with. No foreign key: artifacts refer to jobs, and a reference back would be a circle."""
    model_name: Mapped[str]
    status: Mapped[str]
    status_at: Mapped[datetime]
    spec: Mapped[dict[str, Any]]
    plan: Mapped[dict[str, Any]]
    progress: Mapped[dict[str, Any]]
    seconds: Mapped[dict[str, Any]]
    result: Mapped[dict[str, Any] | None]
    report: Mapped[dict[str, Any] | None]
    error: Mapped[dict[str, Any] | None]
    last_seq: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class JobDataset(Table):
    """A dataset that tasks of a job learn from beside the job's own."""

    __tablename__ = "job_datasets"
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    dataset_id: Mapped[str] = mapped_column(ForeignKey("datasets.id"), primary_key=True, index=True)


class Event(Table):
    __tablename__ = "events"
    __table_args__ = (one_of("type", ["status", "progress", "metric", "warning", "attempt", "checkpoint"]),)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    type: Mapped[str]
    attempt: Mapped[int]
    at: Mapped[datetime]
    data: Mapped[dict[str, Any]]


class LogLine(Table):
    __tablename__ = "log_lines"
    __table_args__ = (one_of("level", list(get_args(LogLevel))),)
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(primary_key=True)
    attempt: Mapped[int]
    at: Mapped[datetime]
    level: Mapped[str]
    message: Mapped[str] = mapped_column(Text)


class Attempt(Table):
    """One worker's try at one piece of work, whatever its kind."""

    __tablename__ = "attempts"
    __table_args__ = (UniqueConstraint("subject_id", "epoch"),)
    id: Mapped[str] = mapped_column(primary_key=True)
    subject_id: Mapped[str]
    epoch: Mapped[int]
    number: Mapped[int]
    owner: Mapped[str]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    outcome: Mapped[str | None]


class Artifact(Table):
    __tablename__ = "artifacts"
    id: Mapped[str] = mapped_column(primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"))
    job_id: Mapped[str] = mapped_column(ForeignKey("jobs.id"), unique=True)
    backbone_id: Mapped[str] = mapped_column(ForeignKey("backbones.id"), index=True)
    parent_id: Mapped[str | None] = mapped_column(ForeignKey("artifacts.id"), index=True)
    blob: Mapped[str]
    bytes: Mapped[int]
    created_at: Mapped[datetime]


class Model(Table):
    __tablename__ = "models"
    __table_args__ = (
        Index(
            "uq_models_workspace_id_name",
            "workspace_id",
            "name",
            unique=True,
            sqlite_where=text("deleted_at IS NULL"),
            postgresql_where=text("deleted_at IS NULL"),
        ),
    )
    id: Mapped[str] = mapped_column(primary_key=True)
    workspace_id: Mapped[str] = mapped_column(ForeignKey("workspaces.id"))
    name: Mapped[str]
    latest: Mapped[int]
    created_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]


class ModelVersion(Table):
    __tablename__ = "model_versions"
    model_id: Mapped[str] = mapped_column(ForeignKey("models.id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    artifact_id: Mapped[str] = mapped_column(ForeignKey("artifacts.id"), unique=True)
    tasks: Mapped[dict[str, Any]]
    metrics: Mapped[dict[str, Any]]
    created_at: Mapped[datetime]


class ModelAlias(Table):
    __tablename__ = "model_aliases"
    __table_args__ = (ForeignKeyConstraint(["model_id", "version"], ["model_versions.model_id", "model_versions.version"]),)
    model_id: Mapped[str] = mapped_column(ForeignKey("models.id"), primary_key=True)
    alias: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int]


class Cache(Table):
    """The feature cache of one machine, as its worker last told: what is in it by key, and by workspace how much and how often it served."""

    __tablename__ = "caches"
    id: Mapped[str] = mapped_column(primary_key=True)
    host: Mapped[str]
    budget_bytes: Mapped[int]
    keys: Mapped[dict[str, Any]]
    workspaces: Mapped[dict[str, Any]]
    started_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class Worker(Table):
    """A worker process that has started, with what it measured of its machine."""

    __tablename__ = "workers"
    id: Mapped[str] = mapped_column(primary_key=True)
    host: Mapped[str]
    hardware: Mapped[dict[str, Any]]
    started_at: Mapped[datetime]
