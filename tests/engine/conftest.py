"""Backbones, datasets and jobs for the engine's tests: a tiny one that is quick, and the real MiniLM where it was fetched."""

from __future__ import annotations

import csv
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from headstart.data.limits import ReadLimits
from headstart.data.reading import read_dataset
from headstart.demos import backbone_folder, default_assets_root
from headstart.engine.backbones.anatomy import read_anatomy
from headstart.engine.backbones.importing import import_folder
from headstart.engine.backbones.loading import Backbone, load_backbone
from headstart.engine.run import JobOutcome, run_job
from headstart.engine.tables import DatasetTable
from headstart.errors import Unavailable
from headstart.planning.plan import make_plan
from headstart.planning.sources import Source
from headstart.specs.datasets import ColumnType, DatasetProfile
from headstart.specs.jobs import JobSpec, JobStatus, LogLevel
from headstart.specs.plans import Plan
from tests.engine.tiny import make_tiny_backbone

CREATED_AT = "2026-11-24T03:00:00.000Z"
GOOD, BAD, REST = ["good", "great", "loved"], ["bad", "dull", "hated"], ["the", "film", "book", "plot", "was", "very", "it"]


@pytest.fixture(autouse=True, scope="session")
def _two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def backbones(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Backbone]:
    """A function: model type (and overrides of its configuration) → a tiny loaded backbone. Tests must not change it."""
    made: dict[str, Backbone] = {}

    def load(model_type: str = "bert") -> Backbone:
        if model_type not in made:
            source, folder = tmp_path_factory.mktemp(f"{model_type}-source"), tmp_path_factory.mktemp(model_type)
            make_tiny_backbone(source, model_type)
            files = import_folder(source, folder, max_bytes=1 << 30)
            made[model_type] = load_backbone(folder, read_anatomy(folder, files, license="MIT"))
        return made[model_type]

    return load


@pytest.fixture(scope="session")
def tiny(backbones: Callable[..., Backbone]) -> Backbone:
    return backbones("bert")


@pytest.fixture(scope="session")
def minilm(tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    try:
        source = backbone_folder(default_assets_root(), "minilm-l6")
    except Unavailable as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp("minilm")
    files = import_folder(source, folder, max_bytes=1 << 30)
    return load_backbone(folder, read_anatomy(folder, files, license="MIT"))


def reviews(rows: int, seed: int = 0) -> list[tuple[str, str]]:
    """Texts that differ, with the label that one of their words gives."""
    chance = random.Random(seed)
    made: dict[str, str] = {}
    while len(made) < rows:
        label = ("neg", "pos")[len(made) % 2]
        words = [*chance.choices(REST, k=chance.randint(1, 9)), chance.choice(GOOD if label == "pos" else BAD)]
        chance.shuffle(words)
        made.setdefault(" ".join(words) + f" {len(made)}", label)
    return list(made.items())


class Listener:
    """A reporter that remembers."""

    def __init__(self, on_stage: Callable[[JobStatus], None] = lambda _: None) -> None:
        self.stages: list[JobStatus] = []
        self.fractions: list[float] = []
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.lines: list[tuple[str, str]] = []
        self._on_stage = on_stage

    def stage(self, status: JobStatus) -> None:
        self.stages.append(status)
        self._on_stage(status)

    def progress(self, *, fraction: float, step: int, steps: int, epoch: int, epochs: int) -> None:
        self.fractions.append(fraction)

    def event(self, type: str, data: dict[str, Any]) -> None:  # noqa: A002 - the word of the contract
        self.events.append((type, data))

    def log(self, message: str, level: LogLevel = "info") -> None:
        self.lines.append((level, message))


class World:
    """A folder in which jobs run: datasets, the cache, artifacts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cache_root = folder / "cache"
        self.types: dict[str, ColumnType] = {"label": "category"}
        self.jobs = 0

    def table(
        self, rows: Sequence[Sequence[str]], header: Sequence[str] = ("text", "label"), name: str = "reviews"
    ) -> tuple[Path, DatasetProfile]:
        """Write a CSV file and read it as an upload is read; gives the table and the profile."""
        source = self.folder / f"{name}-{self.jobs}.csv"
        with open(source, "w", newline="") as file:
            csv.writer(file).writerows([header, *rows])
        target = self.folder / f"{name}-{self.jobs}.arrow"
        types = {column: type_ for column, type_ in self.types.items() if column in header}
        return target, read_dataset(source, target, format="csv", types=types, limits=ReadLimits())

    def run(
        self,
        backbone: Backbone,
        rows: Sequence[Sequence[str]],
        *,
        header: Sequence[str] = ("text", "label"),
        reporter: Listener | None = None,
        workspace: str = "ws_one",
        change: Callable[[Plan], Plan] = lambda plan: plan,
        cache_bytes: int | None = None,
        named: Mapping[str, Sequence[Sequence[str]]] | None = None,
        **overrides: Any,
    ) -> tuple[JobOutcome, Path]:
        """Plan and run a job; gives the outcome and the artifact's folder.

        Args:
            named: datasets that tasks name: the columns' names, then the rows.
        """
        self.jobs += 1
        table, profile = self.table(rows, header)
        others = {name: self.table(cells[1:], cells[0], name) for name, cells in (named or {}).items()}
        spec = job_spec(**overrides)
        sources = {name: Source(name, found) for name, (_, found) in others.items()}
        plan = change(make_plan(spec, profile, backbone.anatomy, None, named=sources, cache_budget_bytes=1 << 30))
        artifact = self.folder / f"artifact-{self.jobs}"
        artifact.mkdir()
        outcome = run_job(
            job_id="job_01h455vb4pex5vsknk084sn02q",
            workspace=workspace,
            spec=spec,
            plan=plan,
            backbone=backbone,
            tables=[
                DatasetTable(name, path, "d" * 64)
                for name, path in [("reviews", table), *((name, path) for name, (path, _) in others.items())]
            ],
            cache_root=self.cache_root,
            artifact_folder=artifact,
            reporter=reporter or Listener(),
            clock=time.monotonic,
            created_at=CREATED_AT,
            cache_bytes=cache_bytes,
        )
        return outcome, artifact


def job_spec(**overrides: Any) -> JobSpec:
    fields = {
        "backbone": "tiny",
        "dataset": "reviews",
        "tasks": [{"name": "sentiment", "type": "text-classification", "inputs": {"text": "text"}, "target": "label"}],
        "training": {"dtype": "float32"},
    }
    return JobSpec.model_validate({**fields, **overrides})


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)
