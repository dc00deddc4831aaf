"""A tag for each word: every method and head learns them, alone and beside whole texts, and answers name places in the text exactly."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headstart.engine.artifacts import load_artifact
from headstart.engine.predictor import Predictor
from headstart.engine.run import JobOutcome
from headstart.errors import BadInput, EngineFault
from headstart.specs.datasets import ColumnType
from headstart.specs.plans import Plan
from headstart.specs.predictions import Classification, Entities, PredictedRow
from tests.engine.conftest import BAD, GOOD, REST, Listener, World

METHODS: dict[str, dict[str, Any]] = {
    "solved": {"type": "feature-extraction", "layer": "embeddings"},
    "stepped": {"type": "feature-extraction", "layer": "embeddings", "head": {"type": "mlp", "hidden": [32]}},
    "prototype": {"type": "feature-extraction", "layer": "embeddings", "head": {"type": "prototype"}},
    "knn": {"type": "feature-extraction", "layer": "embeddings", "head": {"type": "knn", "k": 5}},
    "layers": {"type": "feature-extraction", "layers": ["embeddings", "encoder.layer.0"]},
    "suffix": {"type": "fine-tuning", "top_layers": 1},
    "head first": {"type": "fine-tuning", "top_layers": 1, "head_first_epochs": 2},
    "lora": {"type": "lora", "rank": 4},
}
TOKENS = {"name": "who", "type": "token-classification", "inputs": {"tokens": "tokens"}, "target": "tags"}
SPANS = {**TOKENS, "inputs": {"text": "text"}, "target": "spans"}
TYPES: dict[str, ColumnType] = {"tokens": "tokens", "tags": "tags", "spans": "tags", "text": "text", "label": "category"}
HEADER = ("tokens", "tags", "text", "spans", "label")
TRAINING = {"dtype": "float32", "epochs": 8, "learning_rate": 2e-2}


@pytest.fixture
def world(tmp_path) -> World:
    return World(tmp_path)


def sentences(count: int = 120, seed: int = 0) -> list[tuple[list[str], list[str]]]:
    """Words and tags: good words are JOY, a bad word and the word after it are PAIN."""
    chance = random.Random(seed)
    made = []
    for _ in range(count):
        words, tags = [], []
        for _ in range(chance.randint(2, 6)):
            kind = chance.choice(["rest", "rest", "joy", "pain"])
            if kind == "pain":
                words += [chance.choice(BAD), chance.choice(REST)]
                tags += ["B-PAIN", "I-PAIN"]
            else:
                words.append(chance.choice(GOOD if kind == "joy" else REST))
                tags.append("B-JOY" if kind == "joy" else "O")
        made.append((words, tags))
    return made


def table(count: int = 120, seed: int = 0) -> list[tuple[str, str, str, str, str]]:
    """The same as tokens with tags, and as a text with spans; and whether there is any joy."""
    rows = []
    for words, tags in sentences(count, seed):
        spans: list[dict[str, Any]] = []
        at = 0
        for word, tag in zip(words, tags, strict=True):
            if tag.startswith("B-"):
                spans.append({"start": at, "end": at + len(word), "label": tag[2:]})
            elif tag.startswith("I-"):
                spans[-1]["end"] = at + len(word)
            at += len(word) + 1
        joy = ("no", "yes")["B-JOY" in tags]
        rows.append((json.dumps(words), json.dumps(tags), " ".join(words), json.dumps(spans), joy))
    return rows


def run(world: World, backbone: Any, rows: Sequence[Sequence[str]] | None = None, **options: Any) -> tuple[JobOutcome, Path]:
    """A job on the columns that its tasks name, of `rows` with the columns of `HEADER`."""
    made: dict[str, Any] = {"tasks": [TOKENS], "training": TRAINING, "method": METHODS["solved"], **options}
    named = {name for task in made["tasks"] for name in (*task["inputs"].values(), task["target"])}
    places = [place for place, name in enumerate(HEADER) if name in named]
    world.types = {name: kind for name, kind in TYPES.items() if name in named}
    cells = [[row[place] for place in places] for row in (table() if rows is None else rows)]
    return world.run(backbone, cells, header=[HEADER[place] for place in places], **made)


def found(answer: PredictedRow, task: str = "who") -> list[tuple[str, int, int, str]]:
    output = answer.outputs[task]
    assert isinstance(output, Entities)
    return [(each.label, each.start, each.end, each.text) for each in output.entities]


LONG = {"head first", "lora"}


@pytest.mark.parametrize("method", [pytest.param(name, marks=[pytest.mark.slow] * (name in LONG)) for name in METHODS])
def test_every_method_and_head_beats_the_trivial_answer(world, tiny, method):
    outcome, folder = run(world, tiny, method=METHODS[method])
    assert outcome.baselines["who"]["majority"]["f1"] == 0.0
    assert outcome.metrics["who"]["f1"] > 0.3, outcome.metrics
    answers, tokens = Predictor(tiny, load_artifact(folder)).predict([{"tokens": ["the", "great", "film"]}])
    assert ("JOY", 4, 9, "great") in found(answers[0])
    assert tokens == 5
    assert PredictedRow.model_validate(answers[0].model_dump()) == answers[0]


@pytest.fixture(scope="module")
def artifacts(tiny, tmp_path_factory) -> dict[str, Path]:
    """By what the model learnt from: `tokens`, `spans`, or `both` beside a label of the whole text; and parts of speech of a kind."""
    world = World(tmp_path_factory.mktemp("world"))
    label = {"name": "joy", "type": "text-classification", "inputs": {"text": "text"}, "target": "label"}
    words = [(row[0], row[1].replace("I-PAIN", "REST").replace("B-", ""), *row[2:]) for row in table()]
    return {
        "tokens": run(world, tiny)[1],
        "spans": run(world, tiny, tasks=[SPANS])[1],
        "both": run(world, tiny, tasks=[SPANS, label])[1],
        "words": run(world, tiny, words)[1],
    }


@pytest.fixture(scope="module")
def predictors(tiny, artifacts) -> dict[str, Predictor]:
    return {name: Predictor(tiny, load_artifact(folder)) for name, folder in artifacts.items()}


def test_tokens_and_spans_that_say_the_same_teach_the_same(artifacts, predictors):
    tokens, spans = (load_artifact(artifacts[name]).manifest.tasks[0] for name in ("tokens", "spans"))
    assert (tokens.inputs, tokens.classes) == (["tokens"], ["O", "B-JOY", "B-PAIN", "I-PAIN"])
    assert (spans.inputs, spans.classes) == (["text"], ["O", "B-JOY", "B-PAIN", "I-JOY", "I-PAIN"])
    asked = [{"text": row[2]} for row in table(30, seed=1)]
    one, other = (predictors[name].predict(asked)[0] for name in ("tokens", "spans"))
    same = [found(row) == found(twin) for row, twin in zip(one, other, strict=True)]
    assert sum(same) >= 27


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"text": "the great film"}, [("JOY", 4, 9, "great")]),
        ({"text": "  the\tgreat, film"}, [("JOY", 6, 11, "great")]),
        ({"text": "\U0001f600 great \U0001f469\u200d\U0001f680 GREAT!"}, [("JOY", 2, 7, "great"), ("JOY", 12, 17, "GREAT")]),
        ({"text": "gre\u0301at"}, [("JOY", 0, 6, "gre\u0301at")]),
        ({"tokens": ["\U0001f600\U0001f600", "great"]}, [("JOY", 3, 8, "great")]),
        ({"tokens": ["", "great", " ", "\u200b", "great"]}, [("JOY", 1, 6, "great"), ("JOY", 11, 16, "great")]),
        ({"text": "the film"}, []),
        ({"text": ""}, []),
        ({"tokens": ["\x00", "\u200b"]}, []),
        ({"tokens": [""]}, []),
    ],
    ids=str,
)
@pytest.mark.parametrize("model", ["tokens", "spans"])
def test_places_of_entities_are_code_points_of_the_text(predictors, model, given, expected):
    answers, _ = predictors[model].predict([given, {"text": "a great deal of company"}])
    assert [each for each in found(answers[0]) if each[0] == "JOY"] == expected
    text = given.get("text") or " ".join(given.get("tokens", []))
    assert all(text[start:end] == told for _, start, end, told in found(answers[0]))


def test_tags_that_mean_no_entities_are_told_word_by_word(predictors):
    answers, _ = predictors["words"].predict([{"tokens": ["the", "great", "\u200b", "film"]}])
    assert [(start, end) for _, start, end, _ in found(answers[0])] == [(0, 3), (4, 9), (12, 16)]
    assert found(answers[0])[1][0] == "JOY"
    assert predictors["words"].manifest.tasks[0].scheme == "none"


@pytest.mark.parametrize(
    ("respelt", "scheme", "entities"),
    [
        ({"B-JOY": "S-JOY", "I-PAIN": "E-PAIN"}, "IOBES", True),
        ({"B-JOY": "S-JOY", "I-PAIN": "M-PAIN"}, "IOBES", True),
        ({"B-JOY": "B", "B-PAIN": "B", "I-PAIN": "I"}, "none", False),
    ],
)
def test_a_tagger_is_measured_by_what_it_answers_entities_or_words(world, tiny, respelt, scheme, entities):
    rows = [(row[0], json.dumps([respelt.get(tag, tag) for tag in json.loads(row[1])]), *row[2:]) for row in table()]
    outcome, folder = run(world, tiny, rows)
    predictor = Predictor(tiny, load_artifact(folder))
    (answer,), _ = predictor.predict([{"tokens": [REST[0], GOOD[0], BAD[0], REST[0]]}])
    assert predictor.manifest.tasks[0].scheme == scheme
    assert ("f1" in outcome.metrics["who"], "macro_f1" in outcome.metrics["who"]) == (entities, not entities)
    assert {label for label, *_ in found(answer)} <= ({"JOY", "PAIN"} if entities else {"B", "I", "O"})
    assert (len(found(answer)) == 4) == (not entities)


def test_whole_texts_and_their_words_are_answered_for_from_one_pass(predictors, artifacts):
    answers, tokens = predictors["both"].predict([{"text": "the great film"}, {"text": "the film was it"}])
    assert found(answers[0]) == [("JOY", 4, 9, "great")]
    labels = [row.outputs["joy"] for row in answers]
    assert all(isinstance(each, Classification) for each in labels)
    assert [each.label for each in labels if isinstance(each, Classification)] == ["yes", "no"]
    assert tokens == 5 + 6
    # each head is as it would be alone
    together, alone = (load_artifact(artifacts[name]).heads["who"] for name in ("both", "spans"))
    assert np.allclose(together["weight"], alone["weight"], atol=1e-5)
    only, _ = predictors["both"].predict([{"text": "the great film"}], tasks=["joy"])
    assert list(only[0].outputs) == ["joy"]


@pytest.mark.parametrize(
    ("method", "more"),
    [
        ("stepped", {"balancing": {"type": "gradnorm"}}),
        ("suffix", {"balancing": {"type": "uncertainty"}}),
        pytest.param("stepped", {"balancing": {"type": "famo"}, "sampling": "balanced"}, marks=pytest.mark.slow),
        pytest.param("head first", {}, marks=pytest.mark.slow),
    ],
)
def test_both_learn_together_by_steps_under_each_balancer(world, tiny, method, more):
    label = {"name": "joy", "type": "text-classification", "inputs": {"text": "text"}, "target": "label"}
    outcome, _ = run(
        world, tiny, tasks=[label, SPANS], method=METHODS[method], training={**TRAINING, **more}, evaluation={"single_task": True}
    )
    assert outcome.metrics["who"]["f1"] > 0.3
    assert outcome.metrics["joy"]["accuracy"] > outcome.baselines["joy"]["majority"]["accuracy"]
    assert {"majority", "tfidf"} <= outcome.baselines["joy"].keys()
    assert outcome.report_tasks["who"].single_task is not None


def test_folds_are_dealt_by_the_tags_that_sentences_have(world, tiny):
    outcome, _ = run(world, tiny, evaluation={"folds": 3})
    assert len(outcome.report_tasks["who"].folds or []) == 3


REBUILD = """
import json, sys
from pathlib import Path
import torch
from headstart.engine.artifacts import load_artifact
from headstart.engine.backbones.loading import load_backbone
from headstart.engine.predictor import Predictor
from headstart.specs.backbones import Anatomy
asked = json.load(sys.stdin)
torch.set_num_threads(2)
backbone = load_backbone(Path(asked["backbone"]), Anatomy.model_validate(asked["anatomy"]))
rows, _ = Predictor(backbone, load_artifact(Path(asked["artifact"]))).predict(asked["inputs"])
print(json.dumps([[[each.label, each.start, each.end, each.score.hex()] for each in row.outputs["who"].entities] for row in rows]))
"""


@pytest.mark.slow
def test_new_process_rebuilds_the_same_answers_bit_for_bit(tiny, artifacts, predictors):
    inputs = [{"text": "the great film was dull it"}, {"tokens": ["loved", "it", "hated", "the"]}, {"text": ""}]
    asked = {
        "backbone": str(tiny.folder),
        "anatomy": tiny.anatomy.model_dump(mode="json"),
        "artifact": str(artifacts["spans"]),
        "inputs": inputs,
    }
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", REBUILD], input=json.dumps(asked), capture_output=True, text=True, cwd=root, check=True)
    answers, _ = predictors["spans"].predict(inputs)
    here = [[[each.label, each.start, each.end, each.score.hex()] for each in row.outputs["who"].entities] for row in answers]
    assert json.loads(done.stdout.splitlines()[-1]) == here
    assert sum(map(len, here)) > 2


def recomputed(plan: Plan) -> Plan:
    return plan.model_copy(update={"cache": plan.cache.model_copy(update={"mode": "recomputed"})})


def test_second_job_finds_all_tokens_in_the_cache_and_ends_bit_equal(world, tiny):
    _, first = run(world, tiny)
    again, second = run(world, tiny)
    assert again.cache == {"rows_computed": 0, "rows_reused": 120}
    one, other = (load_artifact(folder).heads["who"]["weight"] for folder in (first, second))
    assert np.array_equal(one, other)
    anew, _ = run(world, tiny, change=recomputed)
    assert anew.cache == {"rows_computed": 0, "rows_reused": 0}
    assert anew.metrics["who"]["token_accuracy"] == pytest.approx(again.metrics["who"]["token_accuracy"], abs=0.02)


def test_words_beyond_the_limit_are_not_trained_on_and_no_entity(world, tiny):
    rows = table()
    long = json.dumps(["film"] * 30 + ["good"] * 4), json.dumps(["O"] * 30 + ["B-JOY"] * 4), "", "", ""
    listener = Listener()
    outcome, folder = run(world, tiny, [*rows, *[long] * 12], training={**TRAINING, "max_tokens": 20}, reporter=listener)
    warned = {data["code"]: data["message"] for kind, data in listener.events if kind == "warning"}
    # two of twenty are special; 18 of 34 words are read
    assert warned["truncated"].startswith(f"{12 * 16} of ")
    answers, _ = Predictor(tiny, load_artifact(folder)).predict([{"tokens": ["film"] * 30 + ["good"] * 4}, {"tokens": ["good"]}])
    assert all(end <= 18 * 5 for _, _, end, _ in found(answers[0]))
    assert [warning.code for warning in answers[0].warnings] == ["truncated"]
    assert answers[1].warnings == []
    report = outcome.report_tasks["who"]
    assert {each.label for each in report.per_class} == {"JOY", "PAIN"}


def test_rows_whose_tags_do_not_fit_are_left_out_and_counted(world, tiny):
    split = table(90)
    odd = [*split]
    odd[3] = (odd[3][0], json.dumps(["I-JOY", *json.loads(odd[3][1])[1:]]), *odd[3][2:])
    listener = Listener()
    run(world, tiny, odd, reporter=listener)
    warned = {data["code"]: data["message"] for kind, data in listener.events if kind == "warning"}
    assert warned["broken_scheme"].startswith("Rows with tags that break their scheme: 1.")


def test_spans_that_overlap_or_cut_words_are_told(world, tiny):
    rows = [list(row) for row in table(90)]
    rows[0][2:4] = ["the great film", json.dumps([{"start": 4, "end": 9, "label": "JOY"}, {"start": 4, "end": 14, "label": "PAIN"}])]
    rows[1][2:4] = ["the greatest film", json.dumps([{"start": 4, "end": 9, "label": "JOY"}])]
    listener = Listener()
    run(world, tiny, rows, tasks=[SPANS], reporter=listener)
    warned = {data["code"] for kind, data in listener.events if kind == "warning"}
    assert {"spans_overlap", "span_cuts_word"} <= warned


def test_tags_of_one_kind_alone_cannot_be_learnt(world, tiny):
    rows = [(row[0], json.dumps(["O"] * len(json.loads(row[0]))), *row[2:]) for row in table(30)]
    with pytest.raises(BadInput, match="two tags or more") as refused:
        run(world, tiny, rows)
    assert refused.value.code == "too_few_classes"


def test_a_model_of_words_takes_no_pair_and_no_file(predictors):
    with pytest.raises(BadInput, match="reads text, not image") as refused:
        predictors["spans"].predict([{"text": "good"}, {"image": b"1"}])
    assert refused.value.faults[0].pointer == "/inputs/1"


def test_rows_without_any_word_are_no_rows(world, tiny):
    rows = [("[]", "[]", "", "", ""), *table(40)]
    outcome, _ = run(world, tiny, rows)
    assert outcome.report_tasks["who"].rows == 8


@pytest.mark.parametrize("method", ["solved", "stepped"])
def test_a_task_of_words_of_which_none_is_read_is_refused(world, tiny, method):
    with pytest.raises(EngineFault, match="No word that the task 'who' could learn from") as caught:
        run(world, tiny, table(60), method=METHODS[method], training={**TRAINING, "max_tokens": 2})
    assert caught.value.code == "bad_data"
