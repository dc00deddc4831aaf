"""Any number of labels for each text, image or recording.

Axes: N rows, C classes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from headstart.engine.evaluation.baselines import Baseline, trivial_baseline
from headstart.engine.evaluation.reports import multi_label_report
from headstart.engine.evaluation.scoring import Scoring, multi_label_scoring
from headstart.engine.losses import sigmoid_objective
from headstart.engine.tasks.kinds import Cells, Targets, TaskKind
from headstart.planning.targets import SWITCHES
from headstart.specs.labels import listed_labels
from headstart.specs.predictions import MultiLabel, Score


def encode(columns: Cells, classes: Sequence[str]) -> NDArray[np.float32]:
    """1 where a label holds and 0 where it does not, [N, C]; a row without an answer is NaN throughout.

    Args:
        columns: one of lists of labels.
    """
    (cells,) = columns
    numbers = {label: number for number, label in enumerate(classes)}
    targets = np.zeros((len(cells), len(classes)), np.float32)
    for row, cell in enumerate(cells):
        if cell is None:
            targets[row] = np.nan
        else:
            targets[row, [numbers[label] for label in listed_labels(cell) if label in numbers]] = 1
    return targets


def encode_switches(columns: Cells, classes: Sequence[str]) -> NDArray[np.float32]:
    """As `encode`, of a column of switches for each class, in the order of their names among `classes`."""
    targets = np.full((len(columns[0]), len(classes)), np.nan, np.float32)
    for number, cells in enumerate(columns):
        known = {cell: SWITCHES.get(cell.strip().lower()) for cell in set(cells) if cell is not None}
        targets[:, number] = [np.nan if cell is None or known[cell] is None else known[cell] for cell in cells]
    targets[np.isnan(targets).any(axis=1)] = np.nan
    return targets


def decode(logits: NDArray[np.float64], classes: Sequence[str], top_k: int | None, scoring: Scoring) -> list[MultiLabel]:
    """The labels that hold and the scores of each row, highest first; equal scores stand in the order of the classes."""
    scores = scoring.shares(logits)
    holds = scoring.given(scores)
    order = np.argsort(-scores, axis=1, kind="stable")
    answers = []
    for row, held, places in zip(scores, holds, order.tolist(), strict=True):
        told = [Score.model_construct(label=classes[place], score=float(row[place])) for place in places]
        labels = [classes[place] for place in places if held[place]]
        answers.append(MultiLabel.model_construct(labels=labels, scores=told[:top_k]))
    return answers


def guesses(train: Targets, tested: Targets) -> list[Baseline]:
    return [trivial_baseline("multi-label", train, len(tested))]


KIND = TaskKind(encode, sigmoid_objective, guesses, "multi-label", multi_label_scoring, multi_label_report, decode)
OF_SWITCHES = dataclasses.replace(KIND, encode=encode_switches)
