"""What decides is decided before the test rows are looked at; what is found on the validation rows is what predictions are made with."""

from __future__ import annotations

import csv
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from headstart.demos import dataset_file, default_assets_root
from headstart.engine.artifacts import load_artifact
from headstart.engine.evaluation import calibration
from headstart.engine.evaluation.scoring import single_label_scoring
from headstart.engine.features import computed_parts, gathered
from headstart.engine.predictor import Predictor
from headstart.engine.prefix import Prefix
from headstart.errors import Unavailable
from headstart.specs.predictions import MultiLabel
from tests.answers import as_kind, chosen
from tests.engine.conftest import Listener, World
from tests.engine.test_several_tasks import HEADER, METHODS, TASKS, rows

SPLIT = {"split_column": "split"}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def parted(table: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """With a column that says train, train, validation, test in turn."""
    return [(*row, ("train", "train", "validation", "test")[number // 2 % 4]) for number, row in enumerate(table)]


def with_other_test_labels(table: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """The labels of the test rows dealt out anew among them."""
    chance = random.Random(7)
    tested = [number for number, row in enumerate(table) if row[-1] == "test"]
    others = chance.sample(tested, len(tested))
    made = list(table)
    for number, other in zip(tested, others, strict=True):
        made[number] = (table[number][0], *table[other][1:4], *table[number][4:])
    return made


def run(world: World, backbone: Any, table: list[tuple[str, ...]], method: dict[str, Any], **more: Any) -> tuple[Any, Any]:
    options = {"tasks": TASKS, "method": method, "training": {"dtype": "float32", "epochs": 6, "learning_rate": 5e-3, "patience": 2}}
    return world.run(backbone, table, header=(*HEADER, "split"), evaluation=SPLIT, **(options | more))


@pytest.mark.parametrize("method", METHODS)
def test_other_test_labels_give_the_same_artifact(world, tiny, method):
    """Neither heads nor what changed in the backbone, nor epoch, temperature or thresholds know the test rows."""
    table = parted(rows(160))
    other = with_other_test_labels(table)
    assert sum(a != b for a, b in zip(table, other, strict=True)) > 15
    (first, folder), (second, other_folder) = (run(world, tiny, each, METHODS[method]) for each in (table, other))
    assert first.metrics["mood"] != second.metrics["mood"]
    names = {path.name for path in folder.iterdir()} - {"manifest.json", "model_card.md"}
    assert names == {path.name for path in other_folder.iterdir()} - {"manifest.json", "model_card.md"}
    for name in names:
        assert (folder / name).read_bytes() == (other_folder / name).read_bytes(), name
    assert load_artifact(folder).manifest.tasks == load_artifact(other_folder).manifest.tasks


def test_the_artifact_keeps_temperature_and_thresholds_and_predictions_use_them(world, tiny):
    outcome, folder = run(world, tiny, parted(rows(240)), METHODS["stepped"])
    artifact = load_artifact(folder)
    mood, tags, stars = artifact.manifest.tasks
    assert (mood.temperature, tags.temperature) == tuple(outcome.report_tasks[name].calibration.temperature for name in ("mood", "tags"))
    assert tags.thresholds == outcome.report_tasks["tags"].thresholds
    assert mood.thresholds is None
    assert (stars.temperature, stars.thresholds) == (None, None)
    predictor = Predictor(tiny, artifact)
    (row,), _ = predictor.predict([{"text": "the film was very good"}])
    embedded = predictor.embed(["the film was very good"])
    for entry in (mood, tags):
        plain = entry.model_copy(update={"temperature": None, "thresholds": [0.0] * len(entry.classes) if entry.thresholds else None})
        (cold,) = predictor.answer(embedded, [plain], None)
        assert cold.outputs[entry.name] != row.outputs[entry.name]
    scores = {each.label: each.score for each in as_kind(row.outputs["tags"], MultiLabel).scores}
    given = {label for label, least in zip(tags.classes, tags.thresholds or [], strict=True) if scores[label] >= least}
    assert set(as_kind(row.outputs["tags"], MultiLabel).labels) == given
    assert 0 < chosen(row.outputs["mood"]).score < 1


def test_reports_have_intervals_baselines_and_rows_of_the_file(world, tiny):
    table = parted(rows(240))
    outcome, _ = run(world, tiny, table, METHODS["solved"])
    for name, report in outcome.report_tasks.items():
        assert set(report.intervals) == set(report.metrics), name
        trivial = "mean" if name == "stars" else "majority"
        assert set(report.baselines) == {trivial, "tfidf"}
        assert report.baseline_notes["tfidf"].endswith("trained on all 120 training rows, tested on all 60.")
        assert all(table[error.row - 1][-1] == "test" for error in report.confident_errors)
    errors = outcome.report_tasks["mood"].confident_errors
    assert all(table[error.row - 1][1] == error.label for error in errors)


def test_the_raw_baseline_can_be_left_out(world, tiny):
    outcome, _ = run(world, tiny, parted(rows(120)), METHODS["solved"])
    world_without, _ = world.run(
        tiny,
        parted(rows(120)),
        header=(*HEADER, "split"),
        tasks=TASKS,
        evaluation={**SPLIT, "baselines": False},
        training={"dtype": "float32"},
    )
    assert set(outcome.baselines["mood"]) == {"majority", "tfidf"}
    assert set(world_without.baselines["mood"]) == {"majority"}


def test_a_raw_baseline_is_trained_once_for_the_same_rows(world, tiny):
    table = parted(rows(120))

    def trained(each: list[tuple[str, ...]]) -> tuple[int, Any]:
        listener = Listener()
        outcome, _ = run(world, tiny, each, METHODS["solved"], reporter=listener)
        return sum("baseline was trained" in line for _, line in listener.lines), outcome

    (first, made), (again, kept) = trained(table), trained(table)
    assert (first, again) == (3, 0)
    assert made.report_tasks == kept.report_tasks
    other = [*table[1:], table[0]]
    assert trained([(*row[:-1], old[-1]) for row, old in zip(other, table, strict=True)])[0] == 3


def test_temperature_lowers_the_calibration_error_of_real_features_on_rows_it_has_not_seen(minilm):
    """A head all but without a penalty, on the features of 150 tweets: its scores are near 0 and 1 whether it is right or not."""
    try:
        source = dataset_file(default_assets_root(), "tweets")
    except Unavailable as error:
        pytest.skip(str(error))
    with open(source, newline="") as file:
        texts, labels = zip(*[(row["text"], row["label"]) for row in list(csv.DictReader(file))[:600]], strict=True)
    prefix = Prefix(minilm.module, [minilm.anatomy.layer(minilm.anatomy.default_layer)], "mean", "float32")
    encoded = minilm.preprocessor.encode(texts, 32)
    features = gathered(computed_parts(prefix, encoded, np.arange(600), 2_048, alike=False), 600)
    targets = np.unique(labels, return_inverse=True)[1]
    head = LogisticRegression(C=1e3, max_iter=200).fit(features[:150], targets[:150])
    margins = head.decision_function(features)
    logits = np.column_stack([-margins / 2, margins / 2])
    scoring = single_label_scoring(logits[150:300], targets[150:300])
    held_out = calibration.calibration(lambda z: calibration.single_label_decisions(z, targets[300:]), logits[300:], scoring.temperature)
    assert scoring.temperature is not None
    assert scoring.temperature > 1.5
    assert held_out.ece_before > 0.1
    assert held_out.ece_after < 0.5 * held_out.ece_before
