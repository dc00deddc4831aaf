"""A model as a backbone: what it learnt is in the weights, its heads are gone, and the chain it stands on is checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from headstart.engine.artifacts import DELTA_FILE, Artifact, load_artifact
from headstart.engine.backbones.loading import Backbone
from headstart.engine.backbones.merging import merged
from headstart.engine.predictor import Predictor
from headstart.errors import EngineFault
from tests.engine.conftest import World, reviews

TUNED = {"type": "fine-tuning", "top_layers": 1}
TEXTS = ["great film", "the book was dull", "was it very bad"]


@pytest.fixture(scope="module")
def tuned(tiny: Backbone, tmp_path_factory: pytest.TempPathFactory) -> tuple[World, Path]:
    """A model whose upper layer has learnt."""
    world = World(tmp_path_factory.mktemp("source"))
    return world, world.run(tiny, reviews(120), method=TUNED, training={"epochs": 2, "dtype": "float32"})[1]


def child(tuned: tuple[World, Path], tiny: Backbone, **overrides: Any) -> tuple[list[Artifact], Artifact, Backbone]:
    """The parents and the artifact of a job that starts from the tuned model."""
    world, folder = tuned
    parents = [load_artifact(folder)]
    start = merged(tiny, parents)
    options: dict[str, Any] = {"training": {"epochs": 1, "dtype": "float32"}, **overrides}
    _, made = world.run(start, reviews(90, seed=1), change=lambda plan: plan.model_copy(update={"parent": "source:1"}), **options)
    return parents, load_artifact(made), start


def test_merged_backbone_computes_what_the_model_itself_computes(tuned, tiny):
    artifact = load_artifact(tuned[1])
    start = merged(tiny, [artifact])
    plain = Predictor(tiny, artifact).embed(TEXTS).features
    _, own, _ = child(tuned, tiny)
    _, untuned = tuned[0].run(tiny, reviews(60))
    assert np.array_equal(Predictor(tiny, own, [artifact]).embed(TEXTS).features, plain)
    assert not np.array_equal(plain, Predictor(tiny, load_artifact(untuned)).embed(TEXTS).features)
    assert start.sha256 != tiny.sha256
    assert start.anatomy == tiny.anatomy


def test_artifact_of_a_child_holds_what_the_child_changed_alone(tuned, tiny):
    parents, own, _ = child(tuned, tiny)
    assert own.delta == {}
    assert own.manifest.parent is not None
    assert (own.manifest.parent.model, own.manifest.parent.sha256) == ("source:1", parents[0].sha256)
    _, deeper, _ = child(tuned, tiny, method={"type": "fine-tuning", "trainable": ["encoder.layer.2.output.dense.bias"]})
    assert deeper.delta.keys() == {"encoder.layer.2.output.dense.bias"}


def test_chain_of_three_rebuilds_its_answers(tuned, tiny):
    parents, second, _ = child(tuned, tiny, method={"type": "fine-tuning", "trainable": ["encoder.layer.1.*"]})
    world, chain = tuned[0], [*parents, second]
    _, folder = world.run(merged(tiny, chain), reviews(60, seed=2), change=lambda plan: plan.model_copy(update={"parent": "second:1"}))
    third = load_artifact(folder)
    answers = Predictor(tiny, third, chain).embed(TEXTS).features
    whole = merged(tiny, chain)
    for name, value in {**parents[0].delta, **second.delta}.items():
        assert np.array_equal(whole.module.get_parameter(name).numpy(), value)
    assert np.isfinite(answers).all()


def test_parent_that_changed_nothing_leaves_the_same_weights_so_that_the_cache_is_shared(tiny, world):
    _, folder = world.run(tiny, reviews(60))
    start = merged(tiny, [load_artifact(folder)])
    assert start.sha256 == tiny.sha256
    assert start.module is tiny.module
    assert start.parent is not None


def test_model_is_refused_without_its_parents_with_others_and_in_another_order(tuned, tiny):
    parents, own, _ = child(tuned, tiny, method=TUNED)
    for wrong in ([], [own], [*parents, *parents], [*parents, own]):
        with pytest.raises(EngineFault, match="another chain of models") as caught:
            Predictor(tiny, own, wrong)
        assert caught.value.code == "bad_data"
    with pytest.raises(EngineFault, match="another chain of models"):
        Predictor(tiny, parents[0], parents)


def test_changed_byte_of_a_parent_is_found(tuned, tiny, tmp_path):
    parents, own, _ = child(tuned, tiny)
    for file in tuned[1].iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    content = bytearray((tmp_path / DELTA_FILE).read_bytes())
    content[-1] ^= 1
    (tmp_path / DELTA_FILE).write_bytes(content)
    with pytest.raises(EngineFault, match="damaged"):
        load_artifact(tmp_path)
    assert Predictor(tiny, own, parents)


def test_delta_for_another_shape_is_refused(tuned, tiny, backbones):
    artifact = load_artifact(tuned[1])
    broken = Artifact(artifact.manifest, artifact.sha256, artifact.heads, {"encoder.layer.2.output.dense.bias": np.zeros(3, np.float32)})
    with pytest.raises(EngineFault, match="does not have so"):
        merged(tiny, [broken])


def test_merging_changes_nothing_of_the_shared_backbone(tuned, tiny):
    before = {name: value.clone() for name, value in tiny.module.named_parameters()}
    start = merged(tiny, [load_artifact(tuned[1])])
    for name, value in tiny.module.named_parameters():
        assert torch.equal(value, before[name])
    changed = load_artifact(tuned[1]).delta
    for name, value in start.module.named_parameters():
        assert (value is tiny.module.get_parameter(name)) == (name not in changed)
