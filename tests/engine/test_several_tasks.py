"""Several tasks in one job, and each kind of answer: they train together, rows that lack a label serve the others, and the artifact answers."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest

from headstart.engine.artifacts import CARD, load_artifact
from headstart.engine.predictor import Given, Predictor
from headstart.engine.run import JobOutcome
from headstart.engine.trials import over_folds
from headstart.errors import BadInput, EngineFault
from headstart.specs.predictions import Classification, MultiLabel, Value
from headstart.specs.reports import TaskReport
from headstart.specs.verdict import verdict
from tests.answers import as_kind
from tests.engine.conftest import Listener, World, reviews
from tests.rendering import reports

HEADER = ("text", "label", "tags", "stars", "age", "city")
TASKS = [
    {"name": "mood", "type": "text-classification", "inputs": {"text": "text"}, "target": "label"},
    {"name": "tags", "type": "text-classification", "problem": "multi-label", "inputs": {"text": "text"}, "target": "tags"},
    {"name": "stars", "type": "text-classification", "problem": "regression", "inputs": {"text": "text"}, "target": "stars"},
]
METHODS: dict[str, dict[str, Any]] = {
    "solved": {"type": "feature-extraction", "layer": "embeddings"},
    "stepped": {"type": "feature-extraction", "layer": "embeddings", "head": {"type": "mlp", "hidden": [32]}},
    "knn": {"type": "feature-extraction", "layer": "embeddings", "head": {"type": "knn", "k": 8}},
    "suffix": {"type": "fine-tuning", "top_layers": 1},
}


@pytest.fixture
def world(tmp_path) -> World:
    return World(tmp_path)


def rows(count: int = 240, missing: float = 0.0, seed: int = 0) -> list[tuple[str, ...]]:
    """Reviews with a label, tags and stars; `missing` of all labels left out."""
    chance = random.Random(seed)

    def maybe(cell: str) -> str:
        return "" if chance.random() < missing else cell

    made: list[tuple[str, ...]] = []
    for text, label in reviews(count, seed):
        good, long = label == "pos", len(text.split()) > 6
        tags = [("down", "up")[good], *(["long"] if long else [])]
        stars = 100 + 50 * good + 10 * long
        made.append((text, maybe(label), maybe("|".join(tags)), maybe(str(stars)), str(chance.randint(20, 60)), chance.choice("ab")))
    return made


def run(world: World, backbone: Any, table: list[tuple[str, ...]], method: str, **more: Any) -> tuple[JobOutcome, Any]:
    training = {"dtype": "float32", "epochs": 12, "learning_rate": 0.02 if method == "stepped" else 5e-3}
    options = {"tasks": TASKS, "method": METHODS[method], "training": training, **more}
    return world.run(backbone, table, header=HEADER, **options)


@pytest.mark.parametrize("method", METHODS)
def test_three_tasks_with_most_labels_missing_each_beat_their_trivial_answer(world, tiny, method):
    listener = Listener()
    outcome, folder = run(world, tiny, rows(400, missing=0.6), method, reporter=listener)
    metrics, trivial = outcome.metrics, {name: next(iter(each.values())) for name, each in outcome.baselines.items()}
    assert metrics["mood"]["accuracy"] > trivial["mood"]["accuracy"] + 0.05
    assert metrics["tags"]["micro_f1"] > trivial["tags"]["micro_f1"] + 0.1
    assert metrics["stars"]["rmse"] < 0.9 * trivial["stars"]["rmse"]
    told = {data["task"] for type_, data in listener.events if type_ == "metric"}
    assert told == {"mood", "tags", "stars"}
    answers, _ = Predictor(tiny, load_artifact(folder)).predict([{"text": "the great film"}, {"text": "a dull book"}])
    kinds = {name: type(answer) for name, answer in answers[0].outputs.items()}
    assert kinds == {"mood": Classification, "tags": MultiLabel, "stars": Value}


def test_each_report_counts_the_rows_that_have_its_label(world, tiny):
    table = rows(missing=0.6)
    outcome, _ = run(world, tiny, table, "solved")
    for column, name in ((1, "mood"), (2, "tags"), (3, "stars")):
        labelled = sum(bool(row[column]) for row in table)
        assert 0 < outcome.report_tasks[name].rows < 0.4 * labelled


def test_a_row_without_a_label_teaches_its_task_nothing(world, tiny):
    table = rows(120)
    lacking = [(*row[:3], "", *row[4:]) if number % 2 else row for number, row in enumerate(table)]
    wrong = [(*row[:3], "9999", *row[4:]) if number % 2 else row for number, row in enumerate(table)]
    split = [(*row, ("train", "validation", "test")[(number // 2) % 3]) for number, row in enumerate(lacking)]
    other = [(*row, ("train", "validation", "test")[(number // 2) % 3]) for number, row in enumerate(wrong)]
    heads = []
    for each in (split, other):
        _, folder = world.run(
            tiny,
            each,
            header=(*HEADER, "split"),
            tasks=[TASKS[2], TASKS[0]],
            training={"dtype": "float32"},
            evaluation={"split_column": "split"},
        )
        heads.append(load_artifact(folder).heads)
    assert np.array_equal(heads[0]["mood"]["weight"], heads[1]["mood"]["weight"])
    assert not np.array_equal(heads[0]["stars"]["weight"], heads[1]["stars"]["weight"])


def test_columns_of_numbers_and_categories_help_where_the_text_says_nothing(world, tiny):
    chance = random.Random(1)
    table = []
    for text, _ in reviews(200):
        age, city = chance.randint(0, 100), chance.choice(["Oslo", "Rome"])
        table.append(
            (text, "yes" if (age > 50) == (city == "Oslo") else "no", "x", str(0.1 * age + (5 if city == "Oslo" else 0)), str(age), city)
        )
    world.types |= {"age": "number", "stars": "number"}
    inputs = {"text": "text", "features": ["age", "city"]}
    task = {"name": "stars", "type": "text-classification", "inputs": inputs, "target": "stars"}
    outcome, folder = world.run(tiny, table, header=HEADER, tasks=[task])
    alone, _ = world.run(tiny, table, header=HEADER, tasks=[{**task, "inputs": {"text": "text"}}])
    assert outcome.metrics["stars"]["r2"] > 0.95 > 0.3 > alone.metrics["stars"]["r2"]
    predictor = Predictor(tiny, load_artifact(folder))
    given: list[Given] = [
        {"text": "the film", "features": {"age": age, "city": city}} for age, city in ((80.0, "Oslo"), (80, "Rome"), ("20", "Rome"))
    ]
    values = [as_kind(row.outputs["stars"], Value).value for row in predictor.predict(given)[0]]
    assert values == pytest.approx([13.0, 8.0, 2.0], abs=1.0)
    missing, _ = predictor.predict([{"text": "the film"}, {"text": "the film", "features": {"city": "Atlantis"}}])
    assert missing[0].outputs == missing[1].outputs
    far = predictor.predict([{"text": "the film", "features": {"age": age}} for age in (1e300, -1e300)])[0]
    assert np.isfinite([as_kind(row.outputs["stars"], Value).value for row in far]).all()
    with pytest.raises(BadInput, match="reads no feature 'agee'"):
        predictor.predict([{"text": "the film", "features": {"agee": 3}}])


def test_numbers_too_large_to_be_learnt_are_refused_before_training(world, tiny):
    table = [
        (text, label, tags, "1e200" if number == 7 else stars, *rest) for number, (text, label, tags, stars, *rest) in enumerate(rows(60))
    ]
    with pytest.raises(EngineFault, match=r"A target is 1e\+200, and numbers up to 1e\+30 can be learnt.") as caught:
        run(world, tiny, table, "solved", tasks=[TASKS[2]])
    assert caught.value.code == "bad_data"


def test_weights_of_tasks_decide_which_is_learnt(world, tiny):
    def loss(weight: float) -> float:
        tasks = [TASKS[0], {**TASKS[2], "weight": weight}]
        outcome, _ = run(world, tiny, rows(120), "suffix", tasks=tasks, training={"dtype": "float32", "epochs": 3, "clip_norm": 0.1})
        return float(outcome.metrics["stars"]["rmse"])

    assert loss(100.0) < loss(0.001)


def test_a_task_whose_labels_are_all_in_one_part_is_refused(world, tiny):
    table = [
        (*row[:3], row[3] if number % 3 != 2 else "", *row[4:], ("train", "train", "test")[number % 3])
        for number, row in enumerate(rows(90))
    ]
    with pytest.raises(EngineFault, match="left to test on for the task 'stars'"):
        world.run(tiny, table, header=(*HEADER, "split"), tasks=TASKS, training={"dtype": "float32"}, evaluation={"split_column": "split"})


BALANCERS = ["fixed", "uncertainty", "gradnorm", "famo"]


@pytest.mark.parametrize("method", ["stepped", "suffix"])
@pytest.mark.parametrize("balancer", BALANCERS)
def test_each_balancer_trains_three_tasks_and_tells_weights_and_cosines(world, tiny, balancer, method):
    listener = Listener()
    epochs, rate = (20, 0.03) if method == "stepped" else (6, 0.01)
    training = {"dtype": "float32", "epochs": epochs, "learning_rate": rate, "balancing": {"type": balancer}, "sampling": "balanced"}
    outcome, _ = run(world, tiny, rows(300, missing=0.6), method, training=training, reporter=listener)
    assert outcome.metrics["mood"]["accuracy"] > 0.6
    told = [data for type_, data in listener.events if type_ == "metric" and data["split"] == "train"]
    weights = {(data["task"], data["epoch"]): data["value"] for data in told if data["name"] == "weight"}
    assert {task for task, _ in weights} == {"mood", "tags", "stars"}
    assert (len(set(weights.values())) == 1) == (balancer == "fixed")
    cosines = [data for data in told if data["name"].startswith("cosine.")]
    assert bool(cosines) == (method == "suffix")  # heads on frozen features share nothing
    assert all(-1 <= data["value"] <= 1 for data in cosines)


def test_parts_of_a_batch_learn_what_the_whole_batch_learns_under_each_balancer(world, tiny):
    for balancer in BALANCERS:
        heads = []
        for tokens in (4096, 64):
            training = {"dtype": "float32", "epochs": 2, "learning_rate": 0.005, "balancing": {"type": balancer}}
            _, folder = run(
                world,
                tiny,
                rows(60),
                "suffix",
                training=training,
                change=lambda plan, tokens=tokens: plan.model_copy(update={"batch_tokens": tokens}),
            )
            heads.append(load_artifact(folder).heads)
        for task in ("mood", "tags", "stars"):
            assert np.allclose(heads[0][task]["weight"], heads[1][task]["weight"], rtol=5e-3, atol=5e-3), balancer


@pytest.mark.parametrize("method", ["solved", "suffix"])
def test_each_task_is_trained_alone_on_request_and_the_model_stays_the_same(world, tiny, method):
    table, few = rows(120), {"training": {"dtype": "float32", "epochs": 2, "learning_rate": 5e-3}}
    plain, folder = run(world, tiny, table, method, **few)
    asked, other = run(world, tiny, table, method, **few, evaluation={"single_task": True})
    assert all(report.single_task is None for report in plain.report_tasks.values())
    for name, report in asked.report_tasks.items():
        assert report.single_task is not None
        assert report.single_task.keys() == report.metrics.keys()
        same = report.single_task == pytest.approx(report.metrics)
        assert same == (method == "solved"), name  # heads on frozen features share nothing
    assert (folder / "heads.safetensors").read_bytes() == (other / "heads.safetensors").read_bytes()


def test_cross_validation_tests_each_row_once_and_reports_means(world, tiny):
    listener = Listener()
    outcome, _ = run(world, tiny, rows(120), "solved", evaluation={"folds": 4}, reporter=listener)
    report = outcome.report_tasks["mood"]
    assert len(report.folds) == 4
    assert report.rows == 30
    assert report.metrics["accuracy"] == pytest.approx(np.mean([fold["accuracy"] for fold in report.folds]))
    low, high = report.intervals["accuracy"]
    assert 0 <= low <= report.metrics["accuracy"] <= high <= 1
    assert outcome.metrics["mood"] == report.metrics
    assert any(line.startswith("Fold 4 of 4: ") for _, line in listener.lines)
    tested = [data for type_, data in listener.events if type_ == "metric" and data["split"] == "test" and data["name"] == "accuracy"]
    assert len(tested) == 1  # the other folds tell no metrics of their own


def test_gains_of_cross_validation_are_what_its_metrics_are_above_those_of_the_baselines(world, tiny):
    outcome, folder = run(world, tiny, rows(120), "solved", evaluation={"folds": 4})
    for report in outcome.report_tasks.values():
        assert len(report.gains) == 2
        for name, gains in report.gains.items():
            assert gains.keys() == report.metrics.keys() & report.baselines[name].keys()
            for metric, gain in gains.items():
                assert gain.value == pytest.approx(report.metrics[metric] - report.baselines[name][metric]), (name, metric)
                assert gain.low <= gain.value <= gain.high
    assert "in the mean of 4 folds" in verdict(outcome.report_tasks["mood"])
    assert "In the mean of 4 folds" in (folder / CARD).read_text()


def test_a_fold_that_cannot_be_trained_refuses_the_job_before_any_is(world, tiny):
    """All rows of one class are of one group, which is not the largest and so does not test in the first fold."""
    negative, positive = ([text for text, label in reviews(120) if label == wanted] for wanted in ("neg", "pos"))
    table = [(text, "neg", f"neg {max(number - 40, 0) % 5}") for number, text in enumerate(negative)]
    table += [(text, "pos", "pos") for text in positive[:20]]
    listener = Listener()
    with pytest.raises(EngineFault, match="Fewer than two classes are left to train on"):
        world.run(
            tiny,
            table,
            header=("text", "label", "by"),
            evaluation={"folds": 3, "group_column": "by"},
            method=METHODS["solved"],
            reporter=listener,
        )
    assert listener.stages == []


def fold(accuracy: float, pearson: float, mae: float, tfidf: float) -> TaskReport:
    gain = {"value": accuracy - tfidf, "low": -1.0, "high": 1.0}
    return TaskReport.model_validate(
        reports.task(
            metrics={"accuracy": accuracy, "pearson": pearson, "mae": mae},
            baselines={"tfidf": {"accuracy": tfidf}},
            gains={"tfidf": {"accuracy": gain}},
        )
    )


def test_over_folds_gains_are_of_the_differences_and_no_interval_leaves_what_its_metric_can_be():
    report = over_folds([fold(0.95, 0.99, 0.1, 0.05), fold(0.90, 0.80, 0.9, 0.15)])
    assert report.metrics == pytest.approx({"accuracy": 0.925, "pearson": 0.895, "mae": 0.5})
    assert report.baselines == {"tfidf": {"accuracy": pytest.approx(0.1)}}
    (accuracy, pearson, mae), gain = report.intervals.values(), report.gains["tfidf"]["accuracy"]
    assert (accuracy[1], pearson[1], mae[0]) == (1.0, 1.0, 0.0)
    assert mae[1] > 1
    reach = 12.7062047 * 0.05 / 2  # Student's t of two values: their half distance times the quantile
    assert accuracy[0] == pytest.approx(0.925 - reach)
    assert (gain.value, gain.low) == pytest.approx((0.825, 0.825 - 12.7062047 * 0.075))
    assert gain.high == 1.0
