"""Adapters: they are peft's, the backbone stays as it is, what they learn is merged into its weights, and every kind trains."""

from __future__ import annotations

import copy
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import timm
import torch
from pydantic import TypeAdapter
from torch import nn

from headstart.engine import artifacts
from headstart.engine.adapters import adapter_parameters, inject, merged_weights
from headstart.engine.artifacts import MANIFEST, Artifact, load_artifact
from headstart.engine.backbones.loading import Backbone
from headstart.engine.backbones.merging import merged
from headstart.engine.backbones.targets import adapter_targets
from headstart.engine.boundary import run_prefix
from headstart.engine.dropout import ByteDropout
from headstart.engine.optimizers import Optimiser, Rates
from headstart.engine.pooling import pool_with
from headstart.engine.predictor import Predictor
from headstart.engine.suffix import Suffix, adapted, cut_of, make_suffix
from headstart.errors import EngineFault
from headstart.planning.adapters import KINDS
from headstart.planning.trainable import Selection, select
from headstart.specs.jobs import Method, Training
from headstart.specs.plans import INPUT, Adapter
from tests.engine.conftest import Listener, World, reviews
from tests.engine.samples import TEXTS, batch_for
from tests.engine.tiny import MODEL_TYPES

METHODS: TypeAdapter[Any] = TypeAdapter(Method)
PEFT: dict[str, Callable[[], peft.PeftConfig]] = {
    "lora": lambda: peft.LoraConfig(r=8, lora_alpha=16, target_modules=["query", "value"]),
    "dora": lambda: peft.LoraConfig(r=8, lora_alpha=16, target_modules=["query", "value"], use_dora=True),
    "loha": lambda: peft.LoHaConfig(r=8, alpha=16, target_modules=["query", "value"]),
    "lokr": lambda: peft.LoKrConfig(r=8, alpha=16, target_modules=["query", "value"]),
    "ia3": lambda: peft.IA3Config(target_modules=["key", "value", "output.dense"], feedforward_modules=["output.dense"]),
}
"""What somebody writes who uses peft on a BERT."""


def selected(backbone: Backbone, kind: str, **method: Any) -> Selection:
    return select(METHODS.validate_python({"type": kind, **method}), backbone.anatomy)


def adapter_of(backbone: Backbone, kind: str, **method: Any) -> Adapter:
    adapter = selected(backbone, kind, **method).adapter
    assert adapter is not None
    return adapter


def hidden_of(module: nn.Module, backbone: Backbone) -> torch.Tensor:
    with torch.no_grad():
        hidden: torch.Tensor = module(**batch_for(backbone).tensors).last_hidden_state
    return hidden


def stirred(module: nn.Module, seed: int = 1) -> dict[str, torch.Tensor]:
    """Give the adapters values as training might, and tell them by name."""
    chance = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in adapter_parameters(module).values():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=chance))
    return {name: parameter.detach().clone() for name, parameter in adapter_parameters(module).items()}


def digest(module: nn.Module) -> str:
    return hashlib.sha256(b"".join(tensor.detach().numpy().tobytes() for tensor in module.parameters())).hexdigest()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("model_type", [*MODEL_TYPES, "albert"])
def test_planned_parameters_are_those_that_peft_makes(backbones, model_type, kind):
    backbone = backbones(model_type)
    for method in ({}, {"targets": ["*"]}):
        selection = selected(backbone, kind, **method)
        assert selection.adapter is not None
        made = adapter_parameters(inject(backbone.module, selection.adapter, seed=0))
        assert {name: list(parameter.shape) for name, parameter in made.items()} == {t.name: t.shape for t in selection.tensors}


THEIRS = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
"""peft's own wrapper, which only tests use, reads an attribute that transformers is about to drop."""


@THEIRS
@pytest.mark.parametrize("kind", KINDS)
def test_adapters_are_those_of_peft_bit_for_bit(tiny, kind):
    ours = inject(tiny.module, adapter_of(tiny, kind), seed=5)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        theirs = peft.get_peft_model(copy.deepcopy(tiny.module), PEFT[kind]()).eval()
    wanted = {name.removeprefix("base_model.model."): value for name, value in theirs.named_parameters() if value.requires_grad}
    found = adapter_parameters(ours)
    assert found.keys() == wanted.keys()
    assert all(torch.equal(value, wanted[name]) for name, value in found.items())
    for name, value in stirred(ours).items():
        wanted[name].data.copy_(value)
    assert torch.equal(hidden_of(ours, tiny), hidden_of(theirs, tiny))
    assert not torch.equal(hidden_of(ours, tiny), hidden_of(tiny.module, tiny))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_fresh_adapters_change_nothing_of_what_the_backbone_computes(backbones, model_type, kind):
    backbone = backbones(model_type)
    plain, fresh = hidden_of(backbone.module, backbone), hidden_of(inject(backbone.module, adapter_of(backbone, kind), seed=0), backbone)
    if kind == "dora":  # its magnitude is divided by the norm that it was measured as
        assert torch.allclose(fresh, plain, atol=1e-5)  # float32
    else:
        assert torch.equal(fresh, plain)


def test_seed_decides_where_adapters_start(tiny):
    starts = [adapter_parameters(inject(tiny.module, adapter_of(tiny, "lora"), seed)) for seed in (1, 1, 2)]
    name = next(name for name in starts[0] if ".lora_A." in name)
    assert torch.equal(starts[0][name], starts[1][name])
    assert not torch.equal(starts[0][name], starts[2][name])


@pytest.mark.parametrize("kind", KINDS)
def test_adapted_copy_shares_every_tensor_of_the_backbone_and_merging_leaves_it_bit_equal(tiny, kind):
    before = digest(tiny.module)
    adapter = adapter_of(tiny, kind)
    made = inject(tiny.module, adapter, seed=0)
    own = adapter_parameters(made)
    for name, parameter in made.named_parameters():
        assert name in own or parameter is tiny.module.get_parameter(name.replace(".base_layer.", "."))
    merged_weights(tiny.module, adapter, stirred(made))
    assert digest(tiny.module) == before
    assert not any(parameter.requires_grad for parameter in tiny.module.parameters())
    assert not any("base_layer" in name for name, _ in tiny.module.named_modules())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("model_type", [*MODEL_TYPES, "albert"])
def test_merged_weights_compute_what_the_adapters_compute(backbones, model_type, kind):
    backbone = backbones(model_type)
    adapter = adapter_of(backbone, kind)
    made = inject(backbone.module, adapter, seed=0)
    values = stirred(made)
    weights = merged_weights(backbone.module, adapter, values)
    assert {name.rpartition(".")[0] for name in weights} == set(adapter.targets)
    found, wanted = hidden_of(adapted(backbone.module, weights), backbone), hidden_of(made, backbone)
    assert torch.allclose(found, wanted, atol=1e-5)  # float32
    assert (wanted - hidden_of(backbone.module, backbone)).abs().max() > 1e-4  # ten times what is allowed above
    again = merged_weights(backbone.module, adapter, values)
    assert all(torch.equal(value, again[name]) for name, value in weights.items())


def test_module_whose_name_ends_like_a_targets_gets_no_adapter():
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.dense = nn.Linear(4, 4)
            self.inner = nn.ModuleDict({"dense": nn.Linear(4, 4)})

    one = Adapter(kind="lora", targets=["dense"], feedforward=[], rank=2, alpha=4.0, dropout=0.0)
    assert {name.split(".lora_")[0] for name in adapter_parameters(inject(Two().requires_grad_(requires_grad=False), one, seed=0))} == {
        "dense"
    }


@pytest.mark.parametrize("kind", KINDS)
def test_adapters_in_a_timm_model_change_nothing_at_first_and_can_be_merged(kind):
    module = timm.models.VisionTransformer(img_size=16, patch_size=8, embed_dim=32, depth=2, num_heads=2, num_classes=0)
    module.eval().requires_grad_(requires_grad=False)
    adapter = Adapter(
        kind=kind,
        targets=[f"blocks.{block}.attn.qkv" for block in (0, 1)],
        feedforward=[],
        rank=None if kind == "ia3" else 4,
        alpha=None if kind == "ia3" else 8.0,
        dropout=0.0,
    )
    images = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    made = inject(module, adapter, seed=0)
    with torch.no_grad():
        assert torch.allclose(made(images), module(images), atol=1e-5)
        values = stirred(made)
        assert torch.allclose(adapted(module, merged_weights(module, adapter, values))(images), made(images), atol=1e-5)


def suffix_of(backbone: Backbone, kind: str, **method: Any) -> tuple[Suffix, str]:
    selection = selected(backbone, kind, **method)
    assert selection.adapter is not None
    made = inject(backbone.module, selection.adapter, seed=0)
    stirred(made)
    cut = cut_of(backbone.anatomy, selection.boundary, backbone.anatomy.default_layer, "mean")
    names = [tensor.name for tensor in selection.tensors]
    return make_suffix(made, cut, names, backbone.preprocessor.sample(16, 1, 0)), selection.boundary


def hidden_at(backbone: Backbone, boundary: str) -> torch.Tensor | None:
    return None if boundary == INPUT else run_prefix(backbone.module, [boundary], batch_for(backbone).tensors)[0].clone()


def mean_of(backbone: Backbone, hidden: torch.Tensor) -> torch.Tensor:
    return pool_with("mean", backbone.anatomy.layer(backbone.anatomy.default_layer))(hidden, batch_for(backbone).mask)


@THEIRS
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_through_the_suffix_are_those_of_peft_on_the_whole_model(tiny, kind):
    suffix, boundary = suffix_of(tiny, kind, top_layers=2)
    assert boundary == "encoder.layer.0"
    batch = batch_for(tiny)
    suffix(hidden_at(tiny, boundary), batch).square().sum().backward()

    config: Any = PEFT[kind]()
    config.target_modules = [f"encoder.layer.{layer}.{end}" for layer in (1, 2) for end in TARGETS[kind]]
    if kind == "ia3":
        config.feedforward_modules = ["output.dense"]
    whole = peft.get_peft_model(copy.deepcopy(tiny.module), config).eval()
    theirs = {name.removeprefix("base_model.model."): value for name, value in whole.named_parameters() if value.requires_grad}
    for name, value in suffix.parameters.items():
        theirs[name].data.copy_(value.detach())
    mean_of(tiny, whole(**batch.tensors).last_hidden_state).square().sum().backward()
    assert theirs.keys() == suffix.parameters.keys()
    for name, value in suffix.parameters.items():
        assert value.grad is not None
        gradient = theirs[name].grad
        assert gradient is not None
        assert torch.equal(value.grad, gradient), name


TARGETS = {
    **dict.fromkeys(("lora", "dora", "loha", "lokr"), ("attention.self.query", "attention.self.value")),
    "ia3": ("attention.self.key", "attention.self.value", "attention.output.dense", "output.dense"),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_adapters_in_sixteen_bits_learn_as_in_float32_but_for_rounding(backbones, model_type, kind):
    backbone = backbones(model_type)
    exact, boundary = suffix_of(backbone, kind, top_layers=1)
    short = exact.reduced(torch.bfloat16)
    batch = batch_for(backbone)
    hidden = hidden_at(backbone, boundary)
    wanted, found = exact(hidden, batch), short(hidden, batch)
    assert (found - wanted).norm() < 0.03 * wanted.norm()
    wanted.square().sum().backward()
    gradients = {name: parameter.grad.clone() for name, parameter in exact.parameters.items() if parameter.grad is not None}
    assert gradients.keys() == exact.parameters.keys()
    exact.forget()
    found.square().sum().backward()
    short.collect()
    scale = max(float(gradient.norm()) for gradient in gradients.values())
    for name, parameter in short.parameters.items():
        assert parameter.dtype is torch.float32
        assert parameter.grad is not None
        assert (parameter.grad - gradients[name]).norm() < 0.05 * scale, name
    assert all(parameter.dtype is torch.float32 for parameter in backbone.module.parameters())


def test_dropout_of_an_adapter_runs_in_training_alone(tiny):
    suffix, boundary = suffix_of(tiny, "lora", dropout=0.5)
    batch = batch_for(tiny)
    hidden = hidden_at(tiny, boundary)
    for computing in (suffix, suffix.reduced(torch.bfloat16)):
        computing.train(on=False)
        assert torch.equal(computing(hidden, batch), computing(hidden, batch))
        for part in computing.module.modules():
            if isinstance(part, (nn.Dropout, ByteDropout)) and part.p != 0.5:
                part.p = 0.0
        computing.train(on=True)
        assert not torch.equal(computing(hidden, batch), computing(hidden, batch))


def test_scales_do_not_decay_and_matrices_do():
    scale, matrix = nn.Parameter(torch.ones(4, 1)), nn.Parameter(torch.ones(4, 2))
    optimiser = Optimiser({"scale": scale, "matrix": matrix}, frozenset(), Training(weight_decay=0.1, warmup=0.0), Rates(0.1), 10)
    scale.grad, matrix.grad = torch.zeros(4, 1), torch.zeros(4, 2)
    optimiser.step()
    assert torch.equal(scale, torch.ones(4, 1))
    assert bool((matrix < 1).all())


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


SIZE = {"dtype": "float32", "epochs": 3, "batch_size": 16, "learning_rate": 1e-2}
ONCE = {**SIZE, "epochs": 1}


@pytest.mark.parametrize("kind", [*KINDS, "bitfit"])
def test_every_method_lowers_the_loss_and_leaves_the_backbone_bit_equal(world, tiny, kind):
    before, listener = digest(tiny.module), Listener()
    outcome, folder = world.run(tiny, reviews(60), method={"type": kind}, training=SIZE, reporter=listener)
    losses = [
        data["value"] for type_, data in listener.events if type_ == "metric" and data["name"] == "log_loss" and data["split"] == "train"
    ]
    assert losses[-1] < losses[0] - 0.02
    assert digest(tiny.module) == before
    artifact = load_artifact(folder)
    selection = selected(tiny, kind)
    assert artifact.manifest.adapter == selection.adapter
    assert {name: list(value.shape) for name, value in artifact.delta.items()} == {
        tensor.name: tensor.shape for tensor in selection.tensors
    }
    assert outcome.trainable_parameters == selection.parameters + 2 * (tiny.anatomy.width + 1)
    text = (folder / "model_card.md").read_text()
    assert f"method {kind}" in text


def test_adapters_learn_in_sixteen_bits_too(world, tiny):
    listener = Listener()
    _, folder = world.run(tiny, reviews(60), method={"type": "lora"}, training={**SIZE, "dtype": "bfloat16"}, reporter=listener)
    losses = [
        data["value"] for type_, data in listener.events if type_ == "metric" and data["name"] == "log_loss" and data["split"] == "train"
    ]
    assert losses[-1] < losses[0] - 0.02
    assert all(value.dtype == np.float32 for value in load_artifact(folder).delta.values())


def test_model_with_adapters_is_rebuilt_bit_for_bit_and_answers_as_it_did_in_training(world, tiny):
    _, folder = world.run(tiny, reviews(60), method={"type": "lora", "top_layers": 2}, training=ONCE)
    artifact = load_artifact(folder)
    features = Predictor(tiny, artifact).embed(TEXTS).features
    assert np.array_equal(features, Predictor(tiny, load_artifact(folder)).embed(TEXTS).features)

    assert artifact.manifest.adapter is not None
    made = inject(tiny.module, artifact.manifest.adapter, seed=0)
    for name, parameter in adapter_parameters(made).items():
        parameter.data.copy_(torch.from_numpy(artifact.delta[name]))
    with torch.no_grad():
        unmerged = mean_of(tiny, made(**batch_for(tiny).tensors).last_hidden_state)
    assert np.allclose(features, unmerged.numpy(), atol=1e-5)  # float32
    assert not np.allclose(features, Predictor(tiny, without_delta(artifact)).embed(TEXTS).features, atol=1e-3)


def without_delta(artifact: Artifact) -> Artifact:
    return Artifact(artifact.manifest.model_copy(update={"adapter": None}), artifact.sha256, artifact.heads, {})


MERGE = """
import hashlib, sys
from pathlib import Path
import torch
from headstart.engine.artifacts import load_artifact
from headstart.engine.backbones.loading import load_backbone
from headstart.engine.backbones.merging import merged
from headstart.specs.backbones import Anatomy
torch.set_num_threads(2)
folder, anatomy, artifact = map(Path, sys.argv[1:])
made = merged(load_backbone(folder, Anatomy.model_validate_json(anatomy.read_text())), [load_artifact(artifact)])
print(hashlib.sha256(b"".join(tensor.detach().numpy().tobytes() for tensor in made.module.parameters())).hexdigest())
"""


@pytest.mark.slow
def test_another_process_merges_to_the_same_bits(world, tiny, tmp_path):
    _, folder = world.run(tiny, reviews(60), method={"type": "dora"}, training=ONCE)
    written = tmp_path / "anatomy.json"
    written.write_text(tiny.anatomy.model_dump_json())
    told = subprocess.run(
        [sys.executable, "-c", MERGE, tiny.folder, written, folder],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(Path.cwd())},
    )
    assert told.stdout.strip() == digest(merged(tiny, [load_artifact(folder)]).module)


def test_model_with_adapters_is_a_backbone_for_the_next(world, tiny):
    _, first = world.run(tiny, reviews(60), method={"type": "lora"}, training=ONCE)
    parents = [load_artifact(first)]
    start = merged(tiny, parents)
    assert start.anatomy == tiny.anatomy
    assert start.sha256 != tiny.sha256

    def named(plan: Any) -> Any:
        return plan.model_copy(update={"parent": "source:1"})

    _, second = world.run(start, reviews(60, seed=1), method={"type": "ia3"}, training=ONCE, change=named)
    own = load_artifact(second)
    assert (own.manifest.parent.sha256 if own.manifest.parent else None) == parents[0].sha256
    assert all(".ia3_l." in name for name in own.delta)
    asked = [{"text": text} for text in TEXTS]
    assert Predictor(tiny, own, parents).predict(asked) == Predictor(tiny, load_artifact(second), parents).predict(asked)


def test_adapters_of_the_same_values_and_another_scale_are_another_backbone(world, tiny):
    _, folder = world.run(tiny, reviews(60), method={"type": "lora"}, training=ONCE)
    artifact = load_artifact(folder)
    assert artifact.manifest.adapter is not None
    louder = artifact.manifest.adapter.model_copy(update={"alpha": 32.0})
    other = Artifact(artifact.manifest.model_copy(update={"adapter": louder}), artifact.sha256, artifact.heads, artifact.delta)
    assert merged(tiny, [artifact]).sha256 != merged(tiny, [other]).sha256


@pytest.mark.parametrize("broken", ["missing", "added", "shape", "target"])
def test_adapters_that_do_not_fit_the_backbone_are_refused(world, tiny, broken):
    _, folder = world.run(tiny, reviews(60), method={"type": "lora", "top_layers": 1}, training=ONCE)
    artifact = load_artifact(folder)
    adapter, delta = artifact.manifest.adapter, dict(artifact.delta)
    assert adapter is not None
    name = next(iter(delta))
    match broken:
        case "missing":
            del delta[name]
        case "added":
            delta["encoder.layer.0.attention.self.query.lora_A.default.weight"] = delta[name]
        case "shape":
            delta[name] = delta[name][:1]
        case "target":
            adapter = adapter.model_copy(update={"targets": ["encoder.layer.9.attention.self.query"]})
    wrong = Artifact(artifact.manifest.model_copy(update={"adapter": adapter}), artifact.sha256, artifact.heads, delta)
    with pytest.raises(EngineFault, match="does not have so") as caught:
        merged(tiny, [wrong])
    assert caught.value.code == "bad_data"


def test_artifact_from_before_there_were_adapters_is_read(world, tiny):
    _, folder = world.run(tiny, reviews(60))
    record = json.loads((folder / MANIFEST).read_bytes())
    del record["adapter"], record["sha256"]
    (folder / MANIFEST).write_bytes(artifacts._sealed(record))
    assert load_artifact(folder).manifest.adapter is None


def test_usual_targets_are_those_that_peft_knows_for_the_family():
    linear = ["encoder.layer.0.attention.self.query", "encoder.layer.0.attention.self.key", "encoder.layer.0.output.dense", "pooler.dense"]
    assert adapter_targets("bert", linear) == {"lora": linear[:1], "ia3": linear[1:3], "ia3-feedforward": linear[2:3]}
    assert adapter_targets("distilbert", linear) == {}
    assert adapter_targets("bert", []) == {}
