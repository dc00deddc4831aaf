"""The small model of raw inputs that a task is compared with, kept for later jobs on the same rows.

What it answers depends on nothing but the rows, so a cache of the same kind as that of the features holds it, in `baselines/` below that one's
root: the key has a digest of all that was learnt from, a row is what was asked about. It may have a hundredth of the features' budget beside it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy
import sklearn
from numpy.typing import NDArray

from headstart.engine.cache import CacheKey, FeatureCache
from headstart.engine.context import Context
from headstart.engine.evaluation.baselines import Baseline, Parts, Problem, RawBaseline
from headstart.engine.examples import digests
from headstart.engine.rows import TaskRows
from headstart.engine.splits import Split

FORMAT = 1
"""Of what a baseline is; raised when the same rows would give other answers."""


def raw_baseline(context: Context, task: TaskRows, problem: Problem, examples: Sequence[Any], split: Split) -> Baseline:
    """The baseline of a task that gives one answer a row.

    Args:
        problem: what it is fitted by.
        examples: of all rows, as they are in the table.
    """
    targets = task.targets
    assert isinstance(targets, np.ndarray)  # noqa: S101 - where words are answered for there is no such baseline
    parts = Parts(*(task.among(part) for part in (split.train, split.validation, split.test)))
    raw = RawBaseline(problem, context.spec.tasks[0].modality, examples, targets, parts, context.spec.training.seed)
    if context.plan.cache.mode != "cached":
        return raw.baseline(_trained(context, raw))
    asked = digests([examples[row] for row in raw.asked])
    budget = None if context.cache_bytes is None else context.cache_bytes // 100
    cache = FeatureCache(context.cache_root / "baselines", _key(context, raw, problem, examples, targets), budget)
    kept, found = cache.lookup(asked)
    if found.all():
        return raw.baseline(kept)
    answers = _trained(context, raw)
    first = np.sort(np.unique(asked, axis=0, return_index=True)[1])  # rows that differ
    cache.append(asked[first], answers[first])
    cache.prune()
    return raw.baseline(answers)


def _trained(context: Context, raw: RawBaseline) -> NDArray[np.float32]:
    began = context.clock()
    answers = raw.answers()
    context.reporter.log(f"A baseline was trained for comparison in {context.clock() - began:.1f} s: {raw.raw.what}.")
    return answers


def _key(context: Context, raw: RawBaseline, problem: str, examples: Sequence[Any], targets: NDArray[Any]) -> CacheKey:
    learnt = hashlib.sha256(f"{FORMAT} {problem}".encode())
    for rows in raw.learns_from:
        learnt.update(len(rows).to_bytes(8, "big"))
        learnt.update(digests([examples[row] for row in rows]).tobytes())
        learnt.update(np.ascontiguousarray(targets[rows]).tobytes())
    return CacheKey(
        workspace=context.workspace,
        backbone_sha256=learnt.hexdigest(),
        boundary=f"baseline {raw.raw.name}",
        pooling=None,
        preprocessing=f"scikit-learn {sklearn.__version__}, scipy {scipy.__version__}",
        dtype="float32",
        device="cpu",
        torch="",
        transformers="",
    )
