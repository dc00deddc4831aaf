"""How good a model is, how sure that is, and what is reached without one.

Pure functions of arrays: `reports` makes a task's part of the report, `calibration` and `thresholds` find what predictions are made with on
the validation rows, `baselines` says what small models reach.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from headstart.engine.evaluation.baselines import trivial_baseline
from headstart.engine.evaluation.reports import Trial, single_label_report
from headstart.engine.evaluation.scoring import PLAIN
from headstart.specs.reports import TaskReport


def classification_report(
    logits: NDArray[np.float64],
    targets: NDArray[np.int64],
    classes: Sequence[str],
    train_targets: NDArray[np.int64],
    split: Literal["validation", "test"],
) -> TaskReport:
    """The report on one label a row beside the commonest training class, without intervals."""
    trial = Trial(split, np.arange(1, len(targets) + 1), [trivial_baseline("single-label", train_targets, len(targets))], resamples=0)
    return single_label_report(logits, targets, classes, trial, PLAIN)
