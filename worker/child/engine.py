"""The engine role: registers backbones and runs jobs; stays warm from one attempt to the next."""

from __future__ import annotations

import time
from collections import OrderedDict
from pathlib import Path

import structlog
import torch

from headstart.blobs.local import LocalBlobs
from headstart.engine import hardware
from headstart.engine.artifacts import load_artifact
from headstart.engine.backbones.anatomy import read_anatomy
from headstart.engine.backbones.importing import import_folder
from headstart.engine.backbones.loading import Backbone, load_backbone, verify_files
from headstart.engine.backbones.merging import merged
from headstart.engine.cache import survey
from headstart.engine.devices import choose_device
from headstart.engine.faults import told_in_words
from headstart.engine.run import run_job
from headstart.engine.tables import DatasetTable
from headstart.errors import HeadstartError
from headstart.specs.backbones import Anatomy
from headstart.specs.jobs import JobSpec, JobStatus
from headstart.specs.plans import Plan
from worker.child.channel import Channel, Serve
from worker.failpoints import reach
from worker.messages import Message

log = structlog.get_logger()

KEPT_BACKBONES = 2
"""Backbones that stay loaded between attempts."""

_loaded: OrderedDict[str, Backbone] = OrderedDict()


def prepare(channel: Channel, asked: str) -> Serve:
    """Take the device that the setting asks for; it stays that of all attempts."""
    channel.say("ready", hardware=hardware.measure(choose_device(asked)).model_dump(mode="json"))
    return serve


def serve(request: Message, channel: Channel) -> None:
    if request["do"] == "cache":
        look(Path(request["cache"]), channel)
        return
    if request["threads"]:
        torch.set_num_threads(request["threads"])
    with told_in_words():
        {"backbone": register, "job": adapt}[request["do"]](request, channel)


def look(cache: Path, channel: Channel) -> None:
    """Tell what the feature cache holds. No attempt waits for it, so nothing that goes wrong here may look like the end of one."""
    try:
        seen = survey(cache)
    except OSError as error:
        log.warning("cache_not_surveyed", error=type(error).__name__, errno=error.errno)
        return
    channel.say("cache", **seen)


def register(request: Message, channel: Channel) -> None:
    """Copy a backbone's folder into the blobs and write down its anatomy."""
    blobs = LocalBlobs(Path(request["blobs"]))
    root = None if request["root"] is None else Path(request["root"])
    blobs.delete(request["staging"])
    try:
        with blobs.write_folder(request["staging"]) as folder:
            files = import_folder(Path(request["source"]), folder, max_bytes=request["max_bytes"], root=root)
        anatomy = read_anatomy(blobs.path(request["staging"]), files, request["license"])
    except BaseException:
        blobs.delete(request["staging"])
        raise
    kept = f"{request['folder']}/{anatomy.sha256}"
    if blobs.exists(kept) and not _is_whole(blobs.path(kept), anatomy):
        blobs.delete(kept)
    blobs.move(request["staging"], kept)
    channel.say("done", anatomy=anatomy.model_dump(mode="json"))


def _is_whole(folder: Path, anatomy: Anatomy) -> bool:
    try:
        verify_files(folder, anatomy)
    except HeadstartError:
        return False
    return True


def adapt(request: Message, channel: Channel) -> None:
    """Carry out a job's plan; the artifact's folder appears whole, or not at all."""
    stages = _Stages(channel, request["failpoint"])
    reach(JobStatus.PREPARING, request["failpoint"])
    blobs = LocalBlobs(Path(request["blobs"]))
    anatomy = Anatomy.model_validate(request["anatomy"])
    blobs.delete(request["artifact"])
    with blobs.write_folder(request["artifact"]) as folder:
        outcome = run_job(
            job_id=request["job"],
            workspace=request["workspace"],
            spec=JobSpec.model_validate(request["spec"]),
            plan=Plan.model_validate(request["plan"]),
            backbone=merged(_backbone(request, anatomy), [load_artifact(Path(folder)) for folder in request["parents"]]),
            tables=[DatasetTable(**{**table, "path": Path(table["path"])}) for table in request["tables"]],
            cache_root=Path(request["cache"]),
            artifact_folder=folder,
            reporter=stages,
            clock=time.perf_counter,
            created_at=request["created_at"],
            cache_bytes=request["cache_bytes"],
        )
    channel.say("done", outcome=outcome.model_dump(mode="json"), workspace=request["workspace"])


class _Stages:
    """The engine's reporter: the channel, with the failpoint of each stage."""

    def __init__(self, channel: Channel, failpoint: str | None) -> None:
        self._failpoint = failpoint
        self._channel = channel
        self.progress, self.event, self.log = channel.notes.progress, channel.notes.event, channel.notes.log

    def stage(self, status: JobStatus) -> None:
        self._channel.stage(status)
        reach(status, self._failpoint)


def _backbone(request: Message, anatomy: Anatomy) -> Backbone:
    if anatomy.sha256 not in _loaded:
        while len(_loaded) >= KEPT_BACKBONES:
            _loaded.popitem(last=False)
        _loaded[anatomy.sha256] = load_backbone(Path(request["backbone"]), anatomy, choose_device(request["device"]))
    _loaded.move_to_end(anatomy.sha256)
    return _loaded[anatomy.sha256]
