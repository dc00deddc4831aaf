"""Whether a job stays in the domain of what it starts from, leaves it, or learns several tasks at once.

What decides, in this order: the spec's own word; several tasks; random parameters, from which nothing is transferred; and for a model that stands
in for a backbone, the datasets and labels of both. Of other backbones no more is known than architecture, modality and licence, which say
nothing about the domain of their data: a job on them counts as cross-domain unless its spec says otherwise.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from headstart.errors import invalid_field, quote
from headstart.specs.relationships import Relationship, RelationshipName

SHARED_CLASSES = 0.5
"""The least share of the classes of both, taken together, that makes two label sets one task: most of what was told apart is told apart again."""


@dataclass(frozen=True, slots=True)
class Learnt:
    """What a job learns, or what the model it starts from has learnt.

    Attributes:
        name: of the model, with its version; of a job nothing.
        datasets: their names, without versions; none: unknown.
        classes: normal labels of all tasks.
    """

    name: str
    datasets: Collection[str]
    classes: Collection[str]


def relationship_of(
    asked: RelationshipName | None, job: Learnt, source: Learnt | None, *, tasks: int, pretrained: bool = True
) -> Relationship:
    """The relationship of a job, and why.

    Args:
        asked: the spec's own word.
        source: the model that stands in for the backbone; None: the backbone is no model of ours.
        tasks: how many the job learns.
        pretrained: whether the backbone's parameters start as they are.

    Raises:
        BadInput: `invalid_field`: several tasks are claimed and there is one.
    """
    if asked == "multi-task" and tasks < 2:
        message = "There is one task, and multi-task means several that learn together."
        raise invalid_field("/relationship", message, 'Leave relationship out, or say "same-domain" or "cross-domain".')
    if asked is not None:
        return Relationship(value=asked, why="The spec says so.")
    if tasks > 1:
        return Relationship(value="multi-task", why=f"{tasks:,} tasks learn together.")
    if not pretrained:
        return Relationship(value=None, why="The backbone starts from random parameters, so that nothing is transferred.")
    if source is None:
        return Relationship(
            value="cross-domain",
            why="The backbone was trained on data of its makers, of whose domain nothing is known here; a spec that knows better can say so.",
        )
    return _to_model(job, source)


def _to_model(job: Learnt, source: Learnt) -> Relationship:
    both = sorted({*job.datasets} & {*source.datasets})
    if both:
        return Relationship(value="same-domain", why=f"The model {quote(source.name)} learnt from the dataset {quote(both[0])} too.")
    shared, known = set(job.classes) & set(source.classes), set(job.classes) | set(source.classes)
    if known and len(shared) >= SHARED_CLASSES * len(known):
        why = f"The model {quote(source.name)} tells {len(shared):,} of the {len(known):,} classes of both apart already."
        return Relationship(value="same-domain", why=why)
    other = "".join(f", {quote(name)}" for name in sorted(source.datasets))
    what = "another dataset" if len(source.datasets) < 2 else "other datasets"
    classes = f", and {len(shared):,} of the {len(known):,} classes of both are shared" if known else ""
    return Relationship(value="cross-domain", why=f"The model {quote(source.name)} learnt from {what}{other}{classes}.")
