"""Reports to render, by hand: each kind of task, and names that mean harm."""

from __future__ import annotations

from typing import Any

from headstart.specs.reports import Report

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(2)>',
    "</style><style>*{background:url(https://evil.example/a)}</style>",
    "{{ 7 * 7 }}{% raw %}",
    "\u202etxt.exe\u200b",
    "javascript:alert(3)",
    "https://evil.example/",
]


def task(**changes: Any) -> dict[str, Any]:
    """Of two classes, better than both baselines."""
    made = {
        "problem": "single-label",
        "split": "test",
        "rows": 400,
        "classes": ["neg", "pos"],
        "metrics": {"accuracy": 0.883, "macro_f1": 0.88190123, "log_loss": 0.31},
        "intervals": {"accuracy": [0.85, 0.912], "macro_f1": [0.8491, 0.9117]},
        "baselines": {"majority": {"accuracy": 0.515}, "tfidf": {"accuracy": 0.791, "macro_f1": 0.7907}},
        "baseline_notes": {"majority": "Always the commonest class.", "tfidf": "TF-IDF, trained on all 1,400 training rows."},
        "gains": {
            "majority": {"accuracy": {"value": 0.3675, "low": 0.31, "high": 0.42}},
            "tfidf": {"accuracy": {"value": 0.0921, "low": 0.052, "high": 0.131}},
        },
        "per_class": [
            {"label": "neg", "precision": 0.862, "recall": 0.902, "f1": 0.8816, "support": 194},
            {"label": "pos", "precision": 0.904, "recall": 0.864, "f1": 0.8835, "support": 206},
        ],
        "confusion": [[175, 19], [28, 178]],
        "calibration": {
            "temperature": 1.31,
            "ece_before": 0.061,
            "ece_after": 0.018,
            "bins": [{"count": 200, "confidence": 0.71, "accuracy": 0.72}, {"count": 200, "confidence": 0.96, "accuracy": 0.955}],
            "bins_before": [{"count": 199, "confidence": 0.81, "accuracy": 0.73}, {"count": 201, "confidence": 0.99, "accuracy": 0.951}],
        },
        "thresholds": None,
        "confident_errors": [{"row": 17, "label": "pos", "predicted": "neg", "score": 0.981, "position": None}],
    }
    return made | changes


def several() -> dict[str, Any]:
    return task(
        problem="multi-label",
        metrics={"micro_f1": 0.52, "mean_average_precision": 0.48},
        intervals={"micro_f1": [0.5, 0.54]},
        baselines={"majority": {"micro_f1": 0.3}, "tfidf": {"micro_f1": 0.515}},
        gains={"tfidf": {"micro_f1": {"value": 0.005, "low": -0.011, "high": 0.021}}},
        confusion=[],
        thresholds=[0.31, 0.44],
    )


def numbers() -> dict[str, Any]:
    return task(
        problem="regression",
        classes=[],
        metrics={"mae": 0.61, "rmse": 0.8, "r2": -0.0000012},
        intervals={"mae": [0.57, 0.66]},
        baselines={"mean": {"mae": 0.9}, "tfidf": {"mae": 0.55}},
        gains={"tfidf": {"mae": {"value": 0.06, "low": 0.02, "high": 0.1}}},
        per_class=[],
        confusion=[],
        calibration=None,
        confident_errors=[{"row": 3, "label": 4.0, "predicted": -1234567.25, "score": 1234571.25, "position": None}],
    )


def tags() -> dict[str, Any]:
    return task(
        problem="token-classification",
        metrics={"f1": 0.5, "token_accuracy": 0.9},
        intervals={},
        baselines={"majority": {"f1": 0.0}},
        gains={},
        confident_errors=[{"row": 3, "label": "B-PER", "predicted": "O", "score": 0.99, "position": 7}],
    )


def report(**tasks: dict[str, Any]) -> Report:
    cost = {
        "preparing_seconds": 1.9,
        "training_seconds": 3.125,
        "evaluating_seconds": 0.21,
        "peak_memory_bytes": 912680550,
        "artifact_bytes": 5120,
    }
    return Report.model_validate(
        {
            "object": "report",
            "job": "job_01h455vb4pex5vsknk084sn02q",
            "method": "feature-extraction",
            "trainable_parameters": 770,
            "artifact_bytes": 5121,
            "tasks": tasks or {"sentiment": task()},
            "estimate": cost,
            "actual": {**cost, "training_seconds": 2.75},
            "cache": {"rows_computed": 1999, "rows_reused": 3},
            "precision": {"dtype": "float32", "measured": {"distance": 1.25e-05, "agrees": True}, "why": "no <b>gain</b>", "none": None},
        }
    )


def hostile() -> Report:
    """Every word that a user gives is one of `HOSTILE`."""
    size = len(HOSTILE)
    line = {"precision": 0.5, "recall": 0.5, "f1": 0.5, "support": 2}
    bad = task(
        classes=HOSTILE,
        per_class=[{"label": label, **line} for label in HOSTILE],
        confusion=[[1] * size for _ in HOSTILE],
        confident_errors=[{"row": at + 1, "label": label, "predicted": label, "score": 0.9} for at, label in enumerate(HOSTILE)],
        baseline_notes={"majority": HOSTILE[0], "tfidf": HOSTILE[1]},
    )
    return report(**dict.fromkeys(HOSTILE[:3], bad))
