"""Training by steps: what learns changes, what is frozen does not, the best epoch is kept, and faults end in words."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from headstart.engine import embedding, training
from headstart.engine.artifacts import DELTA_FILE, load_artifact
from headstart.engine.backbones.loading import Backbone
from headstart.engine.heads import HEADS, stepped
from headstart.engine.losses import Softmax
from headstart.engine.optimizers import Rates
from headstart.engine.predictor import Predictor
from headstart.engine.sources import PooledSource
from headstart.engine.training import Learner, Losses, Recipe, train
from headstart.errors import EngineFault
from headstart.specs.jobs import Training
from headstart.specs.plans import Plan
from tests.answers import chosen
from tests.engine.conftest import Listener, World, reviews

TOP = {"type": "fine-tuning", "top_layers": 1}
SIXTEEN_BITS_SHARE, SIXTEEN_BITS_SCORE = 0.05, 0.01
"""How far a cache in bfloat16 may lead from none: in parameters, a share of the way they went; in scores."""

SIZE = {"dtype": "float32", "epochs": 3, "learning_rate": 3e-3}


@pytest.fixture
def world(tmp_path) -> World:
    return World(tmp_path)


def digest(backbone: Backbone) -> str:
    content = b"".join(parameter.detach().numpy().tobytes() for parameter in backbone.module.parameters())
    return hashlib.sha256(content).hexdigest()


class Told:
    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.losses: list[float] = []
        self.lines: list[str] = []

    def step(self, *, step: int, steps: int, epoch: int) -> None: ...

    def epoch(self, *, epoch: int, step: int, learning_rate: float, losses: Sequence[Losses]) -> None:
        self.losses += [each.train for each in losses if each.train is not None]

    def tasks(self, *, epoch: int, step: int, weights: Sequence[float], cosines: Sequence[Sequence[float | None]]) -> None: ...

    def warning(self, code: str, message: str) -> None:
        self.warnings.append(code)

    def log(self, message: str) -> None:
        self.lines.append(message)


WIDTH = 8


def points(rows: int = 200, width: int = WIDTH) -> np.ndarray:
    return (np.random.default_rng(0).normal(size=(rows, width)) + 2 * (np.arange(rows) % 2)[:, None]).astype(np.float32)


def clusters(rows: int = 200, width: int = WIDTH) -> tuple[PooledSource, np.ndarray]:
    return PooledSource(points(rows, width)), np.arange(rows) % 2


def fit(source: Any, targets: np.ndarray, told: Told, **options: Any) -> training.Trained:
    head = stepped.initial(WIDTH, [], 2, torch.Generator().manual_seed(0))
    rows = np.arange(len(targets))
    recipe = Recipe(Rates(options.pop("learning_rate", 0.05)), dropout=0.0, batch_tokens=4096)
    learner = Learner(head, targets, targets >= 0, Softmax())
    return train(source, [learner], rows[::2], rows[1::2], Training(**options), recipe, told=told)


@pytest.mark.parametrize("method", [TOP, {"type": "fine-tuning", "trainable": ["*"]}, {"type": "fine-tuning", "frozen": ["embeddings.*"]}])
def test_frozen_parameters_are_bit_equal_after_training_and_the_delta_holds_the_others_alone(world, tiny, method):
    before = digest(tiny)
    outcome, folder = world.run(tiny, reviews(80), method=method, training=SIZE)
    assert digest(tiny) == before
    delta = load_artifact(folder).delta
    plan_names = world_plan_names(tiny, method)
    assert sorted(delta) == sorted(plan_names)
    assert any(not np.array_equal(value, tiny.module.get_parameter(name).detach().numpy()) for name, value in delta.items())
    assert outcome.trainable_parameters == sum(value.size for value in delta.values()) + 2 * (tiny.anatomy.width + 1)


def world_plan_names(backbone: Backbone, method: dict[str, Any]) -> list[str]:
    from headstart.planning.trainable import select
    from headstart.specs.jobs import FineTuning

    return [tensor.name for tensor in select(FineTuning(**method), backbone.anatomy).tensors]


def recomputed(plan: Plan) -> Plan:
    return plan.model_copy(update={"cache": plan.cache.model_copy(update={"mode": "recomputed"})})


def test_training_from_the_cache_is_training_from_the_text(world, tiny):
    rows = reviews(80)
    cached, one = world.run(tiny, rows, method=TOP, training=SIZE)
    again, two = world.run(tiny, rows, method=TOP, training=SIZE, change=recomputed)
    assert cached.cache == {"rows_computed": 80, "rows_reused": 0}
    # float32: batches of another make-up round the prefix differently in the last digits
    ours, theirs = load_artifact(one).delta, load_artifact(two).delta
    for name, value in ours.items():
        assert np.allclose(value, theirs[name], atol=2e-4), name
    assert cached.metrics["sentiment"]["accuracy"] == pytest.approx(again.metrics["sentiment"]["accuracy"], abs=0.1)


def test_second_job_finds_the_boundary_in_the_cache_and_ends_bit_equal(world, tiny):
    rows = reviews(80)
    one, first = world.run(tiny, rows, method=TOP, training=SIZE)
    two, second = world.run(tiny, rows, method=TOP, training=SIZE)
    assert two.cache == {"rows_computed": 0, "rows_reused": 80}
    assert two.seconds["features"] == 0.0
    assert one.report_tasks == two.report_tasks
    assert (first / DELTA_FILE).read_bytes() == (second / DELTA_FILE).read_bytes()


def storages(world: World) -> list[str]:
    """What the shards in the world's cache are kept in."""
    return [json.loads(path.read_text())["key"]["storage"] for path in world.cache_root.glob("??/*/*/shard.json")]


def test_training_from_a_cache_in_sixteen_bits_is_training_from_the_text(world, tiny):
    """bfloat16 has 8 bits: what is kept is 2**-9 from what was computed at most, in parts of it, and the suffix rounds its inputs so anyway."""
    rows, reduced = reviews(80), {**SIZE, "dtype": "bfloat16"}
    cached, one = world.run(tiny, rows, method=TOP, training=reduced)
    _, two = world.run(tiny, rows, method=TOP, training=reduced, change=recomputed)
    assert set(storages(world)) == {"bfloat16"}
    assert cached.precision["relative_error"] < 1e-2
    ours, theirs = load_artifact(one).delta, load_artifact(two).delta
    for name, value in ours.items():
        begun = tiny.module.get_parameter(name).detach().numpy()
        moved = np.linalg.norm(theirs[name] - begun)
        assert np.linalg.norm(value - theirs[name]) < SIXTEEN_BITS_SHARE * moved, name
    texts = [{"text": text} for text, _ in rows]
    told, exact = (Predictor(tiny, load_artifact(folder)).predict(texts)[0] for folder in (one, two))
    for mine, other in zip(told, exact, strict=True):
        mine_scores, other_scores = (
            {score.label: score.score for score in chosen(row.outputs["sentiment"]).scores} for row in (mine, other)
        )
        assert mine_scores == pytest.approx(other_scores, abs=SIXTEEN_BITS_SCORE)


def test_second_job_on_a_cache_in_sixteen_bits_ends_bit_equal(world, tiny):
    rows, reduced = reviews(80), {**SIZE, "dtype": "bfloat16"}
    (_, first), (two, second) = (world.run(tiny, rows, method=TOP, training=reduced) for _ in range(2))
    assert two.cache == {"rows_computed": 0, "rows_reused": 80}
    assert (first / DELTA_FILE).read_bytes() == (second / DELTA_FILE).read_bytes()


def test_features_that_do_not_fit_in_the_bits_that_they_need_are_recomputed_and_told(world, tiny):
    def hopeful(plan):
        cache = plan.cache.model_copy(update={"dtype": "bfloat16", "bytes": plan.cache.bytes // 2})
        return plan.model_copy(update={"cache": cache})

    planned = []

    def note(plan):
        planned.append(plan.cache.bytes)
        return plan

    world.run(tiny, reviews(80), method=TOP, training=SIZE, change=note)
    listener = Listener()
    outcome, _ = world.run(
        tiny, reviews(80, seed=1), method=TOP, training=SIZE, change=hopeful, cache_bytes=planned[0] * 3 // 4, reporter=listener
    )
    assert outcome.cache == {"rows_computed": 0, "rows_reused": 0}
    assert "Features are computed anew for each batch: they would not fit the budget of the cache." in [line for _, line in listener.lines]


@pytest.mark.parametrize("head", [{"type": "linear", "solver": None}, {"type": "mlp", "hidden": [16, 8], "dropout": 0.1}])
def test_heads_are_trained_by_steps_on_frozen_features(world, tiny, head):
    method = {"type": "feature-extraction", "head": head}
    outcome, folder = world.run(tiny, reviews(200), method=method, training={**SIZE, "epochs": 20, "learning_rate": 0.02})
    assert outcome.metrics["sentiment"]["accuracy"] > outcome.baselines["sentiment"]["majority"]["accuracy"] + 0.2
    assert not (folder / DELTA_FILE).exists()


def test_fine_tuned_model_is_rebuilt_bit_for_bit_and_shares_its_pass_with_no_other(world, tiny):
    _, folder = world.run(tiny, reviews(120), method=TOP, training={**SIZE, "epochs": 6})
    predictor = Predictor(tiny, load_artifact(folder))
    again = Predictor(tiny, load_artifact(folder))
    texts = [{"text": text} for text in ("the film was good", "a dull plot", "it")]
    assert predictor.predict(texts) == again.predict(texts)
    assert predictor.shares != Predictor(tiny, load_artifact(world.run(tiny, reviews(120), method=TOP, training=SIZE)[1])).shares


def test_training_from_scratch_starts_at_random_parameters_and_is_rebuilt(world, tiny):
    whole = {"type": "fine-tuning", "trainable": ["*"], "head": {"type": "linear", "solver": None}}
    runs = [world.run(tiny, reviews(80), method=whole, training={**SIZE, "seed": 7}, init="random") for _ in range(2)]
    one, two = (load_artifact(folder).delta for _, folder in runs)
    name = "encoder.layer.0.output.dense.weight"
    assert np.array_equal(one[name], two[name])  # the seed decides
    distance = np.abs(one[name] - tiny.module.get_parameter(name).detach().numpy()).mean()
    assert distance > 0.5 * np.abs(one[name]).mean()
    predictor = Predictor(tiny, load_artifact(runs[0][1]))
    assert predictor.predict([{"text": "good"}]) == Predictor(tiny, load_artifact(runs[1][1])).predict([{"text": "good"}])


def test_events_tell_the_loss_of_each_epoch(world, tiny):
    listener = Listener()
    world.run(tiny, reviews(80), method=TOP, training=SIZE, reporter=listener)
    losses = [data for kind, data in listener.events if kind == "metric" and data["name"] == "log_loss" and data["split"] == "train"]
    assert [data["epoch"] for data in losses] == [1, 2, 3]
    assert listener.fractions == sorted(listener.fractions)


def test_log_tells_each_epoch_with_its_losses_rate_and_speed(world, tiny):
    listener = Listener()
    world.run(tiny, reviews(80), method=TOP, training={**SIZE, "warmup": 0.0}, reporter=listener)
    words = [message for _, message in listener.lines]
    number = r"\d+\.\d{4}"
    epochs = [
        re.fullmatch(
            rf"Epoch (\d) of 3: loss {number} in training, {number} in validation; learning rate (\S+), [\d,]+ rows a second\.", line
        )
        for line in words
        if line.startswith("Epoch")
    ]
    # 6 steps: the rate falls by a sixth each, and an epoch tells that of its last step
    assert [(line[1], line[2]) for line in epochs if line] == [("1", "0.0025"), ("2", "0.0015"), ("3", "0.0005")]
    assert "6 steps in 3 epochs, 32 rows a step; adamw." in words
    assert words.index("6 steps in 3 epochs, 32 rows a step; adamw.") < words.index("The state after epoch 3 is kept.")


def test_stepped_head_reaches_what_torch_reaches_with_its_own_layers():
    chance = torch.Generator().manual_seed(1)
    tensors = stepped.initial(6, [5], 3, chance)
    module = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.GELU(), torch.nn.Linear(5, 3))
    module.load_state_dict(
        {
            "0.weight": torch.from_numpy(tensors["0.weight"]),
            "0.bias": torch.from_numpy(tensors["0.bias"]),
            "2.weight": torch.from_numpy(tensors["1.weight"]),
            "2.bias": torch.from_numpy(tensors["1.bias"]),
        }
    )
    x = torch.randn(7, 6, generator=chance)
    with torch.no_grad():
        expected = module(x)
        assert torch.allclose(stepped.forward({name: torch.from_numpy(value) for name, value in tensors.items()}, x, 0.0), expected)
    assert np.allclose(HEADS["mlp"].logits(tensors, x.numpy()), expected.numpy(), atol=1e-6)


def test_steps_of_an_epoch_do_not_look_at_all_rows():
    asked = 0

    class Counted(PooledSource):
        @property
        def lengths(self) -> np.ndarray:
            nonlocal asked
            asked += 1
            return np.ones(200, np.int64)

    _, targets = clusters()
    counts = []
    for size in (100, 2):
        asked = 0
        fit(Counted(points()), targets, Told(), epochs=1, batch_size=size)
        counts.append(asked)
    assert counts[0] == counts[1]


def test_vectors_of_rows_are_in_the_order_of_the_rows_and_as_wide_when_there_is_none():
    source, _ = clusters()
    rows = np.random.default_rng(0).permutation(200)[:70]
    assert (embedding.embed_all(source, rows, 16)["example"] == points()[rows]).all()
    assert embedding.embed_all(source, rows[:0], 16)["example"].shape == (0, WIDTH)


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
def test_every_optimizer_lowers_the_loss(optimizer):
    source, targets = clusters()
    told = Told()
    trained = fit(source, targets, told, optimizer=optimizer, epochs=5)
    assert told.losses[-1] < 0.7 * told.losses[0]
    assert trained.validation_loss is not None


def test_best_epoch_is_kept_and_patience_stops():
    source, targets = clusters()
    targets = np.where(np.arange(len(targets)) % 2, targets, np.random.default_rng(0).permutation(targets))  # noise to overfit
    told = Told()
    trained = fit(source, targets, told, epochs=200, patience=3, learning_rate=0.5)
    assert len(told.losses) < 200
    assert told.lines[-2:] == [
        "Stopped early: 3 epochs brought no lower loss in validation.",
        f"The state after epoch {trained.epoch} is kept.",
    ]


def test_loss_that_is_not_finite_in_the_first_epoch_is_diverged_in_words():
    _, targets = clusters()
    values = points()
    values[0] = np.inf
    source = PooledSource(values)
    with pytest.raises(EngineFault) as fault:
        fit(source, targets, Told(), epochs=2)
    assert fault.value.code == "diverged"
    assert "epoch 1" in fault.value.message


def test_divergence_later_keeps_the_last_good_state():
    _, targets = clusters()

    class Breaks(PooledSource):
        calls = 0

        def embed(self, rows):
            Breaks.calls += 1
            return {read: vectors * (float("nan") if Breaks.calls > 30 else 1.0) for read, vectors in super().embed(rows).items()}

    told = Told()
    trained = fit(Breaks(points()), targets, told, epochs=50)
    assert told.warnings == ["diverged"]
    assert trained.validation_loss is not None
    assert all(np.isfinite(value).all() for value in trained.heads[0].values())


def test_memory_that_runs_out_halves_the_parts_and_keeps_the_effective_batch():
    source, targets = clusters()

    class Small(PooledSource):
        def embed(self, rows):
            if len(rows) > 8 and torch.is_grad_enabled():
                raise torch.OutOfMemoryError
            return super().embed(rows)

    told, plain = Told(), Told()
    small, whole = fit(Small(points()), targets, told, epochs=2), fit(source, targets, plain, epochs=2)
    assert told.warnings == ["out_of_memory", "out_of_memory"]
    for name, value in small.heads[0].items():
        assert np.allclose(value, whole.heads[0][name], atol=1e-5)


def test_one_row_that_does_not_fit_is_out_of_memory():
    _, targets = clusters()

    class Nothing(PooledSource):
        def embed(self, rows):
            if torch.is_grad_enabled():
                raise torch.OutOfMemoryError
            return super().embed(rows)

    with pytest.raises(EngineFault) as fault:
        fit(Nothing(points()), targets, Told(), epochs=1)
    assert fault.value.code == "out_of_memory"


@pytest.mark.slow
def test_real_weights_learn_more_when_their_upper_layers_do(minilm, world):
    import csv

    from headstart.demos import dataset_file, default_assets_root

    with open(dataset_file(default_assets_root(), "tweets"), newline="") as file:
        rows = [(row["text"], row["label"]) for row in csv.DictReader(file) if row["label"] != "neutral"][:900]
    options = {"dtype": "auto", "epochs": 3, "learning_rate": 1e-4}
    outcome, _ = world.run(minilm, rows, method={"type": "fine-tuning", "top_layers": 2, "head": {"type": "linear"}}, training=options)
    metrics = outcome.metrics["sentiment"]
    assert metrics["accuracy"] > outcome.baselines["sentiment"]["majority"]["accuracy"] + 0.08
    assert isinstance(outcome.artifact_bytes, int)
    assert outcome.artifact_bytes < 4 * 3_600_000 + 20_000  # two layers of six, and the head
