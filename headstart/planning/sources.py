"""The datasets that the tasks of a job learn from: the job's own, or one that a task names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from headstart.errors import BadInput, invalid_field, quote
from headstart.specs.datasets import DatasetProfile
from headstart.specs.jobs import JobSpec


@dataclass(frozen=True, slots=True)
class Source:
    """A dataset: its name with its version, such as `reviews:2`, and what reading it found."""

    name: str
    profile: DatasetProfile

    @property
    def family(self) -> str:
        """The name without the version."""
        return self.name.partition(":")[0]


def sources_of(spec: JobSpec, own: Source, named: Mapping[str, Source]) -> list[Source]:
    """What each task learns from; sources of one name are one dataset, however the tasks refer to it.

    Args:
        own: the job's dataset.
        named: by the references that tasks give.

    Raises:
        BadInput: `dataset_not_found`, when a reference is not among them.
    """
    sources = []
    for number, task in enumerate(spec.tasks):
        if task.dataset is not None and task.dataset not in named:
            raise invalid_field(f"/tasks/{number}/dataset", "There is no such dataset.", code="dataset_not_found")
        sources.append(own if task.dataset is None else named[task.dataset])
    return sources


def tasks_by_source(sources: Sequence[Source]) -> list[list[int]]:
    """The numbers of the tasks of each dataset, in the order in which tasks name the datasets."""
    numbers: dict[str, list[int]] = {}
    for number, source in enumerate(sources):
        numbers.setdefault(source.name, []).append(number)
    return list(numbers.values())


@contextmanager
def naming(source: Source, among: Sequence[Source]) -> Iterator[None]:
    """Let what is refused inside name the dataset, where there are several."""
    try:
        yield
    except BadInput as refused:
        if len(tasks_by_source(among)) == 1:
            raise
        message = in_words(source, refused.message)
        raise replace(refused, message=message, faults=tuple(replace(fault, message=message) for fault in refused.faults)) from refused


def in_words(source: Source, message: str) -> str:
    """A sentence about one dataset of several."""
    return f"In {quote(source.name)}: {message}"
