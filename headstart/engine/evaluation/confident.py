"""The rows that a model is wrong about and sure: wrong labels in the file show here first.

Axes: N rows, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from headstart.specs.reports import ConfidentError

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]

MOST = 20


def single_label(scores: Floats, targets: Numbers, classes: Sequence[str], numbers: Numbers) -> list[ConfidentError]:
    """Rows whose answer is wrong, the surest first.

    Args:
        scores: [N, C], as predictions give them.
        numbers: of the rows in the file, [N]; 1 = first data row.
    """
    said = scores.argmax(axis=1)
    sure = scores[np.arange(len(said)), said]
    return [
        ConfidentError(row=int(numbers[at]), label=classes[targets[at]], predicted=classes[said[at]], score=float(sure[at]))
        for at in _surest(sure, said != targets)
    ]


def multi_label(
    scores: Floats, decided: NDArray[np.bool_], targets: NDArray[np.bool_], classes: Sequence[str], numbers: Numbers
) -> list[ConfidentError]:
    """Rows with a wrong decision about a class, by how sure the worst of them is: the score of what does not hold, 1 less that of what does."""
    sure = np.where(decided != targets, np.where(decided, scores, 1 - scores), 0.0).max(axis=1)
    return [
        ConfidentError(
            row=int(numbers[at]), label=_listed(targets[at], classes), predicted=_listed(decided[at], classes), score=float(sure[at])
        )
        for at in _surest(sure, (decided != targets).any(axis=1))
    ]


def regression(predicted: Floats, targets: Floats, numbers: Numbers) -> list[ConfidentError]:
    """The rows that are furthest off."""
    off = np.abs(predicted - targets)
    return [
        ConfidentError(row=int(numbers[at]), label=float(targets[at]), predicted=float(predicted[at]), score=float(off[at]))
        for at in _surest(off, off > 0)
    ]


def tokens(scores: Sequence[Floats], targets: Sequence[Numbers], tags: Sequence[str], numbers: Numbers) -> list[ConfidentError]:
    """Tokens whose tag is wrong, the surest first; scores of each sentence [T, C], targets [T], −1 without a tag."""
    lengths = [len(each) for each in targets]
    sentence, place = np.repeat(np.arange(len(lengths)), lengths), np.concatenate([np.arange(length) for length in (0, *lengths)])
    flat, true = np.concatenate([np.empty((0, len(tags))), *scores]), np.concatenate([np.empty(0, np.int64), *targets])
    said = flat.argmax(axis=1)
    sure = flat[np.arange(len(said)), said]
    return [
        ConfidentError(
            row=int(numbers[sentence[at]]),
            label=tags[true[at]],
            predicted=tags[said[at]],
            score=float(sure[at]),
            position=int(place[at]) + 1,
        )
        for at in _surest(sure, (said != true) & (true >= 0))
    ]


def _surest(sure: Floats, wrong: NDArray[np.bool_]) -> list[int]:
    """At most `MOST` places, equals in the order of the file."""
    places = np.flatnonzero(wrong)
    return [int(at) for at in places[np.argsort(-sure[places], kind="stable")][:MOST]]


def _listed(flags: NDArray[np.bool_], classes: Sequence[str]) -> str:
    return " | ".join(label for label, flag in zip(classes, flags, strict=True) if flag)
