"""A tag for each word of a text: of the entity that it is a part of, or its own, such as its part of speech.

Axes: N texts, W words of all texts in order, C tags.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from headstart.engine.evaluation.baselines import Baseline
from headstart.engine.evaluation.baselines.words import word_baselines
from headstart.engine.evaluation.entities import entities
from headstart.engine.evaluation.reports import Trial, token_report
from headstart.engine.evaluation.scoring import Scoring, single_label_scoring
from headstart.engine.inputs.words import Sentence
from headstart.engine.losses import Softmax, softmax_objective
from headstart.engine.tasks.kinds import Cells, TaskKind
from headstart.engine.tasks.spans import tags_of_spans
from headstart.engine.tasks.tagged import Bools, OfWords, Tagged, Words, by_text
from headstart.planning.tagging import OUTSIDE
from headstart.specs.jobs import Training
from headstart.specs.labels import json_spans, json_texts, normal_label, scheme_faults
from headstart.specs.predictions import Entities, Entity
from headstart.specs.reports import TaskReport

NOTHING = -1
"""The number of no tag."""

Found = tuple[str, int, int]
"""Label, first word, and the word after the last."""
Reader = Callable[[Sequence[str]], list[Found]]
"""From the tags of a text to what they name. That of entities repairs what is not well-formed as seqeval's default mode does."""


def encode(columns: Cells, classes: Sequence[str]) -> Tagged:
    """Tags of all words; a row whose cell is not what its words need has none.

    Args:
        columns: sentences, as `headstart.engine.inputs.words` makes them; cells of tags for words that are listed, of spans for texts.
    """
    sentences, cells = columns
    numbers = {tag: number for number, tag in enumerate(classes)}
    amiss: Counter[str] = Counter()
    parts = [np.zeros(0, np.int64)]
    for sentence, cell in zip(sentences, cells, strict=True):
        wrong: set[str] = set()
        tags = None if cell is None else _tags(sentence, cell, classes, wrong)
        amiss.update(wrong)
        known = [NOTHING] * len(sentence.places) if tags is None else [numbers.get(tag, NOTHING) for tag in tags]
        parts.append(np.array(known, np.int64))
    return Tagged(np.concatenate(parts), Words.of(sentences), list(classes), dict(amiss))


def _tags(sentence: Sentence, cell: str, classes: Sequence[str], amiss: set[str]) -> list[str] | None:
    if not sentence.listed:
        spans = json_spans(cell)
        if spans is None:
            amiss.add("not_a_list")
        return None if spans is None else tags_of_spans(sentence, spans, classes, amiss)
    told = json_texts(cell)
    if told is None or len(told) != len(sentence.places):
        amiss.add("not_a_list" if told is None else "lengths_differ")
        return None
    tags = [normal_label(tag) for tag in told]
    if scheme_faults(tags):
        amiss.add("broken_scheme")
    return tags


def labelled(targets: Tagged) -> Bools:
    """Whether a row has a word with a tag, [N]."""
    rows = np.repeat(np.arange(len(targets)), targets.words.counts)
    there: Bools = np.bincount(rows[targets.numbers >= 0], minlength=len(targets)) > 0
    return there


def strata(targets: Tagged) -> NDArray[np.float32]:
    """1 for the tags that a row has, 0 for the others, [N, C]; NaN for a row without any."""
    rows = np.repeat(np.arange(len(targets)), targets.words.counts)
    there = targets.numbers >= 0
    has = np.zeros((len(targets), int(targets.numbers.max(initial=0)) + 1), np.float32)
    has[rows[there], targets.numbers[there]] = 1
    has[~labelled(targets)] = np.nan
    return has


def objective(options: Training, classes: Sequence[str], targets: Tagged) -> Softmax:
    """As of one label for each row, over the words."""
    return softmax_objective(options, classes, targets.numbers[targets.teaches])


def guesses(train: Tagged, tested: Tagged) -> list[Baseline]:
    """One tag for all words, and the commonest tag of each word in training."""
    seen = [(sentence.words, numbers) for sentence, numbers in zip(train.words.sentences, by_text(train.numbers, train.words), strict=True)]
    return word_baselines(seen, [sentence.words for sentence in tested.words.sentences], tested.tags)


def scoring(logits: NDArray[np.float64], targets: Tagged) -> Scoring:
    """As of one label for each row, over the words."""
    return single_label_scoring(logits[targets.teaches], targets.numbers[targets.teaches])


def evaluate(
    logits: NDArray[np.float64], targets: Tagged, classes: Sequence[str], trial: Trial, scoring: Scoring, *, of_entities: bool
) -> TaskReport:
    """Of what is said of all words, [W, C]: of those that were not seen the first tag, which is `O` where there is one, without any weight."""
    known = np.where(targets.words.seen[:, None], logits, 0.0)
    said, true = by_text(known, targets.words), by_text(targets.numbers, targets.words)
    return token_report(said, true, classes, trial, scoring, of_entities=of_entities)


def each_word(tags: Sequence[str]) -> list[Found]:
    """Every word by itself, whatever its tag."""
    return [(tag, place, place + 1) for place, tag in enumerate(tags)]


def decode(
    reader: Reader,
    given: OfWords,
    classes: Sequence[str],
    top_k: int | None,  # noqa: ARG001 - `TaskKind`
    scoring: Scoring,
) -> list[Entities]:
    """What `reader` finds in the tags of the words that were seen, with the mean score of its words."""
    scores = softmax(scoring.warmed(given.logits), axis=1)
    said = np.where(given.words.seen, given.logits.argmax(axis=1), NOTHING)
    answers = []
    for sentence, numbers, of_each in zip(given.words.sentences, by_text(said, given.words), by_text(scores, given.words), strict=True):
        of_said = of_each[np.arange(len(numbers)), numbers]
        found = reader([classes[number] if number >= 0 else OUTSIDE for number in numbers.tolist()])
        told = [_entity(sentence, each, of_said) for each in found if numbers[each[1]] != NOTHING]
        answers.append(Entities.model_construct(entities=told))
    return answers


def _entity(sentence: Sentence, found: Found, scores: NDArray[np.float64]) -> Entity:
    label, first, end = found
    start, stop = int(sentence.places[first, 0]), int(sentence.places[end - 1, 1])
    return Entity.model_construct(label=label, score=float(scores[first:end].mean()), start=start, end=stop, text=sentence.text[start:stop])


def _kind(reader: Reader, *, of_entities: bool) -> TaskKind:
    judged = partial(evaluate, of_entities=of_entities)
    return TaskKind(encode, objective, guesses, None, scoring, judged, partial(decode, reader), labelled, strata)


OF_ENTITIES = _kind(entities, of_entities=True)
OF_WORDS = _kind(each_word, of_entities=False)
