"""How good tags of tokens are: entities found whole, as seqeval counts them, and tokens.

Axes: S sentences, C tags, R resamples.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from headstart.engine.evaluation.entities import Entity, entities
from headstart.engine.evaluation.resampling import Measure, Measured, Weights
from headstart.engine.evaluation.single_label import class_reports, confusion, ratio
from headstart.engine.evaluation.single_label import per_class as per_tag
from headstart.specs.reports import ClassReport

Counts = NDArray[np.int64]
Sentences = Sequence[Counts]
"""Tag numbers of each sentence, [T]."""


def measure(predicted: Sentences, targets: Sentences, tags: Sequence[str], *, of_entities: bool) -> Measure:
    """Precision, recall and F1 of entities, and the share of right tokens, as functions of how much sentences count.

    Tags that are to name no entities, such as parts of speech, have macro-F1 over tags instead. A token whose target is −1 has no tag: it is
    no token, and ends the entity before it.
    """
    tokens = np.array([(target >= 0).sum() for target in targets], np.float64)
    right = np.array([((said == target) & (target >= 0)).sum() for said, target in zip(predicted, targets, strict=True)], np.float64)
    if not of_entities:
        counts = np.array([_by_tag(said, target, len(tags)) for said, target in zip(predicted, targets, strict=True)])  # [S, 3, C]
        return _of_tags(counts, right, tokens)
    found = [(set(_named(_masked(said, target), tags)), set(_named(target, tags))) for said, target in zip(predicted, targets, strict=True)]
    by_sentence = np.array([(len(said & true), len(said), len(true)) for said, true in found], np.float64)  # [S, 3]

    def measured(weights: Weights) -> Measured:
        hits, said, true = (weights.astype(np.float64) @ by_sentence).T
        return {
            "precision": ratio(hits, said),
            "recall": ratio(hits, true),
            "f1": ratio(2 * hits, said + true),
            "token_accuracy": ratio(weights @ right, weights @ tokens),
        }

    return measured


def per_class(predicted: Sentences, targets: Sentences, tags: Sequence[str], *, of_entities: bool) -> list[ClassReport]:
    """Of each type of entity, in the order of names; of each tag where tags are to name none."""
    if not of_entities:
        return per_tag(confusion_of_tags(predicted, targets, len(tags)), tags)
    hits, said, true = Counter[str](), Counter[str](), Counter[str]()
    for given, target in zip(predicted, targets, strict=True):
        mine, theirs = set(_named(_masked(given, target), tags)), set(_named(target, tags))
        for counter, which in ((hits, mine & theirs), (said, mine), (true, theirs)):
            counter.update(kind for kind, _, _ in which)
    kinds = sorted({*said, *true})
    right, found, there = (np.array([counter[kind] for kind in kinds], np.int64) for counter in (hits, said, true))
    return class_reports(right, found, there, kinds)


def confusion_of_tags(predicted: Sentences, targets: Sentences, tags: int) -> Counts:
    """Tokens, [C, C]."""
    said, true = (np.concatenate([np.zeros(0, np.int64), *each]) for each in (predicted, targets))
    return confusion(true[true >= 0], said[true >= 0], tags)


def _of_tags(counts: NDArray[np.int64], right: NDArray[np.float64], tokens: NDArray[np.float64]) -> Measure:
    flat = counts.reshape(len(counts), -1).astype(np.float32)

    def measured(weights: Weights) -> Measured:
        hits, said, true = np.moveaxis((weights @ flat).astype(np.float64).reshape(len(weights), 3, -1), 1, 0)
        f1, occurs = ratio(2 * hits, said + true), said + true > 0
        return {
            "token_accuracy": ratio(weights @ right, weights @ tokens),
            "macro_f1": ratio((f1 * occurs).sum(axis=1), occurs.sum(axis=1)),
        }

    return measured


def _by_tag(said: Counts, target: Counts, tags: int) -> Counts:
    """Right, said and true, [3, C]."""
    there = target >= 0
    right, given, true = target[there & (said == target)], said[there], target[there]
    return np.stack([np.bincount(each, minlength=tags) for each in (right, given, true)])


def _masked(said: Counts, target: Counts) -> Counts:
    """What was said where there is something to compare with."""
    return np.where(target >= 0, said, -1)


def _named(numbers: Counts, tags: Sequence[str]) -> list[Entity]:
    return entities([tags[number] if number >= 0 else "O" for number in numbers])
