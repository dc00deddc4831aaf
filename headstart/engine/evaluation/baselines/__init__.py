"""What can be had without transfer: a guess that never looks, and a small model of the raw inputs that trains in seconds.

    majority   the shares of the classes, the commonest set of labels, the commonest tag
    mean       the mean of the numbers
    tfidf      words and characters of texts, weighted by rarity, and a linear model
    pixels     images of 16 × 16 pixels, and a linear model
    mfcc       means and spreads of a recording's cepstrum, and a linear model
    word       the commonest tag of each word

The linear model is logistic regression, one-vs-rest for several labels, ridge regression for numbers. Time is bounded by rows, never by a clock,
so that the same data give the same numbers: of more rows a random part is taken, and the report says how many.

Axes: N rows, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped] # it has no annotations

from headstart.engine.evaluation.baselines import images, linear, sounds, texts, trivial
from headstart.specs.backbones import Modality

Rows = NDArray[np.int64]
Problem = Literal["single-label", "multi-label", "regression"]


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a baseline says of the rows that the model is tested on.

    Attributes:
        note: what it is, in a sentence.
        predicted: in the shape of the model's own logits: [M, C], or of a regression [M, 1]; of a tagger tag numbers [T] by sentence.
        places: which of the N tested rows it was asked about, ascending, [M]; None: all.
    """

    name: str
    note: str
    predicted: Any
    places: Rows | None = None


@dataclass(frozen=True, slots=True)
class Raw:
    """How a modality's examples become numbers for a linear model.

    Attributes:
        vectors: (train, tested) → a matrix of each, dense or sparse.
        what: in words.
        most: rows to train on at most, and to be tested on.
    """

    name: str
    vectors: Callable[[Sequence[Any], Sequence[Any]], tuple[Any, Any]]
    what: str
    most: int


RAW: dict[Modality, Raw] = {
    "text": Raw("tfidf", texts.vectors, "TF-IDF of words, pairs of words and characters", 10_000),
    "image": Raw("pixels", images.vectors, "16 × 16 pixels", 1_000),
    "audio": Raw("mfcc", sounds.vectors, "means and spreads of mel-frequency cepstral coefficients", 1_000),
}


def baselines(
    problem: Problem, modality: Modality, examples: Sequence[Any], targets: NDArray[Any], train: Rows, tested: Rows, seed: int
) -> list[Baseline]:
    """Both baselines of a task that gives one answer a row.

    Args:
        examples: of all rows.
        targets: of all rows, as the task encodes them; those of `train` and `tested` are there.
        train: rows to learn from; `tested`: rows to answer for.
        seed: decides which rows are taken where there are too many.
    """
    return [trivial_baseline(problem, targets[train], len(tested)), raw_baseline(problem, modality, examples, targets, train, tested, seed)]


def trivial_baseline(problem: Problem, train_targets: NDArray[Any], rows: int) -> Baseline:
    """The guess that never looks at an input, for so many rows."""
    name = "mean" if problem == "regression" else "majority"
    guess, note = trivial.GUESSES[problem](train_targets)
    return Baseline(name, note, np.broadcast_to(guess, (rows, len(guess))))


def raw_baseline(
    problem: Problem, modality: Modality, examples: Sequence[Any], targets: NDArray[Any], train: Rows, tested: Rows, seed: int
) -> Baseline:
    """The linear model of raw inputs."""
    raw = RAW[modality]
    learnt, places = _some(train, raw.most, seed), _some(np.arange(len(tested)), raw.most, seed + 1)
    with threadpool_limits(limits=1):  # the same bits whatever number of threads; and these products are small
        x, x_tested = raw.vectors([examples[row] for row in learnt], [examples[row] for row in tested[places]])
        predicted, words = linear.FITS[problem](x, targets[learnt], x_tested)
    note = f"{raw.what}, {words}; trained on {_of(len(learnt), len(train))} training rows, tested on {_of(len(places), len(tested))}."
    return Baseline(raw.name, note[0].upper() + note[1:], predicted, None if len(places) == len(tested) else places)


def _some(rows: Rows, most: int, seed: int) -> Rows:
    """At most so many of them, ascending."""
    return rows if len(rows) <= most else np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))


def _of(taken: int, there: int) -> str:
    return f"all {there:,}" if taken == there else f"{taken:,} of {there:,}"
