"""One job on several datasets: each task learns from the rows of its own, over one backbone."""

from __future__ import annotations

import csv
import dataclasses
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headstart.engine.artifacts import CARD, load_artifact
from headstart.engine.dealing import deal
from headstart.engine.examples import Chained, Picked
from headstart.engine.launch import main
from headstart.engine.predictor import Given, Predictor
from headstart.engine.rows import Rows, read_rows
from headstart.engine.sampling import Sampler, by_dataset_and_task
from headstart.engine.tables import DatasetTable, check_tables
from headstart.errors import BadInput, EngineFault
from headstart.planning.plan import make_plan
from headstart.planning.sources import Source
from headstart.specs.datasets import DatasetProfile
from headstart.specs.evaluation import Evaluation
from headstart.specs.predictions import Entities
from tests.engine.conftest import Listener, World, job_spec, reviews
from tests.engine.test_token_classification import table as words_table
from tests.engine.tiny import make_tiny_backbone
from tests.planning.factories import anatomy

MOOD = {"name": "mood", "type": "text-classification", "inputs": {"text": "text"}, "target": "label"}
TOPIC = {"name": "topic", "type": "text-classification", "inputs": {"text": "words"}, "target": "kind", "dataset": "topics"}
PRICE = {
    "name": "price",
    "type": "text-classification",
    "problem": "regression",
    "inputs": {"text": "words", "features": ["pages"]},
    "target": "price",
    "dataset": "topics",
}
SAME = {"name": "same", "type": "text-classification", "inputs": {"text": "a", "text_pair": "b"}, "target": "same", "dataset": "pairs"}
METHODS: dict[str, dict[str, Any]] = {
    "solved": {"type": "feature-extraction", "layer": "embeddings"},
    "stepped": {"type": "feature-extraction", "layer": "embeddings", "head": {"type": "mlp", "hidden": [32]}},
}


def topics(count: int, seed: int = 1) -> list[tuple[str, ...]]:
    """Columns' names, then texts that are about films or books, with the pages and the price of each."""
    chance = random.Random(seed)
    rows: list[tuple[str, ...]] = [("words", "kind", "pages", "price")]
    for number in range(count):
        kind, pages = ("film", "book")[number % 2], chance.randint(10, 900)
        words = [*chance.choices(["the", "plot", "was", "very", "it", "good"], k=chance.randint(2, 8)), kind]
        chance.shuffle(words)
        rows.append((f"{' '.join(words)} {number}", kind, str(pages), str(pages / 100 + (5 if kind == "book" else 0))))
    return rows


def pairs(count: int) -> list[tuple[str, ...]]:
    chance = random.Random(2)
    rows: list[tuple[str, ...]] = [("a", "b", "same")]
    for number in range(count):
        words = chance.sample(["film", "book", "plot", "good", "bad", "dull"], 2)
        same = number % 2 == 0
        rows.append((f"the {words[0]} {number}", f"it was {words[0] if same else words[1]} {number}", "yes" if same else "no"))
    return rows


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.types |= {"kind": "category", "pages": "number", "price": "number", "same": "category"}
    return made


def read(world: World, *tasks: dict[str, Any], **evaluation: Any) -> Rows:
    """The rows of 60 reviews and 20 topics."""
    table, profile = world.table(reviews(60))
    other, found = world.table(topics(20)[1:], topics(20)[0], "topics")
    spec = job_spec(tasks=list(tasks or (MOOD, TOPIC, PRICE)), evaluation=evaluation)
    plan = make_plan(spec, profile, anatomy(), None, named={"topics": Source("topics", found)}, cache_budget_bytes=1 << 30)
    return read_rows([DatasetTable("reviews", table, "a"), DatasetTable("topics", other, "b")], spec, plan)


def test_rows_stand_dataset_by_dataset_and_have_answers_for_their_own_tasks_alone(world):
    rows = read(world)
    assert rows.datasets == ["reviews", "topics"]
    assert rows.sources.tolist() == [0] * 60 + [1] * 20
    assert rows.numbers.tolist() == [*range(1, 61), *range(1, 21)]
    assert list(rows.examples) == [text for text, _ in reviews(60)] + [row[0] for row in topics(20)[1:]]
    mood, topic, price = rows.tasks
    assert mood.labelled.tolist() == [True] * 60 + [False] * 20
    for task in (topic, price):
        assert task.labelled.tolist() == [False] * 60 + [True] * 20
    assert set(np.asarray(mood.targets[60:]).tolist()) == {-1}
    assert np.isnan(np.asarray(price.targets[:60])).all()


def test_extra_columns_are_standardised_by_their_own_rows_and_missing_in_others(world):
    rows = read(world)
    price = rows.tasks[2].read_by(np.arange(80))
    pages = np.array([float(row[2]) for row in topics(20)[1:]])
    assert price.numbers is not None
    assert price.numbers[60:, 0] == pytest.approx((pages - pages.mean()) / pages.std(), abs=1e-5)
    assert not price.numbers[:60].any()


def test_each_dataset_is_split_as_it_would_be_alone(world):
    both, alone = read(world), read(world, TOPIC)
    evaluation = Evaluation()
    split, own = deal(both, evaluation, 7), deal(alone, evaluation, 7)
    for part in ("train", "validation", "test"):
        rows = getattr(split, part)
        assert (rows[rows >= 60] - 60).tolist() == getattr(own, part).tolist()
        assert (rows < 60).sum() == 60 * {"train": 0.7, "validation": 0.1, "test": 0.2}[part]
        assert (np.diff(rows) > 0).all()


def test_balanced_epochs_see_the_small_dataset_as_often_as_the_large_one(world):
    rows = read(world)
    split = deal(rows, Evaluation(), 0)
    groups = by_dataset_and_task(np.stack([task.labelled[split.train] for task in rows.tasks], 1), [task.source for task in rows.tasks])
    seen = Counter(rows.sources[split.train][Sampler(groups, "balanced", np.random.default_rng(0)).of_epoch(0)].tolist())
    assert Counter(rows.sources[split.train].tolist()) == {0: 42, 1: 14}
    assert seen == {0: 28, 1: 28}


def test_a_dataset_without_a_usable_row_is_named(world):
    table, profile = world.table(reviews(60))
    plan = make_plan(
        job_spec(tasks=[MOOD, TOPIC]), profile, anatomy(), None, named={"topics": Source("topics", found_in(world))}, cache_budget_bytes=1
    )
    empty, _ = world.table([("", "film", "1", "1"), ("", "book", "1", "1")], topics(0)[0], "empty")
    with pytest.raises(EngineFault, match="No row of 'topics' has an input, a label and a split") as caught:
        read_rows([DatasetTable("reviews", table, ""), DatasetTable("topics", empty, "")], job_spec(tasks=[MOOD, TOPIC]), plan)
    assert caught.value.code == "bad_data"
    with pytest.raises(EngineFault, match="The dataset 'topics' that the plan names is not there"):
        read_rows([DatasetTable("reviews", table, "")], job_spec(tasks=[MOOD, TOPIC]), plan)


def found_in(world: World) -> DatasetProfile:
    return world.table(topics(20)[1:], topics(20)[0], "topics")[1]


def test_a_changed_table_is_refused_by_its_datasets_name(world):
    path, _ = world.table(reviews(10))
    good = DatasetTable("reviews", path, "")
    with pytest.raises(EngineFault, match="table of the dataset 'topics:2' is damaged"):
        check_tables([good, dataclasses.replace(good, name="topics:2", table_sha256="0" * 64)])


def test_groups_that_several_datasets_have_are_warned_of_and_times_of_each_are_its_own(world, tiny):
    named = [(*row, str(number % 5)) for number, row in enumerate(reviews(60))]
    other = [(*row, "who" if not number else str(number % 7)) for number, row in enumerate(topics(40))]
    listener = Listener()
    world.run(
        tiny,
        named,
        header=("text", "label", "who"),
        named={"topics": other},
        tasks=[MOOD, TOPIC],
        method=METHODS["solved"],
        evaluation={"group_column": "who"},
        reporter=listener,
    )
    (message,) = [data["message"] for type_, data in listener.events if type_ == "warning" and data["code"] == "groups_shared"]
    assert message.startswith("5 groups have rows in more than one dataset")


@pytest.mark.parametrize("method", METHODS)
def test_the_tasks_of_two_datasets_each_beat_their_trivial_answer(world, tiny, method):
    listener = Listener()
    training = {"dtype": "float32", "epochs": 12, "learning_rate": 0.02}
    training |= {"sampling": "balanced"} if method == "stepped" else {}
    outcome, folder = world.run(
        tiny,
        reviews(300),
        named={"topics": topics(100)},
        tasks=[MOOD, TOPIC, PRICE],
        method=METHODS[method],
        training=training,
        reporter=listener,
    )
    for name in ("mood", "topic"):
        assert outcome.metrics[name]["accuracy"] > outcome.baselines[name]["majority"]["accuracy"] + 0.2
    assert outcome.metrics["price"]["rmse"] < 0.7 * outcome.baselines["price"]["mean"]["rmse"]
    assert {name: (report.dataset, report.rows) for name, report in outcome.report_tasks.items()} == {
        "mood": ("reviews", 60),
        "topic": ("topics", 20),
        "price": ("topics", 20),
    }
    told = [line for _, line in listener.lines if line.startswith("Of '")]
    assert told == ["Of 'reviews' 210 train, 30 validate and 60 test.", "Of 'topics' 70 train, 10 validate and 20 test."]
    card = (folder / CARD).read_text()
    assert f"sha256 of the files: reviews `{'d' * 64}`, topics `{'d' * 64}`." in card
    assert "of topics, 2 classes" in card
    rows, _ = Predictor(tiny, load_artifact(folder)).predict([{"text": "the great film"}])
    assert set(rows[0].outputs) == {"mood", "topic", "price"}


def test_heads_that_are_solved_reach_together_what_each_reaches_alone_in_every_fold(world, tiny):
    options = {"method": METHODS["solved"], "evaluation": {"folds": 3, "single_task": True, "baselines": False}}
    together, _ = world.run(tiny, reviews(60), named={"topics": topics(40)}, tasks=[MOOD, TOPIC], **options)
    for task in (MOOD, TOPIC):
        alone, _ = world.run(tiny, reviews(60), named={"topics": topics(40)}, tasks=[task], **options)
        one, other = together.report_tasks[task["name"]], alone.report_tasks[task["name"]]
        assert len(one.folds) == 3
        assert one.folds == other.folds
        assert one.single_task == one.folds[0]
        assert {error.row for error in one.confident_errors} <= set(range(1, 61))


@pytest.fixture(scope="module")
def mixed(tmp_path_factory, tiny) -> Predictor:
    """A model of two tasks, one of texts and one of pairs."""
    world = World(tmp_path_factory.mktemp("mixed"))
    world.types |= {"same": "category"}
    training = {"dtype": "float32", "epochs": 1}
    outcome, folder = world.run(
        tiny,
        reviews(120),
        named={"pairs": pairs(120)},
        tasks=[SAME, MOOD],
        method={"type": "fine-tuning", "top_layers": 1},
        training=training,
    )
    assert outcome.report_tasks["same"].rows == 24
    return Predictor(tiny, load_artifact(folder))


BOTH: Given = {"text": "the great film", "text_pair": "it was a dull book"}


def test_a_model_of_texts_and_of_pairs_answers_all_its_tasks_from_what_each_reads(mixed):
    both, tokens = mixed.predict([BOTH, BOTH])
    mood, few = mixed.predict([{"text": "the great film"}] * 2, tasks=["mood"])
    same, more = mixed.predict([BOTH, BOTH], tasks=["same"])
    assert [list(row.outputs) for row in both] == [["same", "mood"]] * 2
    for row, one, other in zip(both, mood, same, strict=True):
        assert row.outputs == {**other.outputs, **one.outputs}
    assert few < more
    assert tokens == few + more


def test_an_input_that_fits_only_some_tasks_is_refused_in_words_unless_those_are_asked_for(mixed):
    with pytest.raises(BadInput) as caught:
        mixed.predict([BOTH, {"text": "the great film"}])
    assert caught.value.message == "The tasks read different inputs (same: text, text_pair; mood: text), and one with text fits mood alone."
    assert caught.value.hint == 'Set parameters.tasks to ["mood"], or give text, text_pair.'
    assert [fault.pointer for fault in caught.value.faults] == ["/inputs/1"]
    assert list(mixed.predict([{"text": "the great film"}], tasks=["mood"])[0][0].outputs) == ["mood"]
    with pytest.raises(BadInput, match="The model reads text, not text, text_pair"):
        mixed.predict([BOTH], tasks=["mood"])
    with pytest.raises(BadInput, match="The model reads text, text_pair, not text_pair"):
        mixed.predict([{"text_pair": "it was"}])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("order", [1, -1], ids=["texts first", "words first"])
def test_words_of_one_dataset_and_whole_texts_of_another_learn_in_one_job(world, tiny, method, order):
    world.types |= {"tokens": "tokens", "tags": "tags"}
    lists = [("tokens", "tags"), *((tokens, tags) for tokens, tags, *_ in words_table(160))]
    who = {"name": "who", "type": "token-classification", "inputs": {"tokens": "tokens"}, "target": "tags", "dataset": "words"}
    training = {"dtype": "float32", "epochs": 12, "learning_rate": 0.02, **({"sampling": "balanced"} if method == "stepped" else {})}
    outcome, folder = world.run(
        tiny, reviews(240), named={"words": lists}, tasks=[MOOD, who][::order], method=METHODS[method], training=training
    )
    if method == "solved":
        alone, _ = world.run(tiny, reviews(240), tasks=[MOOD], method=METHODS[method], training=training)
        assert outcome.metrics["mood"] == pytest.approx(alone.metrics["mood"], abs=1e-4)
    assert outcome.metrics["mood"]["accuracy"] > 0.6
    assert outcome.metrics["who"]["f1"] > 0.35
    assert {name: report.dataset for name, report in outcome.report_tasks.items()} == {"mood": "reviews", "who": "words"}
    rows, _ = Predictor(tiny, load_artifact(folder)).predict([{"text": "the great film"}, {"tokens": ["great", "film"]}])
    for row in rows:
        answer = row.outputs["who"]
        assert isinstance(answer, Entities)
        assert "great" in [entity.text for entity in answer.entities]


def test_a_cut_text_is_warned_of_once(mixed):
    long: Given = {"text": "plot " * 200, "text_pair": "it was"}
    assert [warning.code for warning in mixed.predict([long])[0][0].warnings] == ["truncated"]


def test_sequences_one_after_another_are_one():
    chained = Chained([["a", "b"], [], Picked(["x", "c", "d"], [1, 2])])
    assert list(chained) == ["a", "b", "c", "d"]
    assert list(chained[1:3]) == ["b", "c"]
    with pytest.raises(IndexError):
        chained[4]


@pytest.fixture
def launched(tmp_path) -> list[str]:
    for name, rows in (("reviews", [("text", "label"), *reviews(60)]), ("topics", topics(60))):
        with open(tmp_path / f"{name}.csv", "w", newline="") as file:
            csv.writer(file).writerows(rows)
    make_tiny_backbone(tmp_path / "tiny")
    (tmp_path / "spec.json").write_text(json.dumps({"backbone": "tiny", "dataset": "reviews", "tasks": [MOOD, TOPIC]}))
    return [*(str(tmp_path / name) for name in ("spec.json", "reviews.csv", "tiny", "out")), "--device", "cpu"]


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("reviews=more.csv", "The dataset 'reviews' is DATA already."),
        ("topics", "'topics' names no file of a dataset."),
        ("topics=topics.odd", "What 'topics.odd' holds is not known."),
    ],
)
def test_a_launched_job_refuses_a_dataset_in_words(launched, capsys, argument, message):
    assert main([*launched, "--dataset", argument]) == 1
    assert capsys.readouterr().err.startswith(message)


@pytest.mark.slow  # it measures the machine
def test_a_launched_job_takes_the_files_that_tasks_name(launched, tmp_path):
    assert main([*launched, "--dataset", f"topics={tmp_path / 'topics.csv'}"]) == 0
    outcome = json.loads((tmp_path / "out" / "outcome.json").read_text())
    assert {name: report["dataset"] for name, report in outcome["report_tasks"].items()} == {"mood": "reviews", "topic": "topics"}
