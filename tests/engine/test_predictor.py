"""A stored model answers as the trained one did, in any process, whatever it is asked."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from headstart.engine.artifacts import load_artifact
from headstart.engine.predictor import Predictor
from headstart.errors import BadInput, EngineFault
from headstart.specs.predictions import PredictedRow
from tests.answers import chosen
from tests.engine.conftest import World, reviews
from tests.engine.samples import image, recording, silence

TEXTS = ["great film", "the book was dull", " ", "", "was it very bad", "good " * 200, "loved it 😀"]


def named(texts):
    return [{"text": text} for text in texts]


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
rows, tokens = Predictor(backbone, load_artifact(Path(asked["artifact"]))).predict([{"text": text} for text in asked["texts"]])
scores = [[(score.label, score.score.hex()) for score in row.outputs["sentiment"].scores] for row in rows]
print(json.dumps({"scores": scores, "tokens": tokens}))
"""


@pytest.fixture(scope="module")
def artifacts(tiny, tmp_path_factory):
    """By dtype: the folder of a trained artifact."""
    world = World(tmp_path_factory.mktemp("world"))
    return {dtype: world.run(tiny, reviews(120), training={"dtype": dtype})[1] for dtype in ("float32", "bfloat16")}


@pytest.fixture(scope="module")
def predictor(tiny, artifacts):
    return Predictor(tiny, load_artifact(artifacts["float32"]))


@pytest.mark.parametrize("dtype", ["float32", pytest.param("bfloat16", marks=pytest.mark.slow)])
def test_new_process_rebuilds_the_same_answers_bit_for_bit(tiny, artifacts, dtype):
    rows, tokens = Predictor(tiny, load_artifact(artifacts[dtype])).predict(named(TEXTS))
    asked = {
        "backbone": str(tiny.folder),
        "anatomy": tiny.anatomy.model_dump(mode="json"),
        "artifact": str(artifacts[dtype]),
        "texts": TEXTS,
    }
    root = Path(__file__).parents[2]
    run = subprocess.run([sys.executable, "-c", REBUILD], input=json.dumps(asked), capture_output=True, text=True, cwd=root, check=True)
    told = json.loads(run.stdout.splitlines()[-1])
    assert told["scores"] == [[[score.label, score.score.hex()] for score in chosen(row.outputs["sentiment"]).scores] for row in rows]
    assert told["tokens"] == tokens


def test_answers_come_in_the_order_of_the_texts(predictor):
    rows, tokens = predictor.predict(named(TEXTS))
    alone = [predictor.predict(named([text])) for text in TEXTS]
    for row, (expected, _) in zip(rows, alone, strict=True):
        assert row.outputs["sentiment"].score == pytest.approx(expected[0].outputs["sentiment"].score, abs=1e-5)
    assert tokens == sum(count for _, count in alone)


def test_answers_have_the_shape_of_the_contract(predictor):
    for row in predictor.predict(named(TEXTS))[0]:
        assert PredictedRow.model_validate(row.model_dump()) == row


def test_model_has_learnt_what_the_labels_say(predictor):
    rows, _ = predictor.predict(named(["the film was good", "the film was bad"]))
    assert [row.outputs["sentiment"].label for row in rows] == ["pos", "neg"]


def test_cut_text_is_answered_with_a_warning(predictor, tiny):
    rows, _ = predictor.predict(named(["good film", "good " * 200]))
    assert rows[0].warnings == []
    assert [warning.code for warning in rows[1].warnings] == ["truncated"]
    assert str(tiny.anatomy.input.max_tokens) in rows[1].warnings[0].message


def test_blank_text_is_answered(predictor):
    rows, _ = predictor.predict(named(["  \t ", ""]))
    assert all(0 < row.outputs["sentiment"].score <= 1 for row in rows)


def test_top_k_and_tasks_are_followed(predictor):
    rows, _ = predictor.predict(named(["good"]), top_k=1, tasks=["sentiment"])
    assert len(rows[0].outputs["sentiment"].scores) == 1


def test_task_that_the_model_does_not_have_is_refused_with_the_closest(predictor):
    with pytest.raises(BadInput, match="sentiment"):
        predictor.predict(named(["good"]), tasks=["sentimnet"])


def test_models_on_one_prefix_share_one_pass(tiny, artifacts, predictor):
    other = Predictor(tiny, load_artifact(artifacts["float32"]))
    assert other.shares == predictor.shares
    assert Predictor(tiny, load_artifact(artifacts["bfloat16"])).shares != predictor.shares
    embedded = predictor.embed(TEXTS)
    assert other.answer(embedded, other.select(None), None) == predictor.predict(named(TEXTS))[0]
    assert len(embedded.features) == len(embedded.units) == len(TEXTS)
    assert embedded.features.dtype == np.float32


def test_artifact_of_another_backbone_is_refused(backbones, artifacts):
    with pytest.raises(EngineFault, match="another backbone"):
        Predictor(backbones("distilbert"), load_artifact(artifacts["float32"]))


def test_inputs_of_other_names_are_refused_with_those_the_model_has(predictor):
    with pytest.raises(BadInput, match="reads text") as refused:
        predictor.predict([{"text": "good"}, {"image": b"1"}])
    assert refused.value.faults[0].pointer == "/inputs/1"


@pytest.mark.parametrize(
    ("modality", "family", "bad", "code"),
    [
        ("image", "vit", image(1)[:200], "bad_image"),
        ("audio", "whisper", silence(), "silent_audio"),
        ("audio", "whisper", b"x", "unknown_format"),
    ],
)
def test_a_file_that_cannot_be_read_is_named_among_good_ones(backbones, world, modality, family, bad, code):
    world.types = {modality: modality, "label": "category"}
    make: Callable[..., bytes] = image if modality == "image" else recording
    rows = [(base64.b64encode(make(seed)).decode(), "ab"[seed % 2]) for seed in range(12)]
    task = {"name": "what", "type": f"{modality}-classification", "inputs": {modality: modality}, "target": "label"}
    _, folder = world.run(backbones(family), rows, header=(modality, "label"), tasks=[task])
    predictor = Predictor(backbones(family), load_artifact(folder))
    good = {modality: make(0)}
    assert len(predictor.predict([good, good])[0]) == 2
    with pytest.raises(BadInput) as refused:
        predictor.predict([good, {modality: bad}, good])
    assert (refused.value.code, refused.value.faults[0].pointer) == (code, "/inputs/1")
