"""Kinds of answers: what cells become, what is answered, and what the report says."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter
from torch.nn import functional

from headstart.engine.artifacts import load_artifact
from headstart.engine.evaluation.reports import Trial
from headstart.engine.evaluation.scoring import PLAIN, Scoring
from headstart.engine.inputs.words import sentence_of_words
from headstart.engine.predictor import Predictor
from headstart.engine.run import run_job
from headstart.engine.tables import DatasetTable
from headstart.engine.tasks import TASKS
from headstart.engine.tasks.tagged import OfWords, Words
from headstart.planning.plan import make_plan
from headstart.specs.jobs import JobSpec, Training
from headstart.specs.predictions import Classification, MultiLabel, Output, Value
from headstart.specs.reports import TaskReport
from headstart.specs.tasks import TextClassification
from tests.answers import as_kind, chosen
from tests.engine.conftest import CREATED_AT, Listener, World, reviews

CLASSES = ["neg", "neutral", "pos"]
TAGS = ["O", "B-PER", "I-PER"]
SENTENCES = [["Bo", "lives", "here"], ["a"], ["a", "b"], ["a"], ["Bo", "Ek"]]
WORDS = ["BIO", "IOBES", "none"]
"""Kinds that answer for words."""
CELLS: dict[str, list[str | None]] = {
    **{kind: ['["B-PER", "O", "O"]', "[]", None, '["other"]', '["B-PER", "I-PER"]'] for kind in WORDS},
    "single-label": ["pos", " neg ", None, "other", "neutral"],
    "multi-label": ['["pos", "neg"]', "neg|other", None, "", "neutral | pos"],
    "switches": ["1", "No", None, "maybe", "0.0"],
    "regression": ["1.5", " -2 ", None, "nan", "ten"],
}
LABELLED = {
    **{kind: [1, 0, 0, 0, 1] for kind in WORDS},
    "single-label": [1, 1, 0, 0, 1],
    "multi-label": [1, 1, 0, 1, 1],
    "switches": [1, 1, 0, 0, 1],
    "regression": [1, 1, 0, 0, 0],
}


def columns_of(kind: str, cells: list[str | None]) -> list[list[Any]]:
    """What a kind encodes: where words are answered for, the sentences too; of switches a column for each class."""
    if kind == "switches":
        return [cells] * len(CLASSES)
    return [[sentence_of_words(words) for words in SENTENCES[: len(cells)]], cells] if kind in WORDS else [cells]


def classes_of(kind: str) -> list[str]:
    return TAGS if kind in WORDS else [] if kind == "regression" else CLASSES


def given_to(kind: str) -> Any:
    """What a kind decodes, of some rows."""
    logits = np.random.default_rng(0).normal(size=(9, 1 if kind == "regression" else 3))
    return OfWords(logits, Words.of([sentence_of_words(words) for words in SENTENCES])) if kind in WORDS else logits


def test_labels_become_class_numbers_and_missing_ones_minus_one():
    assert TASKS["single-label"].encode([CELLS["single-label"]], CLASSES).tolist() == [2, 0, -1, -1, 1]


def test_composed_and_decomposed_letters_are_one_label():
    assert TASKS["single-label"].encode([["cafe\u0301"]], ["caf\u00e9"]).tolist() == [0]
    assert TASKS["multi-label"].encode([["x|cafe\u0301"]], ["caf\u00e9"]).tolist() == [[1]]


def test_lists_of_labels_and_columns_of_switches_become_switches():
    from_lists = TASKS["multi-label"].encode([CELLS["multi-label"]], CLASSES)
    assert from_lists[[0, 1, 3, 4]].tolist() == [[1, 0, 1], [1, 0, 0], [0, 0, 0], [0, 1, 1]]
    from_columns = TASKS["switches"].encode([["1", "0.0", None], ["no", "True", "1"]], ["a", "b"])
    assert from_columns[:2].tolist() == [[1, 0], [0, 1]]
    assert TASKS["switches"].labelled(from_columns).tolist() == [True, True, False]


def test_a_list_of_one_column_of_switches_is_one_label_that_holds_or_not(tmp_path, tiny):
    world = World(tmp_path)
    rows = [(text, "1.0" if label == "pos" else "0.0") for text, label in reviews(200)]
    task = {"name": "good", "type": "text-classification", "problem": "multi-label", "inputs": {"text": "text"}, "target": ["label"]}
    outcome, made = world.run(tiny, rows, tasks=[task])
    assert outcome.metrics["good"]["micro_f1"] > 0.9
    assert load_artifact(made).manifest.tasks[0].classes == ["label"]


@pytest.mark.parametrize("kind", list(TASKS))
def test_rows_without_an_answer_are_told(kind):
    task = TASKS[kind]
    targets = task.encode(columns_of(kind, CELLS[kind]), classes_of(kind))
    assert task.labelled(targets).tolist() == [bool(each) for each in LABELLED[kind]]
    assert len(task.strata(targets)) == len(targets)


@pytest.mark.parametrize("kind", list(TASKS))
def test_answers_are_what_the_contract_says(kind):
    for answer in TASKS[kind].decode(given_to(kind), classes_of(kind), None, PLAIN):
        assert TypeAdapter(Output).validate_python(answer.model_dump()) == answer


def test_scores_of_one_label_add_up_and_stand_highest_first():
    answers = [
        chosen(answer) for answer in TASKS["single-label"].decode(np.array([[0.0, 1.0, 3.0], [2.0, 2.0, -1.0]]), CLASSES, None, PLAIN)
    ]
    assert sum(score.score for score in answers[0].scores) == pytest.approx(1.0)
    assert [score.label for score in answers[0].scores] == ["pos", "neutral", "neg"]
    assert answers[1].label == "neg"  # equal scores: the order of the classes


def test_labels_that_hold_are_those_above_a_half():
    answer = as_kind(TASKS["multi-label"].decode(np.array([[2.0, -1.0, 0.5]]), CLASSES, None, PLAIN)[0], MultiLabel)
    assert answer.labels == ["neg", "pos"]
    assert [score.label for score in answer.scores] == ["neg", "pos", "neutral"]


def test_temperature_and_thresholds_of_a_task_decide_its_answers():
    logits = np.array([[2.0, -1.0, 0.5]])
    one = chosen(TASKS["single-label"].decode(logits, CLASSES, None, Scoring(2.0))[0])
    assert one.score == pytest.approx(np.exp(1.0) / np.exp(logits / 2).sum())
    several = as_kind(TASKS["multi-label"].decode(logits, CLASSES, None, Scoring(2.0, (0.8, 0.3, 0.5)))[0], MultiLabel)
    assert several.labels == ["pos", "neutral"]
    assert several.scores[0].score == pytest.approx(1 / (1 + np.exp(-1.0)))


@pytest.mark.parametrize(("top_k", "count"), [(1, 1), (2, 2), (99, 3), (None, 3)])
@pytest.mark.parametrize("kind", ["single-label", "multi-label"])
def test_top_k_cuts_scores(kind, top_k, count):
    answer = TASKS[kind].decode(np.zeros((1, 3)), CLASSES, top_k, PLAIN)[0]
    assert isinstance(answer, Classification | MultiLabel)
    assert len(answer.scores) == count


ANSWERS: dict[str, list[str | None]] = {
    **{kind: ['["B-PER", "O", "O"]', '["O"]', '["O", "O"]', '["B-PER"]'] for kind in WORDS},
    "single-label": ["neg", "pos", "pos", "neutral"],
    "multi-label": ["neg", "pos|neutral", "pos", "neutral"],
    "switches": ["1", "0", "0", "1"],
    "regression": ["1", "2", "5", "9"],
}


def right(kind: str, targets: Any) -> np.ndarray:
    """Logits that say what the targets say."""
    if kind == "single-label" or kind in WORDS:
        return np.asarray(9.0 * np.eye(3)[targets.numbers if kind in WORDS else targets], np.float64)
    return np.asarray(9.0 * (2 * targets - 1) if kind in {"multi-label", "switches"} else targets[:, None], np.float64)


@pytest.mark.parametrize("kind", list(TASKS))
def test_report_is_the_contracts_and_the_right_answer_beats_the_trivial_one(kind):
    task, classes = TASKS[kind], classes_of(kind)
    targets = task.encode(columns_of(kind, ANSWERS[kind]), classes)
    trial = Trial("test", np.arange(1, 5), task.guesses(targets, targets))
    report = task.evaluate(right(kind, targets), targets, classes, trial, PLAIN)
    assert isinstance(report, TaskReport)
    names = {"single-label": "accuracy", "multi-label": "micro_f1", "switches": "micro_f1", "regression": "r2", "none": "token_accuracy"}
    name = names.get(kind, "f1")
    assert report.metrics[name] == 1.0
    assert next(iter(report.baselines.values()))[name] < 1.0
    answers = targets.numbers if kind in WORDS else targets
    assert task.objective(Training(), classes, targets).judge(np.zeros((len(answers), 1 if kind == "regression" else 3)), answers) > 0


class Counting(TextClassification):
    """How often something is mentioned: a toy task, a Poisson regression. This file alone makes it."""

    type: Literal["text-counting"]  # type: ignore[assignment]
    problem: Literal["regression"] = "regression"


@dataclass(frozen=True, slots=True)
class Poisson:
    """−log likelihood of counts, but for what does not hang on the score, their mean's logarithm."""

    name: str = "poisson_loss"
    unit: tuple[float, float] = (1.0, 0.0)

    def of(self, scores: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return functional.poisson_nll_loss(scores[:, 0], targets.to(scores.dtype), reduction="none")

    def solvable(self, scores: Any, targets: Any) -> tuple[float, Any]:
        means = np.exp(scores[:, 0])
        return float((means - targets * scores[:, 0]).mean()), (means - targets)[:, None].astype(np.float32)

    def judge(self, scores: Any, targets: Any) -> float:
        return float((np.exp(scores[:, 0]) - targets * scores[:, 0]).mean())


def evaluate_counts(logits: Any, targets: Any, classes: Any, trial: Trial, scoring: Scoring) -> TaskReport:
    return TASKS["regression"].evaluate(np.exp(logits), targets, classes, trial, scoring)


COUNTING = dataclasses.replace(
    TASKS["regression"],
    objective=lambda _options, _classes, _targets: Poisson(),
    evaluate=evaluate_counts,
    decode=lambda logits, _classes, _top_k, _scoring: [Value(value=float(np.exp(each))) for each in logits[:, 0]],
)


class CountingSpec(JobSpec):
    tasks: list[Counting]  # type: ignore[assignment]


@pytest.mark.parametrize("solver", ["lbfgs", None])
def test_one_file_adds_a_task_that_plans_trains_and_answers(tmp_path, tiny, monkeypatch, solver):
    monkeypatch.setitem(TASKS, "text-counting", COUNTING)
    world = World(tmp_path)
    rows = [(text, str(text.split().count("film") * 3 + text.split().count("plot"))) for text, _ in reviews(300)]
    world.types = {"label": "number"}
    table, profile = world.table(rows)
    spec = CountingSpec.model_validate(
        {
            "backbone": "tiny",
            "dataset": "films",
            "tasks": [{"name": "films", "type": "text-counting", "inputs": {"text": "text"}, "target": "label"}],
            "method": {"type": "feature-extraction", "layer": "embeddings", "head": {"type": "linear", "solver": solver}},
            "training": {"dtype": "float32", "epochs": 40, "learning_rate": 0.05},
        }
    )
    artifact = tmp_path / "artifact"
    artifact.mkdir()
    outcome = run_job(
        job_id="job_01h455vb4pex5vsknk084sn02q",
        workspace="ws_one",
        spec=spec,
        plan=make_plan(spec, profile, tiny.anatomy, None, cache_budget_bytes=1 << 30),
        backbone=tiny,
        tables=[DatasetTable("films", table, "0" * 64)],
        cache_root=world.cache_root,
        artifact_folder=artifact,
        reporter=Listener(),
        clock=time.perf_counter,
        created_at=CREATED_AT,
    )
    assert outcome.metrics["films"]["rmse"] < 0.8 * outcome.baselines["films"]["mean"]["rmse"]
    answer = Predictor(tiny, load_artifact(artifact)).predict([{"text": "the film film film"}])[0][0].outputs["films"]
    assert as_kind(answer, Value).value > 2
