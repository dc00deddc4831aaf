"""What the transfer was worth, in one sentence for each task, made from the numbers and never stronger than they are."""

from __future__ import annotations

from headstart.specs.reports import HEADLINES, LESS_IS_BETTER, TRIVIAL, Gain, TaskReport

METRICS = {
    "accuracy": "accuracy",
    "macro_f1": "macro-F1",
    "log_loss": "log-loss",
    "micro_f1": "micro-F1",
    "samples_f1": "samples-F1",
    "subset_accuracy": "subset accuracy",
    "hamming_loss": "Hamming loss",
    "mean_average_precision": "mean average precision",
    "mae": "mean absolute error",
    "rmse": "root mean squared error",
    "r2": "R²",
    "pearson": "Pearson correlation",
    "spearman": "Spearman correlation",
    "precision": "precision of entities",
    "recall": "recall of entities",
    "f1": "F1 of entities",
    "token_accuracy": "accuracy of tokens",
}
BASELINES = {
    "majority": "always saying what is commonest",
    "mean": "always saying the mean",
    "tfidf": "a linear model of words and characters (TF-IDF)",
    "pixels": "a linear model of 16 × 16 pixels",
    "mfcc": "a linear model of the recordings' cepstrum (MFCC)",
    "word": "the commonest tag of each word",
}


def verdict(task: TaskReport) -> str:
    """The sentence, with the 95 % intervals that it rests on.

    The transfer is measured by the best baseline: whatever is reached without it was not its doing.
    """
    headline = next((name for name in HEADLINES if name in task.metrics), None)
    if headline is None:
        return f"Nothing was measured on the {task.split} split."
    best = _best(task, headline)
    reached = f"With transfer, {metric_name(headline)} is {_value(task, headline)} {measured_on(task)}"
    if best is None:
        return f"{reached}; there is no baseline to compare it with, so what the transfer was worth is not known."
    beside = f"{reached}; {baseline_name(best)} reaches {task.baselines[best][headline]:.3f} without it"
    found = task.gains.get(best, {}).get(headline)
    told = f"{beside}{_untold(task, best)}"
    if found is None:
        return f"{told}; no interval says whether more than chance lies between them."
    return f"{told}: {_worth(found, headline)}"


def measured_on(task: TaskReport) -> str:
    """Which rows the metrics are of."""
    if task.folds:
        return f"in the mean of {len(task.folds)} folds"
    return f"on {task.rows:,} rows of the {task.split} split"


def metric_name(name: str) -> str:
    return METRICS.get(name, name)


def baseline_name(name: str) -> str:
    return BASELINES.get(name, name)


def _best(task: TaskReport, headline: str) -> str | None:
    sign = -1 if headline in LESS_IS_BETTER else 1
    known = [name for name, metrics in task.baselines.items() if headline in metrics]
    return max(known, key=lambda name: sign * task.baselines[name][headline], default=None)


def _untold(task: TaskReport, best: str) -> str:
    """A warning where only a guess stands beside the model."""
    return " (no model of the raw inputs was tried)" if best in TRIVIAL and not task.baselines.keys() - TRIVIAL else ""


def _value(task: TaskReport, metric: str) -> str:
    ends = task.intervals.get(metric)
    return f"{task.metrics[metric]:.3f}" + ("" if ends is None else f" (95 % interval {ends[0]:.3f} to {ends[1]:.3f})")


def _worth(gain: Gain, headline: str) -> str:
    sign = -1 if headline in LESS_IS_BETTER else 1
    value, low, high = sign * gain.value, *sorted((sign * gain.low, sign * gain.high))
    if low > 0:
        return f"the transfer was worth {value:.3f} ({low:.3f} to {high:.3f})."
    if high < 0:
        return f"the transfer was not worth it, the baseline is better by {-value:.3f} ({-high:.3f} to {-low:.3f})."
    return (
        f"the difference of {value:+.3f} may be chance (its interval, {low:+.3f} to {high:+.3f}, holds 0), so these rows do not show "
        "that the transfer was worth anything."
    )
