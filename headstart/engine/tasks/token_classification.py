"""A tag for each word of a text: of the entity that it is a part of, or its own, such as its part of speech.

Axes: N texts, W words of all texts in order, C tags.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from headstart.engine.evaluation import confusion, per_class
from headstart.engine.inputs.words import Sentence
from headstart.engine.losses import Softmax, softmax_objective
from headstart.engine.tasks.entities import entities
from headstart.engine.tasks.kinds import Cells, TaskKind
from headstart.engine.tasks.spans import tags_of_spans
from headstart.engine.tasks.tagged import Bools, Numbers, OfWords, Tagged, Words
from headstart.planning.tagging import OUTSIDE
from headstart.specs.jobs import ClassReport, TaskReport, Training
from headstart.specs.labels import json_spans, json_texts, normal_label, scheme_faults
from headstart.specs.predictions import Entities, Entity

NOTHING = -1
"""The number of no tag."""

Found = tuple[str, int, int]
"""Label, first word, and the word after the last."""
Reader = Callable[[Sequence[str]], list[Found]]
"""From the tags of a text to what they name."""
Measure = Callable[[Numbers, Numbers, Numbers, Sequence[str]], tuple[dict[str, float], list[ClassReport]]]
"""(tags said [W], true tags [W], `Words.starts` [N + 1], tags by number) → metrics, and what is found of each class."""


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
    return Tagged(np.concatenate(parts), Words.of(sentences), dict(amiss))


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


def evaluate(
    measure: Measure,
    logits: NDArray[np.float64],
    targets: Tagged,
    classes: Sequence[str],
    train_targets: Tagged,
    split: Literal["validation", "test"],
) -> TaskReport:
    """What `measure` says of the model; of one tag for all words, `O` where there is one; and of the commonest tag of each word in training.

    Args:
        logits: of all words, [W, C]; of a word that was not seen `O` is said, or nothing where there is no such tag.
    """
    said, true, starts = _said(logits, classes, targets.words.seen), targets.numbers, targets.words.starts
    metrics, by_class = measure(said, true, starts, classes)
    there = (true >= 0) & (said >= 0)
    return TaskReport(
        split=split,
        rows=len(targets),
        classes=list(classes),
        metrics=metrics,
        baselines={name: measure(each, true, starts, classes)[0] for name, each in _baselines(targets, classes, train_targets).items()},
        per_class=by_class,
        confusion=confusion(true[there], said[there], len(classes)).tolist(),
    )


def _said(logits: NDArray[np.float64], classes: Sequence[str], seen: Bools) -> Numbers:
    return np.where(seen, logits.argmax(axis=1), _outside(classes))


def _outside(classes: Sequence[str]) -> int:
    return classes.index(OUTSIDE) if OUTSIDE in classes else NOTHING


def _baselines(targets: Tagged, classes: Sequence[str], train: Tagged) -> dict[str, Numbers]:
    """Tags that need no model, [W] each; of several that are equally common the first."""
    of_word: dict[str, Counter[int]] = defaultdict(Counter)
    for word, number in zip(_words(train), train.numbers.tolist(), strict=True):
        if number >= 0:
            of_word[word][number] += 1
    commonest = int(np.bincount(train.numbers[train.numbers >= 0], minlength=len(classes)).argmax())
    usual = commonest if _outside(classes) == NOTHING else _outside(classes)
    known = {word: min(counts.items(), key=lambda pair: (-pair[1], pair[0]))[0] for word, counts in of_word.items()}
    by_word = np.array([known.get(word, usual) for word in _words(targets)], np.int64)
    return {"majority": np.full(len(targets.numbers), usual), "word": by_word}


def _words(targets: Tagged) -> list[str]:
    return [word for sentence in targets.words.sentences for word in sentence.words]


def measure_entities(said: Numbers, true: Numbers, starts: Numbers, classes: Sequence[str]) -> tuple[dict[str, float], list[ClassReport]]:
    """Precision, recall and F1 of entities, right when label and both ends are, as seqeval counts them; and the share of words that are right.

    A word without a true tag is as one outside of all entities, whatever is said of it.
    """
    there = true >= 0
    mine, theirs = (_all_entities(np.where(there, each, NOTHING), starts, classes) for each in (said, true))
    labels = sorted({label for label, *_ in mine | theirs})
    counted = np.array([_counts(mine, theirs, label) for label in labels], np.int64).reshape(-1, 3)
    precision, recall, f1 = _scores(counted.sum(axis=0))
    accuracy = float((said[there] == true[there]).mean())
    by_label = [
        ClassReport(label=label, **dict(zip(("precision", "recall", "f1"), _scores(each), strict=True)), support=int(each[2]))
        for label, each in zip(labels, counted, strict=True)
    ]
    return {"f1": f1, "precision": precision, "recall": recall, "token_accuracy": accuracy}, by_label


def _all_entities(numbers: Numbers, starts: Numbers, classes: Sequence[str]) -> set[Found]:
    """With words counted through all texts."""
    tags = [classes[number] if number >= 0 else OUTSIDE for number in numbers.tolist()]
    found: set[Found] = set()
    for first, end in pairwise(starts.tolist()):
        found.update((label, first + start, first + after) for label, start, after in entities(tags[first:end]))
    return found


def _counts(mine: set[Found], theirs: set[Found], label: str) -> tuple[int, int, int]:
    """Right, said and true."""
    said, true = ({each for each in some if each[0] == label} for some in (mine, theirs))
    return len(said & true), len(said), len(true)


def _scores(counts: NDArray[np.int64]) -> tuple[float, float, float]:
    """Precision, recall and F1; 0 where there is nothing to divide by."""
    right, said, true = counts.tolist()
    return right / max(said, 1), right / max(true, 1), 2 * right / max(said + true, 1)


def measure_words(said: Numbers, true: Numbers, starts: Numbers, classes: Sequence[str]) -> tuple[dict[str, float], list[ClassReport]]:  # noqa: ARG001 - `Measure`
    """The share of words that are right, and macro-F1 over the tags that occur. A word of which nothing is said is a wrong one."""
    there = true >= 0
    said, true = said[there], true[there]
    # a column more for what nothing is said of
    table = confusion(true, np.where(said >= 0, said, len(classes)), len(classes) + 1)
    precision, recall, f1 = (each[:-1] for each in per_class(table))
    occurs = (table.sum(axis=0) + table.sum(axis=1) > 0)[:-1]
    by_tag = [
        ClassReport(label=tag, precision=float(precision[c]), recall=float(recall[c]), f1=float(f1[c]), support=int(table[c].sum()))
        for c, tag in enumerate(classes)
    ]
    return {"token_accuracy": float((said == true).mean()), "macro_f1": float(f1[occurs].mean())}, by_tag


def each_word(tags: Sequence[str]) -> list[Found]:
    """Every word by itself, whatever its tag."""
    return [(tag, place, place + 1) for place, tag in enumerate(tags)]


def decode(reader: Reader, given: OfWords, classes: Sequence[str], top_k: int | None) -> list[Entities]:  # noqa: ARG001 - `TaskKind`
    """What `reader` finds in the tags of each text, with the mean score of its words."""
    words, scores = given.words, softmax(given.logits, axis=1)
    said = _said(given.logits, classes, words.seen)
    answers = []
    for sentence, (first, end) in zip(words.sentences, pairwise(words.starts.tolist()), strict=True):
        of_said = scores[np.arange(first, end), said[first:end]]
        numbers = said[first:end].tolist()
        tags = [classes[number] if number >= 0 else OUTSIDE for number in numbers]
        found = [each for each in reader(tags) if numbers[each[1]] >= 0]
        answers.append(Entities.model_construct(entities=[_entity(sentence, each, of_said) for each in found]))
    return answers


def _entity(sentence: Sentence, found: Found, scores: NDArray[np.float64]) -> Entity:
    label, first, end = found
    start, stop = int(sentence.places[first, 0]), int(sentence.places[end - 1, 1])
    return Entity.model_construct(label=label, score=float(scores[first:end].mean()), start=start, end=stop, text=sentence.text[start:stop])


OF_ENTITIES = TaskKind(encode, labelled, strata, objective, partial(evaluate, measure_entities), partial(decode, entities))
OF_WORDS = TaskKind(encode, labelled, strata, objective, partial(evaluate, measure_words), partial(decode, each_word))
