"""What a transfer is worth: from scratch, from the public backbone, and from one's own model, on the same few rows."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest

from headstart.client import Headstart
from headstart.demos import dataset_file, default_assets_root
from tests.answers import chosen

FEW = {"test_size": 0.9, "validation_size": 0.03}
"""Of some 3,270 tweets 228 train and 2,941 test."""


def polar(name: str, rows: int, target: Path) -> Path:
    """The texts of a demo dataset that are for or against, from its first `rows`."""
    with open(dataset_file(default_assets_root(), name), newline="") as full, open(target, "w", newline="") as part:
        reader, writer = csv.reader(full), csv.writer(part)
        writer.writerow(next(reader))
        writer.writerows(row for number, row in enumerate(reader) if number < rows and row[3] != "neutral")
    return target


@pytest.mark.slow
def test_own_model_on_much_data_helps_a_small_target_more_than_the_public_backbone_and_that_more_than_nothing(
    client: Headstart, tweets: Path, tmp_path: Path
):
    source = client.upload(polar("film", 6000, tmp_path / "film.csv"), name="source")
    target = client.upload(polar("tweets", 4000, tmp_path / "tweets.csv"), name="target")
    tuning = {"type": "fine-tuning", "top_layers": 3}
    client.adapt(source, target="label", model="source", method=tuning, training={"epochs": 2}, wait=True)

    def accuracy(model: str, **start: Any) -> float:
        report = client.adapt(target, target="label", model=model, evaluation=FEW, wait=True, **start).report().tasks["label"]
        assert report.rows > 2900
        return report.metrics["accuracy"]

    scratch = accuracy("scratch", init="random", method={"type": "fine-tuning", "trainable": ["*"]}, training={"epochs": 6})
    public = accuracy("public")
    own = accuracy("own", backbone="source:1")
    print(f"from scratch {scratch:.3f}, from the public backbone {public:.3f}, from one's own model {own:.3f}")
    assert scratch + 0.10 < public
    assert public + 0.01 < own
    version = client.get_model_version("own", 1)
    assert version.parent == "source:1"
    assert version.artifact_bytes < 20_000  # its head alone: what it stands on is kept once
    client.delete_model("source")
    assert [chosen(answer.outputs["label"]).label for answer in client.predict("own", ["I love it", "I hate it"]).data] == [
        "positive",
        "negative",
    ]
