"""What each method leaves behind: rebuilt bit for bit in another process, and no weight that the backbone has already."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headstart.engine.artifacts import load_artifact
from headstart.engine.predictor import Predictor
from tests.engine.conftest import World, reviews

pytestmark = pytest.mark.slow

TEXTS = ["the good film", "it was a very dull plot", "book"]
STEPS = {"dtype": "float32", "epochs": 1, "learning_rate": 0.01}
METHODS: dict[str, dict[str, Any]] = {
    "features": {"type": "feature-extraction"},
    "several layers": {"type": "feature-extraction", "layers": ["embeddings", "encoder.layer.0"]},
    "prototype": {"type": "feature-extraction", "head": {"type": "prototype"}},
    "knn": {"type": "feature-extraction", "head": {"type": "knn"}},
    "mlp": {"type": "feature-extraction", "head": {"type": "mlp", "hidden": [16]}},
    "top layer": {"type": "fine-tuning", "top_layers": 1},
    "everything": {"type": "fine-tuning", "trainable": ["*"]},
    "pooler": {"type": "fine-tuning", "trainable": ["pooler.*"], "pooling": "pooler"},
    **{kind: {"type": kind} for kind in ("bitfit", "lora", "dora", "loha", "lokr", "ia3")},
}
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
for artifact in asked["artifacts"]:
    rows, _ = Predictor(backbone, load_artifact(Path(artifact))).predict([{"text": text} for text in asked["texts"]])
    print(json.dumps([row.model_dump() for row in rows]))
"""


@pytest.fixture(scope="module")
def artifacts(tiny, tmp_path_factory):
    """By method: the folder of a trained artifact."""
    world = World(tmp_path_factory.mktemp("world"))
    return {name: world.run(tiny, reviews(60), method=method, training=STEPS)[1] for name, method in METHODS.items()}


def test_artifact_of_every_method_is_rebuilt_bit_for_bit_in_a_new_process(tiny, artifacts):
    asked = {
        "backbone": str(tiny.folder),
        "anatomy": tiny.anatomy.model_dump(mode="json"),
        "artifacts": [str(folder) for folder in artifacts.values()],
        "texts": TEXTS,
    }
    root = Path(__file__).parents[2]
    run = subprocess.run([sys.executable, "-c", REBUILD], input=json.dumps(asked), capture_output=True, text=True, cwd=root, check=True)
    told = [json.loads(line) for line in run.stdout.splitlines()[-len(artifacts) :]]
    for (name, folder), there in zip(artifacts.items(), told, strict=True):
        rows, _ = Predictor(tiny, load_artifact(folder)).predict([{"text": text} for text in TEXTS])
        assert [row.model_dump() for row in rows] == there, name


def test_artifact_of_every_method_holds_no_weight_of_the_backbone(tiny, artifacts):
    known = {parameter.detach().numpy().tobytes() for parameter in tiny.module.parameters() if parameter.numel() > 1}
    for name, folder in artifacts.items():
        made = load_artifact(folder)
        tensors = {**made.delta, **{f"{task}/{key}": value for task, head in made.heads.items() for key, value in head.items()}}
        kept = [key for key, value in tensors.items() if np.ascontiguousarray(value).tobytes() in known]
        assert not kept, (name, kept)
