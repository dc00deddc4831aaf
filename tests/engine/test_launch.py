"""A job without the service: alone, and in two processes that share every batch and end where one process ends."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from headstart.engine.artifacts import load_artifact
from headstart.engine.launch import main
from tests.engine.conftest import reviews
from tests.engine.tiny import make_tiny_backbone

ROOT = Path(__file__).parents[2]
TOLERANCE = 1e-4
"""float32: sums over rows that are split in two round in another order."""

TASK = {"name": "sentiment", "type": "text-classification", "inputs": {"text": "text"}, "target": "label"}
EPOCHS = 3
TRAINING = {"dtype": "float32", "epochs": EPOCHS, "batch_size": 8, "learning_rate": 1e-3, "patience": None}
STEPPED = {"type": "mlp", "hidden": [8]}
JOBS: dict[str, dict[str, Any]] = {
    "top layers": {"method": {"type": "fine-tuning", "top_layers": 1}, "training": TRAINING},
    "all of it": {"method": {"type": "fine-tuning", "trainable": ["*"]}, "training": TRAINING},
    "a head by steps": {"method": {"type": "feature-extraction", "head": STEPPED}, "training": TRAINING},
}
"""None has dropout: processes draw it for their own rows, so that it falls elsewhere than in one process."""


@pytest.fixture
def given(tmp_path) -> list[str]:
    """Data and backbone; 43 training rows in batches of 8 leave a last batch of 3, which two processes divide unevenly."""
    with open(tmp_path / "reviews.csv", "w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *reviews(61)])
    make_tiny_backbone(tmp_path / "tiny", "bert", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    return [str(tmp_path / "reviews.csv"), str(tmp_path / "tiny")]


def spec_file(folder: Path, job: dict[str, Any]) -> str:
    path = folder / "spec.json"
    path.write_text(json.dumps({"backbone": "tiny", "dataset": "reviews", "tasks": [TASK], **job}))
    return str(path)


def losses(out: Path) -> list[tuple[str, int, float]]:
    """The loss curve as it was reported: split, epoch and loss."""
    events = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    return [
        (event["split"], event["epoch"], event["value"]) for event in events if event["type"] == "metric" and event["name"] == "log_loss"
    ]


def in_two_processes(*arguments: str) -> str:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *arguments]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]
    return ended.stdout


@pytest.mark.slow
@pytest.mark.parametrize("job", JOBS)
def test_two_processes_follow_the_loss_curve_of_one_and_leave_its_artifact(given, tmp_path, job):
    spec, one, two = spec_file(tmp_path, JOBS[job]), tmp_path / "one", tmp_path / "two"
    assert main([spec, *given, str(one), "--device", "cpu"]) == 0
    said = in_two_processes("-m", "headstart.engine.launch", spec, *given, str(two), "--device", "cpu")
    alone, together = losses(one), losses(two)
    assert [each[:2] for each in together] == [each[:2] for each in alone]
    assert {each[:2] for each in alone} >= {(split, epoch) for split in ("train", "validation") for epoch in range(1, EPOCHS + 1)}
    assert alone[0][2] - alone[-1][2] > 10 * TOLERANCE  # a curve, and no line
    assert [each[2] for each in together] == pytest.approx([each[2] for each in alone], abs=TOLERANCE)
    assert said.count("Epoch 1 of 3") == 1  # one speaks for both
    ours, theirs = load_artifact(one / "artifact"), load_artifact(two / "artifact")
    for name, value in {**ours.delta, **ours.heads["sentiment"]}.items():
        other = {**theirs.delta, **theirs.heads["sentiment"]}[name]
        assert np.allclose(value, other, atol=TOLERANCE), (name, np.abs(value - other).max())
    outcomes = [json.loads((out / "outcome.json").read_text()) for out in (one, two)]
    assert outcomes[0]["cache"] == outcomes[1]["cache"]
