"""How logits become answers: what is found on the validation rows after training, kept in the artifact, and used by every prediction.

Axes: N rows, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from headstart.engine.evaluation.calibration import multi_label_temperature, single_label_temperature
from headstart.engine.evaluation.thresholds import HALF, chosen_thresholds

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Scoring:
    """Of one task.

    Attributes:
        temperature: what logits are divided by; None: nothing.
        thresholds: of each class, the score from which on it is given; None: ½. Multi-label alone has them.
    """

    temperature: float | None = None
    thresholds: tuple[float, ...] | None = None

    def warmed(self, logits: Floats) -> Floats:
        return logits if self.temperature is None else logits / self.temperature

    def shares(self, logits: Floats) -> Floats:
        """The score of each label by itself, [N, C]."""
        made: Floats = expit(self.warmed(logits))
        return made

    def given(self, scores: Floats) -> NDArray[np.bool_]:
        """Which labels are given at these scores, [N, C]."""
        return scores >= (HALF if self.thresholds is None else np.asarray(self.thresholds))


PLAIN = Scoring()


def single_label_scoring(logits: Floats, targets: NDArray[np.int64]) -> Scoring:
    """From validation rows: logits [N, C], class numbers [N]."""
    return Scoring(single_label_temperature(logits, targets))


def multi_label_scoring(logits: Floats, targets: NDArray[Any]) -> Scoring:
    """From validation rows: logits and targets (0 or 1) [N, C]."""
    held = np.asarray(targets) > HALF
    temperature = multi_label_temperature(logits, held)
    if temperature is None:
        return PLAIN
    return Scoring(temperature, tuple(chosen_thresholds(Scoring(temperature).shares(logits), held)))


def plain_scoring(_logits: Floats, _targets: NDArray[Any]) -> Scoring:
    """A number is what it is."""
    return PLAIN
