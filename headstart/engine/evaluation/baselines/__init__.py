"""What can be had without transfer: a guess that never looks, and a small model of the raw inputs that trains in seconds.

    majority   the shares of the classes, the commonest set of labels, the commonest tag
    mean       the mean of the numbers
    tfidf      words and characters of texts, weighted by rarity, and a linear model
    pixels     images of 16 × 16 pixels, and a linear model
    mfcc       means and spreads of a recording's cepstrum, and a linear model
    word       the commonest tag of each word

The linear model is logistic regression, one-vs-rest for several labels, ridge regression for numbers. Time is bounded by rows, never by a clock,
so that the same data give the same numbers: of more rows a random part is taken, and the report says how many.

Axes: N rows of the table, C classes, K numbers that are given of a row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped] # it has no annotations

from headstart.engine.evaluation.baselines import images, linear, sounds, texts, trivial
from headstart.engine.evaluation.scoring import PLAIN, Scoring, multi_label_scoring, plain_scoring, single_label_scoring
from headstart.planning.comparing import MOST_ROWS
from headstart.specs.backbones import Modality

Rows = NDArray[np.int64]
Problem = Literal["single-label", "multi-label", "regression"]


@dataclass(frozen=True, slots=True)
class Baseline:
    """What a baseline says of the rows that the model is tested on.

    Attributes:
        note: what it is, in a sentence.
        predicted: in the shape of the model's own logits: [M, K], or of a regression [M, 1]; of a tagger tag numbers [T] by sentence.
        places: which of the tested rows it was asked about, ascending, [M]; None: all.
        scoring: found as the model's own is.
    """

    name: str
    note: str
    predicted: Any
    places: Rows | None = None
    scoring: Scoring = PLAIN


@dataclass(frozen=True, slots=True)
class Raw:
    """How a modality's examples become numbers for a linear model.

    Attributes:
        vectors: (train, asked) → a matrix of each, dense or sparse.
        what: in words.
        strengths: scikit-learn's C, to choose among; where fitting is dear there is one.
    """

    name: str
    vectors: Callable[[Sequence[Any], Sequence[Any]], tuple[Any, Any]]
    what: str
    strengths: tuple[float, ...]


RAW: dict[Modality, Raw] = {
    "text": Raw("tfidf", texts.vectors, "TF-IDF of words, pairs of words and characters", (10.0,)),
    "image": Raw("pixels", images.vectors, "16 × 16 pixels", (0.01, 0.1, 0.001, 0.0001)),
    "audio": Raw("mfcc", sounds.vectors, "means and spreads of mel-frequency cepstral coefficients", (0.1, 1.0, 0.01)),
}
SCORINGS: dict[Problem, Callable[[NDArray[np.float64], NDArray[Any]], Scoring]] = {
    "single-label": single_label_scoring,
    "multi-label": multi_label_scoring,
    "regression": plain_scoring,
}


@dataclass(frozen=True, slots=True)
class Parts:
    """Rows of the table to learn from, to choose by, and to answer for; each ascending, and all have an answer."""

    train: Rows
    validation: Rows
    test: Rows


def trivial_baseline(problem: Problem, train_targets: NDArray[Any], rows: int) -> Baseline:
    """The guess that never looks at an input, for so many rows."""
    name = "mean" if problem == "regression" else "majority"
    guess, note = trivial.GUESSES[problem](train_targets)
    return Baseline(name, note, np.broadcast_to(guess, (rows, len(guess))))


class RawBaseline:
    """The linear model of raw inputs: which rows it would take of too many, what it answers for them, and how that is judged.

    Args:
        examples: of all rows of the table.
        targets: of all rows, as the task encodes them.
        seed: decides which rows are taken where there are too many.
    """

    def __init__(
        self, problem: Problem, modality: Modality, examples: Sequence[Any], targets: NDArray[Any], parts: Parts, seed: int
    ) -> None:
        self.raw = RAW[modality]
        self._problem, self._examples, self._targets, self._parts = problem, examples, targets, parts
        most = MOST_ROWS[modality]
        self._train, self._validation = _some(parts.train, most, seed), _some(parts.validation, most // 5, seed + 1)
        self._places = _some(np.arange(len(parts.test)), most, seed + 2)

    @property
    def learns_from(self) -> tuple[Rows, Rows]:
        """Training rows and validation rows: all that its answers depend on, beside the row asked about."""
        return self._train, self._validation

    @property
    def asked(self) -> Rows:
        """The rows that `answers` is about: validation rows, then tested ones."""
        return np.concatenate([self._validation, self._parts.test[self._places]])

    def answers(self) -> NDArray[np.float32]:
        """[M, K]. In 32 bits, so that what is kept for later and what is new are the same numbers."""
        with threadpool_limits(limits=1):  # the same bits whatever number of threads; and these products are small
            x, asked = self.raw.vectors([self._examples[row] for row in self._train], [self._examples[row] for row in self.asked])
            judged = self._targets[self._validation]
            made = linear.answers(self._problem, x, self._targets[self._train], asked, judged, self.raw.strengths)
        return made.astype(np.float32)

    def baseline(self, answers: NDArray[np.float32]) -> Baseline:
        """What `answers` are worth: temperature and thresholds come from the validation rows, as the model's do."""
        judged, tested = np.split(answers.astype(np.float64), [len(self._validation)])
        known = self._targets[self._validation]
        if self._problem == "single-label":  # a class without a training row has no logit
            there = known < judged.shape[1]
            judged, known = judged[there], known[there]
        taken, there_are = len(self._train), len(self._parts.train)
        note = (
            f"{self.raw.what[0].upper()}{self.raw.what[1:]}, {linear.KINDS[self._problem][2]}; trained on {_of(taken, there_are)} "
            f"training rows, tested on {_of(len(self._places), len(self._parts.test))}."
        )
        places = None if len(self._places) == len(self._parts.test) else self._places
        return Baseline(self.raw.name, note, tested, places, SCORINGS[self._problem](judged, known))


def _some(rows: Rows, most: int, seed: int) -> Rows:
    """At most so many of them, ascending."""
    return rows if len(rows) <= most else np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))


def _of(taken: int, there: int) -> str:
    return f"all {there:,}" if taken == there else f"{taken:,} of {there:,}"
