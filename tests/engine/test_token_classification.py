"""A tag for each word: every method and head learns them, alone and beside whole texts, and answers name places in the text exactly."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from headstart.engine.artifacts import load_artifact
from headstart.engine.predictor import Predictor
from headstart.engine.run import JobOutcome
from headstart.specs.datasets import ColumnType
from headstart.specs.predictions import Entities, PredictedRow
from tests.engine.conftest import BAD, GOOD, REST, World

METHODS: dict[str, dict[str, Any]] = {
    "solved": {"type": "feature-extraction", "layer": "embeddings"},
    "stepped": {"type": "feature-extraction", "layer": "embeddings", "head": {"type": "mlp", "hidden": [32]}},
    "prototype": {"type": "feature-extraction", "layer": "embeddings", "head": {"type": "prototype"}},
    "knn": {"type": "feature-extraction", "layer": "embeddings", "head": {"type": "knn", "k": 5}},
    "layers": {"type": "feature-extraction", "layers": ["embeddings", "encoder.layer.0"]},
    "suffix": {"type": "fine-tuning", "top_layers": 1},
    "whole": {"type": "fine-tuning", "trainable": ["*"]},
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
    made = World(tmp_path)
    made.types = dict(TYPES)
    return made


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
    made: dict[str, Any] = {"tasks": [TOKENS], "training": TRAINING, "method": METHODS["solved"], **options}
    return world.run(backbone, table() if rows is None else rows, header=HEADER, **made)


def found(answer: PredictedRow, task: str = "who") -> list[tuple[str, int, int, str]]:
    output = answer.outputs[task]
    assert isinstance(output, Entities)
    return [(each.label, each.start, each.end, each.text) for each in output.entities]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_and_head_beats_the_trivial_answer(world, tiny, method):
    outcome, folder = run(world, tiny, method=METHODS[method])
    assert outcome.baselines["who"]["majority"]["f1"] == 0.0
    assert outcome.metrics["who"]["f1"] > 0.5, outcome.metrics
    answers, tokens = Predictor(tiny, load_artifact(folder)).predict([{"tokens": ["the", "great", "film"]}])
    assert ("JOY", 4, 9, "great") in found(answers[0])
    assert tokens == 5
    assert PredictedRow.model_validate(answers[0].model_dump()) == answers[0]
