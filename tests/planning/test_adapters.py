"""Adapters and biases: where they stand, how many parameters they have, and refusals in words."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from headstart.errors import BadInput
from headstart.planning.plan import make_plan
from headstart.planning.trainable import Selection, select
from headstart.specs.backbones import Anatomy, Tensor
from headstart.specs.jobs import LEARNING_RATES, Method
from headstart.specs.plans import INPUT
from tests.planning import factories

WIDTH, WIDE = 384, 1536
INNER = {
    "attention.self.query": [WIDTH, WIDTH],
    "attention.self.key": [WIDTH, WIDTH],
    "attention.self.value": [WIDTH, WIDTH],
    "output.dense": [WIDTH, WIDE],
}
METHODS: TypeAdapter[Any] = TypeAdapter(Method)


def bert(**overrides: Any) -> Anatomy:
    """Six layers of four matrices, with their biases, an embedding table with a norm, and a pooler."""
    tensors = [Tensor(name="embeddings.word_embeddings.weight", shape=[30522, WIDTH]), Tensor(name="embeddings.norm.bias", shape=[WIDTH])]
    linear = [f"encoder.layer.{layer}.{name}" for layer in range(6) for name in INNER]
    for name in linear:
        shape = INNER[name.split(".", 3)[3]]
        tensors += [Tensor(name=f"{name}.weight", shape=shape), Tensor(name=f"{name}.bias", shape=shape[:1])]
    tensors.append(Tensor(name="pooler.dense.weight", shape=[WIDTH, WIDTH]))
    usual = {
        "lora": [name for name in linear if name.endswith(("query", "value"))],
        "ia3": [name for name in linear if not name.endswith("query")],
        "ia3-feedforward": [name for name in linear if name.endswith("output.dense")],
    }
    return factories.anatomy(**{"tensors": tensors, "linear": [*linear, "pooler.dense"], "adapter_targets": usual, **overrides})


def choose(anatomy: Anatomy | None = None, **method: Any) -> Selection:
    return select(METHODS.validate_python(method), anatomy or bert())


LORA = 8 * (WIDTH + WIDTH)


@pytest.mark.parametrize(
    ("method", "boundary", "parameters"),
    [
        ({"type": "lora"}, "embeddings", 12 * LORA),
        ({"type": "lora", "rank": 4}, "embeddings", 6 * LORA),
        ({"type": "lora", "top_layers": 2}, "encoder.layer.3", 4 * LORA),
        ({"type": "lora", "targets": ["encoder.layer.5.*query"]}, "encoder.layer.4", LORA),
        ({"type": "lora", "targets": ["bert.encoder.layer.5.*query"]}, "encoder.layer.4", LORA),
        ({"type": "lora", "targets": ["re:.*\\.(query|key)"], "top_layers": 1}, "encoder.layer.4", 2 * LORA),
        ({"type": "lora", "targets": ["*.output.dense"], "top_layers": 1}, "encoder.layer.4", 8 * (WIDTH + WIDE)),
        ({"type": "lora", "targets": ["pooler.dense"], "pooling": "pooler"}, "encoder.layer.5", LORA),
        ({"type": "dora"}, "embeddings", 12 * (LORA + WIDTH)),
        ({"type": "loha"}, "embeddings", 12 * 2 * LORA),
        # 384 = 16 · 24: W1 [16, 16]; W2 [24, 24] as 24 · 8 + 8 · 24, or as it is when the rank is not below 12
        ({"type": "lokr"}, "embeddings", 12 * (16 * 16 + 8 * (24 + 24))),
        ({"type": "lokr", "rank": 12}, "embeddings", 12 * (16 * 16 + 24 * 24)),
        ({"type": "ia3"}, "embeddings", 6 * (WIDTH + WIDTH + WIDE)),
        ({"type": "ia3", "targets": ["*.query"]}, "embeddings", 6 * WIDTH),
        ({"type": "bitfit"}, INPUT, WIDTH + 24 * WIDTH),
        ({"type": "bitfit", "top_layers": 2}, "encoder.layer.3", 8 * WIDTH),
        ({"type": "bitfit", "targets": ["*.query"]}, "embeddings", 6 * WIDTH),
    ],
)
def test_selection_counts_what_learns_and_cuts_below_the_lowest_of_it(method: dict[str, Any], boundary: str, parameters: int):
    selection = choose(**method)
    assert (selection.boundary, selection.parameters) == (boundary, parameters)
    assert not selection.warnings


def test_tensors_of_a_selection_have_the_names_and_shapes_that_peft_gives_them():
    names = {tensor.name: tensor.shape for tensor in choose(type="dora", targets=["encoder.layer.5.output.dense"], rank=4).tensors}
    assert names == {
        "encoder.layer.5.output.dense.lora_A.default.weight": [4, WIDE],
        "encoder.layer.5.output.dense.lora_B.default.weight": [WIDTH, 4],
        "encoder.layer.5.output.dense.lora_magnitude_vector.default.weight": [WIDTH],
    }


@pytest.mark.parametrize(
    ("method", "code", "pointer", "words"),
    [
        (
            {"type": "lora", "targets": ["*.qery"]},
            "no_parameters_matched",
            "/method/targets/0",
            "The pattern '*.qery' matches no matrix product.",
        ),
        ({"type": "lora", "targets": ["*.query", "x.*"]}, "no_parameters_matched", "/method/targets/1", "'x.*' matches no matrix product"),
        ({"type": "lora", "targets": ["embeddings.*"]}, "no_parameters_matched", "/method/targets/0", "matches no matrix product"),
        ({"type": "lora", "targets": ["pooler.*"]}, "no_parameters_matched", "/method/targets/0", "is not used with this pooling"),
        ({"type": "lora", "targets": ["re:(a+"]}, "invalid_field", "/method/targets/0", "is not a regular expression of RE2"),
        ({"type": "lora", "targets": ["*.layer.0.*"], "top_layers": 1}, "no_parameters_matched", "/method/top_layers", "No target lies in"),
        ({"type": "lora", "top_layers": 7}, "invalid_field", "/method/top_layers", "The backbone has 6 layers, not 7."),
        (
            {"type": "dora", "rank": 385},
            "invalid_field",
            "/method/rank",
            "The rank 385 is larger than the smaller side of 'encoder.layer.0",
        ),
        ({"type": "bitfit", "targets": ["*.qery"]}, "no_parameters_matched", "/method/targets/0", "matches no module that has a bias"),
    ],
)
def test_selection_that_cannot_be_is_refused_in_words(method: dict[str, Any], code: str, pointer: str, words: str):
    with pytest.raises(BadInput) as refused:
        choose(**method)
    assert (refused.value.code, refused.value.faults[0].pointer) == (code, pointer)
    assert words in refused.value.message
    assert refused.value.hint


def test_near_names_of_a_pattern_that_matches_nothing_are_told():
    with pytest.raises(BadInput) as refused:
        choose(type="lora", targets=["encoder.layer.5.attention.self.qeury"])
    assert "encoder.layer.5.attention.self.query" in (refused.value.hint or "")


@pytest.mark.parametrize("kind", ["lora", "ia3"])
def test_backbone_of_convolutions_alone_is_refused_for_adapters(kind: str):
    convolutions = factories.anatomy(
        linear=[], adapter_targets={}, tensors=[Tensor(name="encoder.layer.0.conv.weight", shape=[8, 3, 7, 7])]
    )
    with pytest.raises(BadInput) as refused:
        choose(convolutions, type=kind)
    assert refused.value.faults[0].pointer == "/method/type"
    assert "no matrix product" in refused.value.message


@pytest.mark.parametrize(
    ("kind", "names", "taken"),
    [
        ("lora", ["attn.q_lin", "attn.k_lin", "attn.v_lin", "ffn.lin1"], ["attn.q_lin", "attn.v_lin"]),
        ("ia3", ["attn.q_lin", "attn.k_lin", "attn.v_lin", "ffn.lin1"], ["attn.k_lin", "attn.v_lin"]),
        ("dora", ["attn.Wqkv", "attn.Wo"], ["attn.Wqkv"]),
        ("loha", ["mixer.one", "mixer.two"], ["mixer.one", "mixer.two"]),
    ],
)
def test_targets_of_an_unknown_family_are_guessed_and_the_plan_says_so(kind: str, names: list[str], taken: list[str]):
    linear = [f"encoder.layer.0.{name}" for name in names]
    anatomy = bert(linear=linear, tensors=[Tensor(name=f"{name}.weight", shape=[16, 16]) for name in linear], adapter_targets={})
    selection = choose(anatomy, type=kind)
    assert selection.adapter is not None
    assert selection.adapter.targets == [f"encoder.layer.0.{name}" for name in taken]
    assert [(warning.code, warning.pointer) for warning in selection.warnings] == [("targets_guessed", "/method/targets")]
    assert not choose(anatomy, type=kind, targets=[f"*{taken[0]}"]).warnings


def plan_of(**method: Any):
    spec = factories.spec().model_copy(update={"method": METHODS.validate_python(method)}).resolved()
    return spec, make_plan(spec, factories.dataset(), bert(), factories.HARDWARE, cache_budget_bytes=1 << 40)


def test_plan_names_the_adapter_and_its_artifact_is_small():
    spec, plan = plan_of(type="lora", top_layers=2, alpha=32, dropout=0.1)
    assert (plan.method, plan.boundary, plan.cache.mode, plan.trainable.parameters) == ("lora", "encoder.layer.3", "cached", 4 * LORA)
    assert plan.adapter is not None
    assert plan.adapter.model_dump() == {
        "kind": "lora",
        "targets": [f"encoder.layer.{layer}.attention.self.{name}" for layer in (4, 5) for name in ("query", "value")],
        "feedforward": [],
        "rank": 8,
        "alpha": 32.0,
        "dropout": 0.1,
    }
    _, whole = plan_of(type="fine-tuning", top_layers=2)
    assert whole.adapter is None
    assert plan.estimate.artifact_bytes < whole.estimate.artifact_bytes / 10
    assert spec.training.learning_rate == LEARNING_RATES["lora"]


def test_plan_of_ia3_says_which_modules_have_their_inputs_scaled():
    _, plan = plan_of(type="ia3", top_layers=1)
    assert plan.adapter is not None
    assert plan.adapter.feedforward == ["encoder.layer.5.output.dense"]
    assert (plan.adapter.rank, plan.adapter.alpha) == (None, None)


def test_adapters_do_not_start_from_random_parameters():
    spec = factories.spec().model_copy(update={"method": METHODS.validate_python({"type": "lora"}), "init": "random"})
    with pytest.raises(BadInput) as refused:
        make_plan(spec, factories.dataset(), bert(), None, cache_budget_bytes=1 << 40)
    assert refused.value.faults[0].pointer == "/init"
