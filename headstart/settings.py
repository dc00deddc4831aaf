"""All configuration, in one frozen class read once at each entry point from `HEADSTART_*` variables."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from headstart.errors import BadInput, closest, quote

PREFIX = "HEADSTART_"
CLIENT_VARIABLES = {"HEADSTART_URL", "HEADSTART_KEY"}
"""Read by the client, not here."""

KIB, MIB, GIB = 2**10, 2**20, 2**30


class Settings(BaseSettings):
    """Every field is set by the variable of its name, in capitals, behind `HEADSTART_`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid", hide_input_in_errors=True)

    home: Path = Field(default=Path("~/.headstart"), description="Folder of this machine's own: database, cache, queue, credentials.")
    blobs: Path | None = Field(
        default=None, description="Folder of uploads and artifacts, shared by the API and all workers; unset: `blobs` in the home folder."
    )
    worker: Literal["here", "elsewhere"] = Field(
        default="here", description="Whether `headstart up` runs a worker beside the API; `elsewhere` leaves that to `headstart worker`."
    )
    host: str = Field(default="127.0.0.1", description="Address the API listens on.")
    port: int = Field(default=8321, ge=0, le=65535, description="Port the API listens on; 0 takes a free one.")
    database_url: str | None = Field(default=None, description="SQLAlchemy URL; unset: SQLite in the home folder.")
    broker_url: str | None = Field(default=None, description="Celery broker URL; unset: a queue folder in the home folder.")
    broker_prefix: str = Field(
        default="headstart:", max_length=64, description="What every key of ours begins with in a Redis that others use too."
    )
    backbone_roots: list[Path] = Field(
        default=[], description="JSON list of a worker's folders below which `path:` backbones may lie; empty: none."
    )
    assets: Path | None = Field(default=None, description="Where a worker finds the demo backbones; unset: the user's cache folder.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Least severe log line that is written.")
    log_format: Literal["console", "json"] = Field(default="console", description="How log lines look.")

    max_upload_bytes: int = Field(default=4 * GIB, ge=1 * KIB, description="Largest dataset file.")
    upload_expires_seconds: int = Field(
        default=24 * 3600, ge=1, description="How long a resumable upload is kept after its last byte came, until it has become a dataset."
    )
    max_open_uploads: int = Field(default=100, ge=1, description="Resumable uploads that a workspace may have open at once.")
    max_open_upload_bytes: int = Field(default=64 * GIB, ge=1 * KIB, description="What they may declare together.")
    max_body_bytes: int = Field(default=32 * MIB, ge=1 * KIB, description="Largest body of any other request.")
    max_backbone_bytes: int = Field(default=16 * GIB, ge=1 * MIB, description="Largest backbone folder.")
    max_problems: int = Field(default=1000, ge=1, le=100_000, description="Row problems kept for a dataset; the rest are counted.")
    max_inputs: int = Field(default=256, ge=1, le=10_000, description="Inputs in one predict request.")
    predict_queue: int = Field(default=64, ge=1, description="Predict requests that may wait; one more is answered 429.")
    resident_bytes: int = Field(default=4 * GIB, ge=64 * MIB, description="Backbones and heads kept loaded for serving.")

    beat_seconds: float = Field(default=5.0, gt=0, description="How often a worker renews its lease.")
    lease_seconds: float = Field(default=30.0, gt=0, description="A lease not renewed for so long is lost; the same for all workers.")
    poll_seconds: float = Field(
        default=15.0, gt=0, le=60, description="How long a worker waits for the doorbell before it looks by itself."
    )
    stall_seconds: float = Field(default=1800.0, gt=0, description="An attempt that reports no progress for so long is ended.")
    max_attempts: int = Field(default=3, ge=1, le=100, description="Attempts before a job fails with `worker_lost`.")
    register_seconds: float = Field(default=900.0, gt=0, description="Longest time that registering a backbone may take.")
    cache_bytes: int = Field(default=20 * GIB, ge=1 * MIB, description="Budget of the feature cache.")
    device: Literal["auto", "cpu", "cuda", "mps"] = Field(
        default="auto", description="What workers and predictions compute on; `auto`: the accelerator that torch finds, else the CPU."
    )
    threads: int = Field(default=0, ge=0, le=1024, description="torch threads of a worker's child; 0: one for each core.")

    read_memory_bytes: int = Field(default=2 * GIB, ge=256 * MIB, description="Address space of the child that reads uploads.")
    read_cpu_seconds: int = Field(default=900, ge=1, description="CPU time of the child that reads uploads.")

    key_cache_seconds: float = Field(
        default=2.0, ge=0, le=5, description="How long a checked key is believed; a revoked key works so long at most."
    )
    shutdown_seconds: int = Field(default=10, ge=1, le=600, description="How long open answers may take when the API is stopped.")
    failpoint: str | None = Field(default=None, description="For tests of faults alone: `name=action`, see worker/failpoints.py.")

    @model_validator(mode="after")
    def _refuse_dangerous_combinations(self) -> Self:
        if self.lease_seconds < 3 * self.beat_seconds:
            raise ValueError("lease_seconds must be at least three times beat_seconds, or a slow beat loses a healthy job")
        if self.stall_seconds < self.lease_seconds:
            raise ValueError("stall_seconds must not be below lease_seconds")
        if self.broker_url is not None and self.broker_url.startswith("filesystem:"):
            raise ValueError("leave broker_url unset for the queue folder; stock filesystem:// loses its worker to one torn file")
        if self.database_url is not None and self.database_url.startswith("sqlite") and _in_memory(self.database_url):
            raise ValueError("an in-memory database is not shared by the API and the worker")
        return self

    @property
    def folder(self) -> Path:
        """`home`, expanded and absolute."""
        return self.home.expanduser().absolute()

    @property
    def database(self) -> str:
        return self.database_url or f"sqlite:///{self.folder / 'headstart.db'}"

    @property
    def blob_folder(self) -> Path:
        return self.folder / "blobs" if self.blobs is None else self.blobs.expanduser().absolute()

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    @property
    def features(self) -> Path:
        """The feature cache."""
        return self.cache / "features"

    @property
    def queue(self) -> Path:
        return self.folder / "queue"

    @property
    def run(self) -> Path:
        """Pid files and what else lives only as long as a process."""
        return self.folder / "run"

    @property
    def credentials(self) -> Path:
        return self.folder / "credentials.json"

    def variables(self) -> dict[str, str]:
        """These settings as environment variables, for a process to be started."""
        values = self.model_dump(mode="json", exclude_none=True)
        return {PREFIX + name.upper(): value if isinstance(value, str) else _json(value) for name, value in values.items()}


def _in_memory(url: str) -> bool:
    return ":memory:" in url or "mode=memory" in url or not url.partition("://")[2].strip("/")


INHERITED = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "PYTHONPATH",
    "VIRTUAL_ENV",
    "LD_LIBRARY_PATH",
    "OMP_NUM_THREADS",
    "CUDA_VISIBLE_DEVICES",
)
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "TRANSFORMERS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "true"}
"""Nothing is downloaded at run time, and nobody is told what runs."""


KEEPING_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(GIB), "MALLOC_TRIM_THRESHOLD_": str(4 * GIB), "MALLOC_TOP_PAD_": str(64 * MIB)}
"""Have glibc keep what tensors give back instead of asking the kernel for zeroed pages again: features 1.3 times as fast on a CPU."""


def child_environment(*, computes: bool) -> dict[str, str]:
    """What a worker's child gets to see of the environment: no setting, no secret.

    Args:
        computes: whether it will hold tensors.
    """
    seen = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return (KEEPING_MEMORY if computes else {}) | seen | OFFLINE


def server_environment(settings: Settings) -> dict[str, str]:
    """The environment of the API and the worker: ours, with these settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
    return kept | OFFLINE | settings.variables()


def _json(value: object) -> str:
    import json  # noqa: PLC0415 - only when a process is started

    return json.dumps(value)


def load_settings(environment: Mapping[str, str] | None = None, **overrides: object) -> Settings:
    """Read the settings; `overrides` win over the environment, None among them is passed over.

    Raises:
        BadInput: a variable is unknown, a value is out of range, or two settings contradict each other.
    """
    known = {PREFIX + name.upper() for name in Settings.model_fields} | CLIENT_VARIABLES
    for name in os.environ if environment is None else environment:
        if name.startswith(PREFIX) and name not in known:
            near = closest(name, known)
            raise BadInput("unknown_field", f"There is no setting {quote(name)}.", f"Did you mean {near[0]}?" if near else None)
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = PREFIX + ".".join(str(part) for part in first["loc"]).upper() if first["loc"] else "The settings"
        raise BadInput("invalid_field", f"{where}: {first['msg']}.", "The README lists every setting.") from error
