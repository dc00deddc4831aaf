"""All that happens before the first step: rows and their split, the dtype, and what f gives for them, from the cache where it is known."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import transformers
from numpy.typing import NDArray

from headstart.engine.activations import Extraction, Feeder, InputFeeder, RecomputingFeeder, extract_activations
from headstart.engine.adapters import inject
from headstart.engine.backbones.loading import random_module
from headstart.engine.cache import CacheKey, FeatureCache
from headstart.engine.context import Context
from headstart.engine.dealing import deal, tell_of_datasets
from headstart.engine.examples import Example, digests
from headstart.engine.features import Features, Halved, Recomputed, extract
from headstart.engine.group import group_now
from headstart.engine.inputs import Encoded
from headstart.engine.inputs.augmenting import Augmenter
from headstart.engine.inputs.text import EncodedTexts
from headstart.engine.precision import Measurement, Precision, choose, device_class, measure_prefix, measured_once
from headstart.engine.prefix import DTYPES, Prefix
from headstart.engine.rows import Rows, TaskRows, read_rows
from headstart.engine.sources import NoSuffix, PooledSource, SuffixSource
from headstart.engine.splits import Split, unseen_classes
from headstart.engine.suffix import Suffix, cut_of, make_suffix
from headstart.engine.tables import DatasetTable
from headstart.engine.tasks.tagged import Tagged
from headstart.engine.views import Viewed, Views
from headstart.errors import quote
from headstart.planning.splits import Fold
from headstart.planning.tagging import amiss_message
from headstart.specs.backbones import ImageInput
from headstart.specs.jobs import FeatureExtraction
from headstart.specs.plans import FEATURE_BYTES, INPUT

_UNITS = {"text": "tokens", "image": "patches of 16 × 16", "audio": "fiftieths of a second"}


@dataclass(frozen=True, slots=True)
class Prepared:
    """Where training starts from, and what it took to get there."""

    source: PooledSource | SuffixSource
    rows_computed: int
    rows_reused: int
    seconds: float
    """Spent on running f; 0.0 when all came from the cache, or nothing is frozen."""
    beginnings: list[NDArray[np.int32]] | None = None
    """Of each row the token that begins each word, −1 for none; None where no words are read."""


def read(context: Context, tables: Sequence[DatasetTable]) -> tuple[Rows, list[Split]]:
    """The rows, and their split; of cross-validation that of each fold, so that none is refused once another was trained."""
    rows = read_rows(tables, context.spec, context.plan)
    if rows.dropped:
        message = f"{rows.dropped:,} rows are left out: they have no input, no label or no split."
        context.warn("rows_dropped", message)
    evaluation = context.spec.evaluation
    splits = _splits(context, rows)
    split = splits[0]
    named = evaluation.split_column or evaluation.group_column or evaluation.time_column
    how = "by the seed" if named is None else f"by the column {quote(named)}"
    counts = f"{len(split.train):,} to train, {len(split.validation):,} to validate, {len(split.test):,} to test"
    context.reporter.log(f"{len(rows.examples):,} rows, split {how}: {counts}.")
    tell_of_datasets(context, rows, split)
    _warn_of_twins(context, rows, split)
    for task in rows.tasks:
        _warn_of_tags(context, task)
        unseen = unseen_classes(task.kind.strata(task.targets), split, task.plan.classes)
        if unseen is not None:
            context.warn("class_not_trained", unseen)
    return dataclasses.replace(rows, tasks=[task.read_by(split.train) for task in rows.tasks]), splits


def _splits(context: Context, rows: Rows) -> list[Split]:
    evaluation, seed = context.spec.evaluation, context.spec.training.seed
    if evaluation.folds is None:
        return [deal(rows, evaluation, seed)]
    return [deal(rows, evaluation, seed, Fold(number, evaluation.folds)) for number in range(evaluation.folds)]


def _warn_of_tags(context: Context, task: TaskRows) -> None:
    """Of all rows in the file."""
    for code, rows in task.targets.amiss.items() if isinstance(task.targets, Tagged) else ():
        context.warn(code, amiss_message(code, f"{rows:,}"))


def with_seen(context: Context, rows: Rows, beginnings: Sequence[NDArray[np.int32]] | None) -> Rows:
    """The same, knowing which words the backbone reads, which is seen once they are tokens: those that one begins, −1 for none."""
    if beginnings is None:
        return rows
    seen = np.concatenate(beginnings) >= 0
    if not seen.all():
        message = f"{int((~seen).sum()):,} of {len(seen):,} words lie beyond {context.limit} tokens, or give none; they are not trained on."
        context.warn("truncated", message)
    return dataclasses.replace(rows, tasks=[task.with_seen(seen) for task in rows.tasks])


def _warn_of_twins(context: Context, rows: Rows, split: Split) -> None:
    contents = [digest.tobytes() for digest in digests(rows.examples)]
    known = {contents[row] for row in split.train}
    twins = sum(contents[row] in known for row in split.test)
    if twins:
        message = f"{twins:,} of {len(split.test):,} test rows have an input that also stands in the training rows; the metrics flatter."
        context.warn("duplicate_inputs", message)


def seen_by_training(context: Context, examples: Sequence[Example], split: Split) -> tuple[Views, Sequence[Example]]:
    """The views of the training rows, and the example at each of their places."""
    training, spec = context.spec.training, context.backbone.anatomy.input
    if training.augmentation is None or not isinstance(spec, ImageInput):
        return Views(len(examples), split.train), examples
    views = Views(len(examples), split.train, training.augmentation.views or training.epochs)
    how = "every epoch sees other views" if context.fresh else f"{views.count:,} fixed views of each"
    context.reporter.log(f"Training rows are augmented: {how}.")
    return views, Viewed(examples, views, Augmenter(training.augmentation, spec, training.seed))  # type: ignore[arg-type] # images


def choose_precision(context: Context, examples: Sequence[Example]) -> Precision:
    module, pooling = context.backbone.module, context.pooling
    about = {
        "workspace": context.workspace,  # it is measured on their rows, and told in their report
        "preprocessing": context.preprocessing,
        "backbone_sha256": context.backbone.sha256,
        "boundary": context.output,
        "pooling": pooling,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "device": device_class(context.backbone.device),
    }

    def measure() -> Measurement:
        return measure_prefix(module, context.backbone.preprocessor, context.layers, pooling, examples, context.limit, context.clock)

    # of several processes one decides: each would measure other times
    precision = Precision(
        **group_now().told_by_first(lambda: choose(context.plan.dtype, lambda: measured_once(context.cache_root, about, measure)).record())
    )
    numbers = (
        "" if precision.speedup is None else f" ({precision.speedup:.2f} times as fast, relative error {precision.relative_error:.1e})"
    )
    context.reporter.log(f"The backbone runs in {precision.dtype}: {precision.reason}{numbers}.")
    return precision


def preparation_of(context: Context) -> Callable[[Context, Sequence[Example], Precision], Prepared]:
    """What makes that which training starts from."""
    if not isinstance(context.spec.method, FeatureExtraction):
        return suffix_source
    return token_features if context.reads_words else pooled_features


def pooled_features(context: Context, examples: Sequence[Example], precision: Precision) -> Prepared:
    """Nothing of the backbone learns: one vector for each example, once, unless every epoch sees others."""
    prefix = Prefix(context.backbone.module, context.layers, context.pooling, precision.dtype)
    if context.fresh:
        preprocessor, budget = context.backbone.preprocessor, context.plan.batch_tokens
        context.reporter.log(f"Features are computed anew for each batch: {context.plan.cache.reason}.")
        return Prepared(
            PooledSource(
                Recomputed(prefix, preprocessor, examples, context.limit, budget, _halved(context)), device=context.backbone.device
            ),
            0,
            0,
            0.0,
        )
    cache = _cache(context, prefix, "float32")
    features = extract(
        prefix,
        context.backbone.preprocessor,
        examples,
        limit=context.limit,
        batch_tokens=context.plan.batch_tokens,
        cache=cache,
        clock=context.clock,
        progress=_progress(context),
        halved=_halved(context),
    )
    _log_features(context, features)
    _settle(context, cache, features.rows_computed)
    source = PooledSource(features.values, device=context.backbone.device)
    return Prepared(source, features.rows_computed, features.rows_reused, features.seconds)


def token_features(context: Context, examples: Sequence[Example], precision: Precision) -> Prepared:
    """Nothing of the backbone learns: the vectors of all tokens, which words are read from."""
    encoded = context.backbone.preprocessor.encode(examples, context.limit)
    prefix = Prefix(context.backbone.module, context.layers, "none", precision.dtype)
    return _prepared(context, NoSuffix(context.backbone.device), _fed(context, prefix, encoded, examples, "float32"), "float32")


def suffix_source(context: Context, examples: Sequence[Example], precision: Precision) -> Prepared:
    """The upper part of the backbone learns: what the boundary gives for each example, or the inputs themselves."""
    backbone, plan = context.backbone, context.plan
    module = backbone.module
    if context.spec.init == "random":  # made on the CPU, so that a seed means the same on every device
        module = random_module(backbone.folder, context.spec.training.seed).to(backbone.device)
    encoded = backbone.preprocessor.encode(examples, context.limit)
    cut = cut_of(backbone.anatomy, plan.boundary, context.output, context.pooling)
    if plan.adapter is not None:
        module = inject(module, plan.adapter, context.spec.training.seed)
    suffix = make_suffix(module, cut, plan.trainable.names, encoded.batch(np.zeros(1, np.int64)))
    if plan.boundary == INPUT:
        return _prepared(context, suffix, _Fed(InputFeeder(encoded)), precision.dtype)
    prefix = Prefix(backbone.module, [backbone.anatomy.layer(plan.boundary)], "none", precision.dtype)
    return _prepared(context, suffix, _fed(context, prefix, encoded, examples, precision.storage), precision.dtype)


@dataclass(frozen=True, slots=True)
class _Fed:
    """What a suffix is fed with, and what it took to have it."""

    feeder: Feeder
    rows_computed: int = 0
    rows_reused: int = 0
    seconds: float = 0.0


def _fed(context: Context, prefix: Prefix, encoded: Encoded, examples: Sequence[Example], storage: str) -> _Fed:
    """What the prefix gives for each token: from the cache, or anew for each batch."""
    cache = _cache(context, prefix, storage)
    if cache is None:
        reason = context.plan.cache.reason if context.fresh else "they would not fit the budget of the cache"
        context.reporter.log(f"Features are computed anew for each batch: {reason}.")
        return _Fed(RecomputingFeeder(prefix, encoded))
    found = extract_activations(
        prefix,
        encoded,
        examples,
        alike=context.backbone.preprocessor.alike,
        batch_tokens=context.plan.batch_tokens,
        cache=cache,
        clock=context.clock,
        progress=_progress(context),
        halved=_halved(context),
    )
    _log_features(context, found)
    _settle(context, cache, found.rows_computed)
    return _Fed(found.feeder, found.rows_computed, found.rows_reused, found.seconds)


def _prepared(context: Context, suffix: Suffix | NoSuffix, fed: _Fed, dtype: str) -> Prepared:
    encoded = fed.feeder.encoded
    beginnings = encoded.beginnings if isinstance(encoded, EncodedTexts) else None
    words = None if beginnings is None else np.fromiter(map(len, beginnings), np.int64, len(beginnings))
    source = SuffixSource(suffix, fed.feeder, DTYPES[dtype], context.backbone.preprocessor.alike, context.readout, words)
    return Prepared(source, fed.rows_computed, fed.rows_reused, fed.seconds, beginnings)


def _progress(context: Context):  # type: ignore[no-untyped-def] # noqa: ANN202 - features.Progress
    def progress(share: float, step: int, steps: int) -> None:
        context.reporter.progress(fraction=context.features_share * share, step=step, steps=steps, epoch=0, epochs=1)

    return progress


def _halved(context: Context) -> Halved:
    """Says it once for each size that is smaller than any before."""
    least = 2**30

    def halved(rows: int) -> None:
        nonlocal least
        if rows < least:
            least = rows
            context.warn("out_of_memory", f"Memory ran out; rows go through the backbone in parts of {rows:,}.")

    return halved


def _log_features(context: Context, found: Features | Extraction) -> None:
    if not found.rows_computed:
        context.reporter.log(f"Features: all {found.rows_reused:,} rows were known.")
        return
    per_second, units = 1 / max(found.seconds, 1e-6), _UNITS[context.backbone.anatomy.modality]
    speed = f"{found.rows_computed * per_second:,.0f} rows and {found.units_computed * per_second:,.0f} {units} a second"
    took = f"{found.rows_computed:,} rows computed in {found.seconds:.1f} s ({speed})"
    context.reporter.log(f"Features: {took}, {found.rows_reused:,} rows reused.")


def _cache(context: Context, prefix: Prefix, storage: str) -> FeatureCache | None:
    """The cache of these features; None when they would not fit: the plan says so, or they take more bits than it hoped for."""
    planned, budget = context.plan.cache, context.cache_bytes
    wider = FEATURE_BYTES[storage] / FEATURE_BYTES[planned.dtype]
    if planned.mode != "cached" or (wider > 1 and budget is not None and planned.bytes * wider > budget):
        return None
    key = CacheKey(
        workspace=context.workspace,
        backbone_sha256=context.backbone.sha256,
        boundary=context.plan.boundary,
        pooling=None if prefix.pooling == "none" else prefix.pooling,
        preprocessing=context.preprocessing,
        dtype=prefix.dtype,
        device=device_class(prefix.device),
        torch=torch.__version__,
        transformers=transformers.__version__,
        storage=storage,
    )
    return FeatureCache(context.cache_root, key, context.cache_bytes)


def _settle(context: Context, cache: FeatureCache | None, computed: int) -> None:
    """Once all features are there."""
    if cache is None:
        return
    if cache.damaged:
        context.warn("cache_damaged", f"{cache.damaged} damaged pieces of the feature cache were dropped; their rows were computed again.")
    if computed:
        cache.prune()
