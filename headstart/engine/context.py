"""What stays the same through one run of a job, and who is told how it goes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from headstart.engine.backbones.loading import Backbone
from headstart.engine.readout import Readout, readout_of
from headstart.specs.backbones import Layer, TextInput
from headstart.specs.jobs import FeatureExtraction, JobSpec, JobStatus, LogLevel
from headstart.specs.plans import INPUT, Plan, parted

FEATURES_SHARE = 0.2
"""Part of the progress bar that features take when steps follow."""


class Reporter(Protocol):
    """Who is told how the job goes. What it raises ends the attempt as it is: a cancelled job, a lost lease."""

    def stage(self, status: JobStatus) -> None: ...
    def progress(self, *, fraction: float, step: int, steps: int, epoch: int, epochs: int) -> None: ...
    def event(self, type: str, data: dict[str, Any]) -> None: ...  # noqa: A002 - the word of the contract
    def log(self, message: str, level: LogLevel = "info") -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """A job, its plan, its backbone, and where its features are kept."""

    workspace: str
    spec: JobSpec
    plan: Plan
    backbone: Backbone
    cache_root: Path
    cache_bytes: int | None
    reporter: Reporter
    clock: Callable[[], float]

    @property
    def limit(self) -> int | None:
        """The most units of an example; None: as much as the backbone takes."""
        spec = self.backbone.anatomy.input
        return min(self.spec.training.max_tokens or spec.max_tokens, spec.max_tokens) if isinstance(spec, TextInput) else None

    @property
    def preprocessing(self) -> str:
        return self.backbone.preprocessor.digest(self.limit)

    @property
    def layers(self) -> list[Layer]:
        """Whose outputs are pooled, side by side."""
        return [self.backbone.anatomy.layer(name) for name in parted(self.output)]

    @property
    def output(self) -> str:
        """The layer whose output is pooled: the boundary, or above it the last hidden state when a suffix learns."""
        return self.plan.boundary if isinstance(self.spec.method, FeatureExtraction) else self.backbone.anatomy.default_layer

    @property
    def reads_words(self) -> bool:
        return any(task.reads == "words" for task in self.spec.tasks)

    @property
    def pooling(self) -> str:
        """Of what the layers give; `none` where words are read: what else is read then is made of the same vectors."""
        return "none" if self.reads_words else self.spec.pooling

    @property
    def readout(self) -> Readout | None:
        """What heads take from the vectors of tokens; None where pooling leaves them one vector."""
        return readout_of([task.reads for task in self.spec.tasks], self.spec.pooling, self.layers[0])

    @property
    def stepped(self) -> bool:
        """Whether anything is trained by steps."""
        return not isinstance(self.spec.method, FeatureExtraction) or self.spec.method.head.stepped

    @property
    def fresh(self) -> bool:
        """Whether every epoch sees other pixels, so that nothing f gives for a training row is ever needed again."""
        augmentation = self.spec.training.augmentation
        return augmentation is not None and augmentation.views is None

    @property
    def features_share(self) -> float:
        """Part of the progress bar that goes by before training begins."""
        if not self.stepped:
            return 0.9
        boundaries = {self.plan.boundary, *(phase.boundary for phase in self.plan.phases)}
        return 0.0 if self.fresh or boundaries == {INPUT} else FEATURES_SHARE

    def metric(self, task: str, split: str, name: str, value: float, *, step: int, epoch: int) -> None:
        """Tell a number of a task, as the job's metrics show it."""
        self.reporter.event("metric", {"task": task, "split": split, "name": name, "value": value, "step": step, "epoch": epoch})

    def warn(self, code: str, message: str) -> None:
        self.reporter.event("warning", {"code": code, "message": message})
        self.reporter.log(message, "warning")
