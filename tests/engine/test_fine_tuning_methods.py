"""Ways to fine-tune: each does what its paper says, seen in the weights that a job leaves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from headstart.engine.artifacts import load_artifact
from headstart.engine.backbones.loading import Backbone
from headstart.engine.predictor import Predictor
from tests.engine.conftest import Listener, reviews

SIZE: dict[str, Any] = {"dtype": "float32", "epochs": 3, "learning_rate": 3e-3}
WHOLE = {"type": "fine-tuning", "trainable": ["*"]}


def moved(backbone: Backbone, folder: Any) -> dict[str, float]:
    """The largest change of each parameter."""
    delta = load_artifact(folder).delta
    return {name: float(np.abs(value - backbone.module.get_parameter(name).detach().numpy()).max()) for name, value in delta.items()}


def test_lower_layers_learn_less_with_layer_decay(world, tiny):
    training = {**SIZE, "warmup": 0.0, "weight_decay": 0.0}
    _, plain = world.run(tiny, reviews(80), method=WHOLE, training=training)
    _, decayed = world.run(tiny, reviews(80), method={**WHOLE, "layer_decay": 0.2}, training=training)
    matrices = ["embeddings.position_embeddings", *(f"encoder.layer.{number}.output.dense" for number in range(3))]
    before, after = (np.array([moved(tiny, folder)[f"{name}.weight"] for name in matrices]) for folder in (plain, decayed))
    # Adam moves a parameter by about its learning rate in each step, whatever its gradient: 0.2, 0.04, … of what it was
    assert np.allclose(after / before, [0.2**4, 0.2**3, 0.2**2, 0.2], rtol=0.5)
    assert (np.diff(after) > 0).all()


def test_strong_l2_sp_leaves_the_backbone_where_it_was_and_none_does_not(world, tiny):
    method = {"type": "fine-tuning", "top_layers": 2}
    _, free = world.run(tiny, reviews(80), method=method, training=SIZE)
    _, held = world.run(tiny, reviews(80), method={**method, "l2_sp": 1e6}, training=SIZE)
    assert max(moved(tiny, held).values()) < 1e-3 < max(moved(tiny, free).values())
    _, whole = world.run(tiny, reviews(80), method={**WHOLE, "l2_sp": 1e6}, training=SIZE)  # tables learn row by row
    assert max(moved(tiny, whole).values()) < 1e-3


@pytest.mark.parametrize("head", [{"type": "linear", "solver": None}, {"type": "mlp", "hidden": [8]}])
def test_head_first_starts_where_the_head_alone_ends(world, tiny, head):
    """With a learning rate that moves nothing the job shows what the head was when the backbone's turn came."""
    still = {**SIZE, "epochs": 1, "learning_rate": 1e-8}
    method = {"type": "fine-tuning", "top_layers": 1, "head": head}
    rows = reviews(240)
    at_random, _ = world.run(tiny, rows, method=method, training=still)
    listener = Listener()
    first, folder = world.run(tiny, rows, method={**method, "head_first_epochs": 60}, training=still, reporter=listener)
    loss = [outcome.metrics["sentiment"]["log_loss"] for outcome in (at_random, first)]
    assert loss[1] < loss[0] - 0.02
    assert max(moved(tiny, folder).values()) < 1e-6
    told = [line for _, line in listener.lines if line.startswith("Head first: Epoch")]
    assert len(told) == 60
    assert listener.fractions == sorted(listener.fractions)
    # the head is what a job of the head alone, at the rate of a head, comes to
    alone, other = world.run(
        tiny, rows, method={"type": "feature-extraction", "head": head}, training={**SIZE, "epochs": 60, "learning_rate": 1e-3}
    )
    ours, theirs = load_artifact(folder).heads["sentiment"], load_artifact(other).heads["sentiment"]
    assert all(np.allclose(ours[name], theirs[name], atol=5e-3) for name in theirs)
    assert first.metrics["sentiment"]["log_loss"] == pytest.approx(alone.metrics["sentiment"]["log_loss"], abs=0.01)


SCHEDULE = {"type": "fine-tuning", "top_layers": 1, "schedule": [{"epoch": 2, "top_layers": 2}, {"epoch": 4, "trainable": ["*"]}]}


def test_schedule_unfreezes_by_epoch_and_the_cache_follows_the_boundary(world, tiny):
    rows, listener = reviews(160), Listener()
    training = {**SIZE, "epochs": 4, "learning_rate": 1e-3}  # slow enough that the last epoch is the best
    outcome, folder = world.run(tiny, rows, method=SCHEDULE, training=training, reporter=listener)
    artifact = load_artifact(folder)
    assert artifact.manifest.boundary == "input"
    assert "embeddings.word_embeddings.weight" in artifact.delta
    assert min(moved(tiny, folder)[f"encoder.layer.{number}.output.dense.weight"] for number in range(3)) > 0
    # two boundaries are cached, and the third phase reads the texts
    assert outcome.cache == {"rows_computed": 320, "rows_reused": 0}
    epochs = [data["epoch"] for kind, data in listener.events if kind == "metric" and data["split"] == "train"]
    assert epochs == [1, 2, 3, 4]
    steps = [data["step"] for kind, data in listener.events if kind == "metric" and data["split"] == "train"]
    assert steps == [4, 8, 12, 16]
    assert listener.fractions == sorted(listener.fractions)
    again, other = world.run(tiny, rows, method=SCHEDULE, training=training)
    assert again.cache == {"rows_computed": 0, "rows_reused": 320}
    theirs = load_artifact(other).delta
    assert all(np.array_equal(value, theirs[name]) for name, value in artifact.delta.items())
    predictions, _ = Predictor(tiny, artifact).predict([{"text": text} for text, _ in rows[:8]])
    assert len(predictions) == 8


def test_what_learnt_in_an_earlier_phase_goes_on_from_there(world, tiny):
    training, rows = {**SIZE, "weight_decay": 0.0, "warmup": 0.0}, reviews(80)
    method = {"type": "fine-tuning", "top_layers": 1}
    joining = "encoder.layer.1.output.dense.bias"
    _, short = world.run(tiny, rows, method=method, training={**training, "epochs": 10})
    method = {**method, "schedule": [{"epoch": 11, "trainable": [joining]}]}
    _, long = world.run(tiny, rows, method=method, training={**training, "epochs": 11})
    first, both = load_artifact(short).delta, load_artifact(long).delta
    assert set(both) == {*first, joining}
    name = "encoder.layer.2.output.dense.weight"
    pretrained = tiny.module.get_parameter(name).detach().numpy()
    # the second phase has two steps, each of about the learning rate
    assert np.abs(both[name] - first[name]).max() < 2.5 * SIZE["learning_rate"] < 0.6 * np.abs(first[name] - pretrained).max()


def test_phase_that_makes_nothing_better_leaves_the_best_epoch_before_it(world, tiny):
    """Such a learning rate breaks the backbone when its turn comes: the epoch of the phase before is kept, and its boundary's parameters."""
    method = {"type": "fine-tuning", "trainable": ["encoder.layer.2.output.dense.bias"], "schedule": [{"epoch": 2, "trainable": ["*"]}]}
    listener = Listener()
    _, folder = world.run(tiny, reviews(80), method=method, training={**SIZE, "epochs": 2, "learning_rate": 5.0}, reporter=listener)
    changed = {name for name, by in moved(tiny, folder).items() if by > 0}
    losses = [
        data["value"] for kind, data in listener.events if kind == "metric" and data["split"] == "validation" and "loss" in data["name"]
    ]
    assert losses[1] > losses[0]
    assert changed == {"encoder.layer.2.output.dense.bias"}


def test_sixteen_bits_take_a_schedule_too(world, tiny):
    method = {**SCHEDULE, "l2_sp": 0.1, "layer_decay": 0.9}
    training = {**SIZE, "epochs": 4, "learning_rate": 1e-3, "dtype": "bfloat16"}
    _, folder = world.run(tiny, reviews(160), method=method, training=training)
    assert min(moved(tiny, folder)[f"encoder.layer.{number}.output.dense.weight"] for number in (1, 2)) > 0
