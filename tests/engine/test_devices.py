"""Devices: which one is taken, and that every method moves what it computes with to the backbone's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from headstart.engine import hardware
from headstart.engine.backbones.loading import load_backbone
from headstart.engine.devices import choose_device
from headstart.engine.optimizers import takes_tables
from headstart.errors import BadInput
from headstart.specs.jobs import Training

ROOT = Path(__file__).parents[2]
TOLERANCE = 1e-5
"""float32: the same kernels, over copies of other strides."""
SOLVED = 1e-4
"""Weights that L-BFGS finds: it stops at a gradient of 1e-5, which leaves weights of little λ this far apart where sums round differently."""

ON_ANOTHER = """
import json
import re
import sys
from pathlib import Path

import numpy as np
import torch

from tests.engine import away

away.register()
with away.OnDevice():
    from headstart.engine.artifacts import load_artifact
    from headstart.engine.backbones.loading import load_backbone
    from headstart.engine.predictor import Predictor
    from headstart.specs.backbones import Anatomy
    from tests.engine.conftest import World, reviews

    folder, anatomy = Path(sys.argv[1]), Anatomy.model_validate_json(Path(sys.argv[2]).read_text())
    backbones = [load_backbone(folder, anatomy, device) for device in ("cpu", away.NAME)]
    assert [backbone.device.type for backbone in backbones] == ["cpu", away.NAME]
    size = {"dtype": "float32", "epochs": 1, "batch_size": 8, "learning_rate": 1e-3}
    off = {"head": {"type": "linear", "solver": None, "dropout": 0.0}}
    jobs = {
        "solved": {"method": {"type": "feature-extraction"}, "training": size},
        "head by steps": {"method": {"type": "feature-extraction", "head": {"type": "mlp", "hidden": [8]}}, "training": size},
        "top layers": {"method": {"type": "fine-tuning", "top_layers": 1, **off}, "training": size},
        "all of it": {"method": {"type": "fine-tuning", "trainable": ["*"], **off}, "training": {**size, "optimizer": "sgd"}},
        "lora": {"method": {"type": "lora", "dropout": 0.0, **off}, "training": size},
        "scratch": {
            "init": "random",
            "method": {"type": "fine-tuning", "trainable": ["*"], **off},
            "training": {**size, "optimizer": "sgd"},
        },
    }
    found = {}
    for name, job in jobs.items():
        artifacts, scores = [], []
        for backbone in backbones:
            world = World(Path(sys.argv[3], name, backbone.device.type))
            world.folder.mkdir(parents=True)
            _, made = world.run(backbone, reviews(41), **job)
            artifacts.append(load_artifact(made))
            rows, _ = Predictor(backbone, artifacts[-1]).predict([{"text": "good film"}, {"text": "dull"}])
            scores.append([{score.label: score.score for score in row.outputs["sentiment"].scores}["pos"] for row in rows])
        one, two = ({**artifact.delta, **artifact.heads["sentiment"]} for artifact in artifacts)
        assert one.keys() == two.keys()
        apart = max(float(np.abs(one[tensor] - two[tensor]).max()) for tensor in one)
        found[name] = {"tensors": apart, "scores": float(np.abs(np.subtract(*scores)).max())}

    def spans(text):
        return json.dumps([{"start": word.start(), "end": word.end(), "label": "X"} for word in re.finditer("good|great|bad|hated", text)])

    rows = [(text, spans(text)) for text, _ in reviews(41)]
    words = {"name": "x", "type": "token-classification", "inputs": {"text": "text"}, "target": "spans"}
    label = {"name": "any", "type": "text-classification", "inputs": {"text": "text"}, "target": "label"}
    for name in ("solved", "top layers"):
        made = []
        for backbone in backbones:
            world = World(Path(sys.argv[3], f"words {name}", backbone.device.type))
            world.folder.mkdir(parents=True)
            world.types = {"label": "category", "spans": "tags"}
            both = [(text, cell, "no" if cell == "[]" else "yes") for text, cell in rows]
            _, folder = world.run(backbone, both, header=("text", "spans", "label"), tasks=[words, label], **jobs[name])
            artifact = load_artifact(folder)
            answers, _ = Predictor(backbone, artifact).predict([{"text": "the good film"}, {"tokens": ["bad", "plot"]}])
            scores = [entity.score for row in answers for entity in row.outputs["x"].entities]
            made.append(({**artifact.delta, **{f"{task}/{tensor}": each for task, head in artifact.heads.items()
                                               for tensor, each in head.items()}}, scores))
        (one, mine), (two, theirs) = made
        # a head that is solved on the vectors of words has weights far above 1
        apart = max(float(np.abs(one[tensor] - two[tensor]).max() / max(1, np.abs(one[tensor]).max())) for tensor in one)
        assert len(mine) == len(theirs)
        found[f"words {name}"] = {"tensors": apart, "scores": float(np.abs(np.subtract(mine, theirs)).max(initial=0.0))}
print(json.dumps(found))
"""


def test_cpu_is_taken_when_it_is_asked_for():
    assert choose_device("cpu") == torch.device("cpu")


@pytest.mark.skipif(torch.cuda.is_available() or torch.backends.mps.is_available(), reason="there is an accelerator here")
def test_a_machine_without_accelerator_computes_on_its_cpu_and_refuses_another_in_words():
    assert choose_device("auto") == torch.device("cpu")
    for asked in ("cuda", "mps", "gpu"):
        with pytest.raises(BadInput, match=f"The device '{asked}' cannot be taken") as refused:
            choose_device(asked)
        assert refused.value.code == "invalid_field"


def test_the_measured_hardware_names_the_device_that_was_measured():
    assert hardware.measure(torch.device("cpu")).device == "cpu"


def test_sparse_gradients_are_left_out_where_the_device_has_none():
    options = Training(optimizer="adamw")
    assert takes_tables(options, torch.device("cuda"))
    assert not takes_tables(options, torch.device("mps"))


@pytest.mark.slow
def test_every_method_computes_on_the_device_of_its_backbone_and_ends_as_on_the_cpu(tmp_path):
    """A device of our own, which refuses to be mixed with the CPU; it is registered for good, and so in a process of its own."""
    from headstart.engine.backbones.anatomy import read_anatomy
    from headstart.engine.backbones.importing import import_folder
    from tests.engine.tiny import make_tiny_backbone

    make_tiny_backbone(tmp_path / "source", "bert", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    (tmp_path / "tiny").mkdir()
    files = import_folder(tmp_path / "source", tmp_path / "tiny", max_bytes=1 << 30)
    anatomy = read_anatomy(tmp_path / "tiny", files, license=None)
    assert load_backbone(tmp_path / "tiny", anatomy).device == torch.device("cpu")
    (tmp_path / "anatomy.json").write_text(anatomy.model_dump_json())
    command = [sys.executable, "-c", ON_ANOTHER, str(tmp_path / "tiny"), str(tmp_path / "anatomy.json"), str(tmp_path / "jobs")]
    ended = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]
    found = json.loads(ended.stdout.splitlines()[-1])
    assert len(found) == 8
    allowed = {name: {"tensors": SOLVED if name.endswith("solved") else TOLERANCE, "scores": TOLERANCE} for name in found}
    assert {(name, of): apart for name, job in found.items() for of, apart in job.items() if apart >= allowed[name][of]} == {}
