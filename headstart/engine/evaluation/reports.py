"""A task's part of the report: the model's metrics, how sure they are, what is reached without it, and where it is wrong.

Axes: N tested rows, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from headstart.engine.evaluation import calibration, confident, multi_label, regression, single_label, token_tags
from headstart.engine.evaluation.baselines import Baseline
from headstart.engine.evaluation.resampling import RESAMPLES, Measure, Measured, interval, intervals, resampled, values
from headstart.engine.evaluation.scoring import Scoring
from headstart.engine.evaluation.thresholds import HALF
from headstart.specs.reports import Gain, TaskReport

Floats = NDArray[np.float64]
Numbers = NDArray[np.int64]
Split = Literal["validation", "test"]


@dataclass(frozen=True, slots=True)
class Trial:
    """What every report needs beside logits and targets.

    Attributes:
        rows: numbers of the rows in the file, [N]; 1 = first data row.
        baselines: what is compared with.
        resamples: of the intervals; 0: there are none.
        seed: of the resamples.
    """

    split: Split
    rows: Numbers
    baselines: Sequence[Baseline] = ()
    resamples: int = RESAMPLES
    seed: int = 0


def single_label_report(logits: Floats, targets: Numbers, classes: Sequence[str], trial: Trial, scoring: Scoring) -> TaskReport:
    """Of one label a row.

    Args:
        logits: as the head gives them, [N, C], N ≥ 1.
        targets: class numbers, [N].
    """
    table = single_label.confusion(targets, logits.argmax(axis=1), len(classes))

    def measure(given: Floats, how: Scoring, places: Any) -> Measure:  # noqa: ANN401 - an index
        return single_label.measure(_widened(how.warmed(given), len(classes)), targets[places])

    return TaskReport(
        problem="single-label",
        split=trial.split,
        rows=len(targets),
        classes=list(classes),
        per_class=single_label.per_class(table, classes),
        confusion=table.tolist(),
        calibration=calibration.calibration(lambda z: calibration.single_label_decisions(z, targets), logits, scoring.temperature),
        confident_errors=confident.single_label(softmax(scoring.warmed(logits), axis=1), targets, classes, trial.rows),
        **_compared(measure, logits, scoring, trial),
    )


def multi_label_report(logits: Floats, targets: NDArray[Any], classes: Sequence[str], trial: Trial, scoring: Scoring) -> TaskReport:
    """Of any number of labels a row; logits and targets (0 or 1) [N, C]."""
    held = np.asarray(targets) > HALF
    scores = scoring.shares(logits)

    def measure(given: Floats, how: Scoring, places: Any) -> Measure:  # noqa: ANN401 - an index
        shares = how.shares(given)
        return multi_label.measure(shares, how.given(shares), held[places])

    return TaskReport(
        problem="multi-label",
        split=trial.split,
        rows=len(targets),
        classes=list(classes),
        per_class=multi_label.per_class(scoring.given(scores), held, classes),
        confusion=[],
        calibration=calibration.calibration(lambda z: calibration.multi_label_decisions(z, held), logits, scoring.temperature),
        thresholds=None if scoring.thresholds is None else list(scoring.thresholds),
        confident_errors=confident.multi_label(scores, scoring.given(scores), held, classes, trial.rows),
        **_compared(measure, logits, scoring, trial),
    )


def regression_report(logits: Floats, targets: Floats, classes: Sequence[str], trial: Trial, scoring: Scoring) -> TaskReport:
    """Of a number a row; logits [N, 1] are the numbers, targets [N]; there are no classes."""

    def measure(given: Floats, _how: Scoring, places: Any) -> Measure:  # noqa: ANN401 - an index
        return regression.measure(given[:, 0], targets[places])

    return TaskReport(
        problem="regression",
        split=trial.split,
        rows=len(targets),
        classes=list(classes),
        per_class=[],
        confusion=[],
        confident_errors=confident.regression(logits[:, 0], targets, trial.rows),
        **_compared(measure, logits, scoring, trial),
    )


def token_report(
    logits: Sequence[Floats], targets: Sequence[Numbers], tags: Sequence[str], trial: Trial, scoring: Scoring, *, of_entities: bool
) -> TaskReport:
    """Of a tag for each token.

    Args:
        logits: of each sentence, [T, C].
        targets: tag numbers of each sentence, [T]; −1: a token without a tag.
        of_entities: whether tags name entities, which are then what is counted.
    """
    said = [each.argmax(axis=1) for each in logits]
    flat, true = np.concatenate(list(logits)), np.concatenate(list(targets))
    there = true >= 0

    def measure(given: Sequence[Numbers], _how: Scoring, places: Any) -> Measure:  # noqa: ANN401 - an index
        return token_tags.measure(given, _picked(targets, places), tags, of_entities=of_entities)

    return TaskReport(
        problem="token-classification",
        split=trial.split,
        rows=len(targets),
        classes=list(tags),
        per_class=token_tags.per_class(said, targets, tags, of_entities=of_entities),
        confusion=token_tags.confusion_of_tags(said, targets, len(tags)).tolist(),
        calibration=calibration.calibration(lambda z: calibration.single_label_decisions(z, true[there]), flat[there], scoring.temperature),
        confident_errors=confident.tokens([softmax(scoring.warmed(each), axis=1) for each in logits], targets, tags, trial.rows),
        **_compared(measure, said, scoring, trial),
    )


def _compared(
    measure: Callable[[Any, Scoring, Any], Measure],
    predicted: Any,  # noqa: ANN401 - by the problem
    scoring: Scoring,
    trial: Trial,
) -> dict[str, Any]:
    """Metrics, their intervals, the baselines' metrics, and intervals of the differences.

    Args:
        measure: (what is predicted of some rows, how it becomes answers, which of the N rows they are) → their measure.
    """
    rows, everywhere = len(trial.rows), slice(None)
    measures: dict[str, Measure] = {"": measure(predicted, scoring, everywhere)}  # the model's is nameless
    for each in trial.baselines:
        places = everywhere if each.places is None else each.places
        measures[each.name] = _on(measure(each.predicted, each.scoring, places), each.places)
        if each.places is not None:
            measures[_beside(each)] = _on(measure(_picked(predicted, each.places), scoring, each.places), each.places)
    point = {name: values(each, rows) for name, each in measures.items()}
    made: dict[str, Any] = {
        "metrics": point[""],
        "baselines": {each.name: point[each.name] for each in trial.baselines},
        "baseline_notes": {each.name: each.note for each in trial.baselines},
    }
    if trial.resamples:
        drawn = resampled(measures, rows, trial.seed, trial.resamples)
        made["intervals"] = intervals(drawn[""], point[""], rows)
        made["gains"] = {each.name: _gains(_beside(each), each.name, point, drawn) for each in trial.baselines}
    return made


def _beside(baseline: Baseline) -> str:
    """The name of the model's measure on the rows of this baseline: where it was asked about some, the model is measured on those too."""
    return "" if baseline.places is None else f"beside {baseline.name}"


def _gains(model: str, baseline: str, point: Mapping[str, Mapping[str, float]], drawn: Mapping[str, Measured]) -> dict[str, Gain]:
    made = {}
    for metric in point[baseline].keys() & point[model].keys():
        value = point[model][metric] - point[baseline][metric]
        if metric in drawn[model] and (ends := interval(drawn[model][metric] - drawn[baseline][metric])) is not None:
            made[metric] = Gain(value=value, low=ends[0], high=ends[1])
    return {metric: made[metric] for metric in point[model] if metric in made}


def _on(measure: Measure, places: Numbers | None) -> Measure:
    return measure if places is None else lambda weights: measure(weights[:, places])


def _picked(items: Any, places: Any) -> Any:  # noqa: ANN401 - an array, or a list with an item for each row
    if isinstance(items, np.ndarray):
        return items[places]
    return items[places] if isinstance(places, slice) else [items[place] for place in places]


def _widened(logits: Floats, classes: int) -> Floats:
    """[N, C]: classes that a baseline has not seen are never said."""
    missing = classes - logits.shape[1]
    return logits if missing <= 0 else np.pad(logits, ((0, 0), (0, missing)), constant_values=logits.min() - 20)
