"""One job without the service: `python -m headstart.engine.launch SPEC.json DATA BACKBONE OUT`, alone or in several processes by `torchrun`.

SPEC.json is the body of `POST /v1/jobs`; DATA a file as it would be uploaded; BACKBONE a folder as `path:` would name it. Where tasks name
datasets of their own, `--dataset NAME=FILE` gives each. OUT is made:

    artifact/       what the service would publish
    outcome.json    metrics, baselines, seconds
    events.jsonl    each loss and metric as it came
    backbone/ cache/ table-0.arrow …    what the job ran on

`torchrun --nproc-per-node 2 -m headstart.engine.launch …` divides every batch among two processes; they must see the same files.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import torch
from pydantic import ValidationError
from torch import distributed

from headstart.blobs.atomic import atomic_file
from headstart.blobs.local import file_sha256
from headstart.data.limits import ReadLimits
from headstart.data.reading import read_dataset
from headstart.engine import hardware
from headstart.engine.backbones.anatomy import read_anatomy
from headstart.engine.backbones.importing import import_folder
from headstart.engine.backbones.loading import load_backbone
from headstart.engine.devices import DEVICES, choose_device
from headstart.engine.group import Group, group_now
from headstart.engine.run import JobOutcome, run_job
from headstart.engine.tables import DatasetTable
from headstart.errors import BadInput, HeadstartError, listing, quote
from headstart.planning.plan import make_plan
from headstart.planning.sources import Source
from headstart.specs.backbones import Anatomy
from headstart.specs.datasets import ENDINGS, Format
from headstart.specs.jobs import JobSpec, JobStatus, LogLevel
from headstart.specs.plans import Plan

MOST_BACKBONE_BYTES = CACHE_BYTES = 2**36


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="headstart.engine.launch", description="Run one job without the service.")
    parser.add_argument("spec", type=Path, help="a JSON file: the body of POST /v1/jobs")
    parser.add_argument("data", type=Path, help=f"the dataset's file ({', '.join(ENDINGS)})")
    parser.add_argument("backbone", type=Path, help="a folder with config.json, safetensors and what makes its inputs")
    parser.add_argument("out", type=Path, help="a folder to be made")
    parser.add_argument(
        "--dataset", action="append", default=[], metavar="NAME=FILE", help="what tasks name as their dataset; may come several times"
    )
    parser.add_argument("--device", choices=DEVICES, default="auto", help="what to compute on (default: %(default)s)")
    given = parser.parse_args(arguments)
    try:
        _launch(given, choose_device(given.device))
    except HeadstartError as error:
        sys.stderr.write(f"{error}\n({error.code})\n")
        return 1
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()
    return 0


def _launch(given: argparse.Namespace, device: torch.device) -> None:
    group, out = group_now(), given.out
    spec = _spec(given.spec)
    known = group.told_by_first(lambda: _prepare(given, spec, device))
    anatomy = Anatomy.model_validate(known["anatomy"])
    with open(out / "events.jsonl" if group.first else "/dev/null", "w", encoding="utf-8") as events:
        outcome = run_job(
            job_id="none",
            workspace="local",
            spec=spec,
            plan=Plan.model_validate(known["plan"]),
            backbone=load_backbone(out / "backbone", anatomy, device),
            tables=[
                DatasetTable(name, out / f"table-{number}.arrow", sha256) for number, (name, sha256) in enumerate(known["datasets"].items())
            ],
            cache_root=out / "cache",
            artifact_folder=out / "artifact",
            reporter=_Reporter(group, events),
            clock=time.perf_counter,
            created_at=known["created_at"],
            cache_bytes=CACHE_BYTES,
        )
    if group.first:
        _write(out / "outcome.json", outcome)


def _spec(path: Path) -> JobSpec:
    try:
        return JobSpec.model_validate_json(path.read_bytes()).resolved()
    except (OSError, ValidationError) as error:
        raise BadInput("invalid_field", f"The spec {quote(path.name)} cannot be used: {error}.", "See POST /v1/jobs.") from error


def _prepare(given: argparse.Namespace, spec: JobSpec, device: torch.device) -> dict[str, Any]:
    """Read the data, copy and check the backbone, and plan: in one process, for all."""
    out, named = given.out, _named_files(given.dataset)
    if spec.dataset in named:
        raise BadInput("invalid_field", f"The dataset {quote(spec.dataset)} is DATA already.", "Leave its --dataset out.")
    files_of = {spec.dataset: given.data, **named}
    formats = [_format(path) for path in files_of.values()]
    try:
        for folder in (out, out / "backbone", out / "artifact"):
            folder.mkdir(parents=folder == out)
    except FileExistsError:
        raise BadInput("invalid_field", f"The folder {quote(out.name)} is there already.", "Name one that is not.") from None
    sources = {
        name: Source(name, read_dataset(path, out / f"table-{number}.arrow", format=format_, types={}, limits=ReadLimits()))
        for number, ((name, path), format_) in enumerate(zip(files_of.items(), formats, strict=True))
    }
    files = import_folder(given.backbone, out / "backbone", max_bytes=MOST_BACKBONE_BYTES)
    anatomy = read_anatomy(out / "backbone", files, license=None)
    own = sources[spec.dataset].profile
    plan = make_plan(spec, own, anatomy, hardware.measure(device), named=sources, cache_budget_bytes=CACHE_BYTES)
    return {
        "anatomy": anatomy.model_dump(mode="json"),
        "plan": plan.model_dump(mode="json"),
        "datasets": {name: file_sha256(path) for name, path in files_of.items()},
        "created_at": datetime.now(UTC).isoformat(),
    }


def _named_files(given: Sequence[str]) -> dict[str, Path]:
    """What `--dataset` says."""
    named = {}
    for each in given:
        name, equals, path = each.partition("=")
        if not (name and equals and path):
            raise BadInput("invalid_field", f"{quote(each)} names no file of a dataset.", "Write --dataset NAME=FILE.")
        named[name] = Path(path)
    return named


def _format(path: Path) -> Format:
    kind = ENDINGS.get(path.suffix.lower())
    if kind is None:
        raise BadInput("invalid_field", f"What {quote(path.name)} holds is not known.", f"Its name should end in {listing(list(ENDINGS))}.")
    return kind


def _write(path: Path, outcome: JobOutcome) -> None:
    with atomic_file(path) as file:
        file.write(outcome.model_dump_json(indent=1).encode())


class _Reporter:
    """Words to the screen and events to a file; of several processes the first alone says anything."""

    def __init__(self, group: Group, events: TextIO) -> None:
        self._first, self._events = group.first, events

    def stage(self, status: JobStatus) -> None:
        """Said by the log too."""

    def progress(self, *, fraction: float, step: int, steps: int, epoch: int, epochs: int) -> None:
        """Epochs are said by the log."""

    def event(self, type: str, data: dict[str, Any]) -> None:  # noqa: A002 - the word of the contract
        if self._first:
            self._events.write(json.dumps({"type": type, **data}) + "\n")
            self._events.flush()

    def log(self, message: str, level: LogLevel = "info") -> None:
        if self._first:
            sys.stdout.write(f"{message}\n" if level == "info" else f"{level}: {message}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
