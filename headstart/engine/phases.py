"""The phases of a job with a schedule: what each starts from, at its own boundary, found before the first step.

The parameters below a phase's boundary have learnt in no phase before it, so that what is cached there is the pretrained backbone's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from headstart.engine.context import FEATURES_SHARE, Context, Reporter
from headstart.engine.examples import Example
from headstart.engine.precision import Precision
from headstart.engine.preparing import Prepared
from headstart.planning.schedule import steps_of
from headstart.specs.jobs import JobStatus, LogLevel

Prepare = Callable[[Context, Sequence[Example], Precision], Prepared]


def prepare_phases(context: Context, prepare: Prepare, examples: Sequence[Example], precision: Precision) -> list[Prepared]:
    """What each phase starts from, in order; one when there is no schedule.

    Args:
        prepare: makes what a plan with one boundary starts from.
    """
    if not context.plan.phases:
        return [prepare(context, examples, precision)]
    made = []
    steps = steps_of(context.spec, context.backbone.anatomy)
    for number, step in enumerate(steps):
        names = [tensor.name for tensor in step.selection.tensors]
        trainable = context.plan.trainable.model_copy(
            update={"names": names, "tensors": len(names), "parameters": step.selection.parameters}
        )
        plan = context.plan.model_copy(update={"boundary": step.selection.boundary, "trainable": trainable})
        part = _Part(context.reporter, number, len(steps))
        part.log(
            f"From epoch {step.epoch:,} on: {step.selection.parameters:,} parameters learn; the boundary is {step.selection.boundary}."
        )
        made.append(prepare(dataclasses.replace(context, plan=plan, reporter=part), examples, precision))
    return made


class _Part:
    """The reporter of one of several parts of `preparing`: progress goes on where the part before it ended."""

    def __init__(self, reporter: Reporter, number: int, parts: int) -> None:
        self._reporter, self._number, self._parts = reporter, number, parts

    def stage(self, status: JobStatus) -> None:
        self._reporter.stage(status)

    def progress(self, *, fraction: float, step: int, steps: int, epoch: int, epochs: int) -> None:
        # `fraction` runs up to FEATURES_SHARE in each part
        fraction = (self._number * FEATURES_SHARE + fraction) / self._parts
        self._reporter.progress(fraction=fraction, step=step, steps=steps, epoch=epoch, epochs=epochs)

    def event(self, type: str, data: dict[str, Any]) -> None:  # noqa: A002 - the word of the contract
        self._reporter.event(type, data)

    def log(self, message: str, level: LogLevel = "info") -> None:
        self._reporter.log(message, level)
