"""Which parameters learn: counted as the backbone has them, and refused in words when nothing is left."""

from __future__ import annotations

import time
from typing import Any

import pytest

from headstart.errors import BadInput
from headstart.planning.plan import make_plan
from headstart.planning.trainable import select
from headstart.specs.backbones import Anatomy, Tensor
from headstart.specs.jobs import FineTuning, JobSpec
from headstart.specs.plans import INPUT
from tests.planning import factories


def tensors() -> list[Tensor]:
    inner = [("attention.self.query.weight", [384, 384]), ("attention.self.query.bias", [384]), ("output.dense.weight", [384, 1536])]
    made = [Tensor(name="embeddings.word_embeddings.weight", shape=[30522, 384])]
    made += [Tensor(name=f"encoder.layer.{layer}.{name}", shape=shape) for layer in range(6) for name, shape in inner]
    return [*made, Tensor(name="pooler.dense.weight", shape=[384, 384])]


ANATOMY: Anatomy = factories.anatomy(tensors=tensors())
A_LAYER = 384 * 384 + 384 + 384 * 1536


def choose(**method: Any):
    return select(FineTuning(type="fine-tuning", **method), ANATOMY)


@pytest.mark.parametrize(
    ("method", "boundary", "parameters"),
    [
        ({"top_layers": 2}, "encoder.layer.3", 2 * A_LAYER),
        ({"top_layers": 6}, "embeddings", 6 * A_LAYER),
        ({"trainable": ["*"]}, INPUT, 30522 * 384 + 6 * A_LAYER),
        ({"frozen": ["embeddings.*"]}, "embeddings", 6 * A_LAYER),
        ({"trainable": ["encoder.layer.5.*"]}, "encoder.layer.4", A_LAYER),
        ({"trainable": ["bert.encoder.layer.5.*"]}, "encoder.layer.4", A_LAYER),
        ({"trainable": ["re:encoder\\.layer\\.[45]\\..*bias"]}, "encoder.layer.3", 2 * 384),
        ({"trainable": ["pooler.*"], "pooling": "pooler"}, "encoder.layer.5", 384 * 384),
        ({"top_layers": 1, "pooling": "pooler"}, "encoder.layer.4", A_LAYER + 384 * 384),
    ],
)
def test_selection_and_boundary(method: dict[str, Any], boundary: str, parameters: int):
    selection = choose(**method)
    assert (selection.boundary, selection.parameters) == (boundary, parameters)


@pytest.mark.parametrize(
    ("method", "code", "pointer", "words"),
    [
        ({}, "invalid_field", "/method", "Exactly one of trainable, frozen and top_layers"),
        ({"top_layers": 1, "frozen": ["*"]}, "invalid_field", "/method", "frozen and top_layers are given"),
        ({"top_layers": 7}, "invalid_field", "/method/top_layers", "The backbone has 6 layers, not 7."),
        ({"frozen": ["*"]}, "no_parameters_matched", "/method/frozen", "Nothing of the backbone is left to learn."),
        ({"trainable": ["encoder.layr.*"]}, "no_parameters_matched", "/method/trainable/0", "matches no parameter"),
        ({"trainable": ["*", "x.*"]}, "no_parameters_matched", "/method/trainable/1", "The pattern 'x.*' matches no parameter."),
        ({"trainable": ["pooler.*"]}, "no_parameters_matched", "/method/trainable/0", "is not used with this pooling"),
        ({"trainable": ["re:(a+"]}, "invalid_field", "/method/trainable/0", "is not a regular expression of RE2"),
    ],
)
def test_selection_that_cannot_be_is_refused_in_words(method: dict[str, Any], code: str, pointer: str, words: str):
    with pytest.raises(BadInput) as refused:
        choose(**method)
    assert (refused.value.code, refused.value.faults[0].pointer) == (code, pointer)
    assert words in refused.value.message
    assert refused.value.hint


@pytest.mark.parametrize("pattern", ["re:(a+)+$", "re:(.*a){25}", "re:((((.*)*)*)*)*", "*" * 500, "re:" + "a?" * 200 + "a" * 200])
def test_pattern_that_makes_others_hang_is_answered_at_once(pattern: str):
    try:
        choose(trainable=[pattern])
    except BadInput as refused:
        assert refused.code in {"no_parameters_matched", "invalid_field"}


def test_many_patterns_full_of_groups_cost_no_more_than_others():
    began = time.process_time()
    selection = choose(trainable=["re:" + "(.*)" * 250] * 100)
    assert time.process_time() - began < 2
    assert selection.boundary == INPUT


def test_plan_of_fine_tuning_names_what_learns_and_costs_more_than_a_head():
    head = make_plan(factories.spec(), factories.dataset(), ANATOMY, factories.HARDWARE, cache_budget_bytes=1 << 40)
    spec = factories.spec().model_copy(update={"method": FineTuning(type="fine-tuning", top_layers=2)})
    plan = make_plan(spec, factories.dataset(), ANATOMY, factories.HARDWARE, cache_budget_bytes=1 << 40)
    assert (plan.method, plan.boundary, plan.trainable.parameters, plan.trainable.tensors) == (
        "fine-tuning",
        "encoder.layer.3",
        2 * A_LAYER,
        6,
    )
    assert plan.cache.mode == "cached"
    assert plan.estimate.training_seconds > head.estimate.training_seconds
    assert plan.estimate.artifact_bytes > 4 * plan.trainable.parameters
    whole = spec.model_copy(update={"method": FineTuning(type="fine-tuning", trainable=["*"])})
    plan = make_plan(whole, factories.dataset(), ANATOMY, factories.HARDWARE, cache_budget_bytes=1 << 40)
    assert (plan.boundary, plan.cache.mode, plan.cache.bytes) == (INPUT, "recomputed", 0)


@pytest.mark.parametrize(
    ("asked", "rates", "dtype"),
    [
        ("auto", {"float32": 1e11, "bfloat16": 4e11}, "bfloat16"),
        ("auto", {"float32": 1e11, "bfloat16": 1.1e11}, "float32"),
        ("auto", {}, "float32"),
        ("bfloat16", {}, "bfloat16"),
        ("float32", {"float32": 1e11, "bfloat16": 4e11}, "float32"),
    ],
)
def test_size_of_the_cache_follows_the_dtype_that_tokens_are_kept_in(asked: str, rates: dict[str, float], dtype: str):
    spec = factories.spec(training={"dtype": asked}).model_copy(update={"method": FineTuning(type="fine-tuning", top_layers=2)})
    hardware = factories.HARDWARE.model_copy(update={"flops_per_second": rates})
    plan = make_plan(spec, factories.dataset(), ANATOMY, hardware, cache_budget_bytes=1 << 40)
    assert plan.cache.dtype == dtype
    numbers = 2000 * 32 * ANATOMY.width  # rows of 32 tokens
    assert plan.cache.bytes == numbers * {"float32": 4, "bfloat16": 2}[dtype]
    tight = make_plan(spec, factories.dataset(), ANATOMY, hardware, cache_budget_bytes=numbers * 3)
    assert tight.cache.mode == ("cached" if dtype == "bfloat16" else "recomputed")


def test_solved_head_has_no_dropout():
    spec = factories.spec(method={"head": {"type": "linear", "solver": "lbfgs", "dropout": 0.1}})
    with pytest.raises(BadInput) as refused:
        make_plan(spec, factories.dataset(), ANATOMY, None, cache_budget_bytes=1 << 40)
    assert refused.value.faults[0].pointer == "/method/head/dropout"


@pytest.mark.parametrize("method", [{"type": "feature-extraction"}, {"type": "fine-tuning", "top_layers": 2}])
def test_random_parameters_must_all_learn(method: dict[str, Any]):
    spec = JobSpec.model_validate({**factories.spec().model_dump(mode="json"), "init": "random", "method": method})
    with pytest.raises(BadInput) as refused:
        make_plan(spec, factories.dataset(), ANATOMY, None, cache_budget_bytes=1 << 40)
    assert refused.value.faults[0].pointer == "/init"
