"""Adaptation beside transformers' `Trainer`: seconds on 2,000 tweets, accuracy on banking77.

    python -m benchmarks.fine_tuning speed [--pairs 5] [--only head|top2|full]
    python -m benchmarks.fine_tuning accuracy TRAIN.csv TEST.csv [--rows 4500] [--seeds 5] [--only head|top2|full]

Each pair is a job through the whole service, its child warm and its feature cache empty (a workspace of its own), and `Trainer.train()` in a
process of its own on the same rows: 2,000 to train, 100 to validate, 100 to test. A job's seconds are `preparing + training`.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.common import service, spread
from headstart.client import Headstart
from headstart.demos import backbone_folder, dataset_file, default_assets_root
from headstart.engine import hardware

BACKBONE = backbone_folder(default_assets_root(), "minilm-l6")
SETTINGS: dict[str, tuple[int, dict[str, Any]]] = {
    "head": (10, {"type": "feature-extraction"}),
    "top2": (3, {"type": "fine-tuning", "top_layers": 2}),
    "full": (3, {"type": "fine-tuning", "trainable": ["*"]}),
}
"""Epochs and method; a head that is solved has no epochs."""


def fresh_client(home: Path, name: str) -> Headstart:
    """A client of a workspace of its own, whose feature cache is empty."""
    with Headstart(home=home) as admin:
        workspace = admin.create_workspace(name=name)
        key = admin.create_key(name=name, scopes=["read", "write"], workspace=workspace.id).key
        return Headstart(url=admin.url, key=key)


def ours(home: Path, table: Path, setting: str, seed: int) -> dict[str, float]:
    epochs, method = SETTINGS[setting]
    with fresh_client(home, f"{setting}-{seed}") as client:
        dataset = client.upload(table, name="table")
        options: dict[str, Any] = {"method": method, "training": {"epochs": epochs, "seed": seed}, "evaluation": {"split_column": "split"}}
        job = client.adapt(dataset, target="label", model="model", backbone="demo:minilm-l6", **options).wait(progress=False)
        report = client.get_job_report(job.id)
    return {"seconds": job.seconds.preparing + job.seconds.training, "accuracy": report.tasks["label"].metrics["accuracy"]}


def theirs(table: Path, setting: str, seed: int) -> dict[str, float]:
    epochs, _ = SETTINGS[setting]
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.peers.trainer", str(table), str(BACKBONE)]
    command += ["--train", setting, "--epochs", str(epochs), "--seed", str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return told


def write_table(path: Path, parts: dict[str, list[tuple[str, str]]]) -> Path:
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "label", "split"])
        writer.writerows((text, label, split) for split, rows in parts.items() for text, label in rows)
    return path


def tweets(path: Path) -> Path:
    with open(dataset_file(default_assets_root(), "tweets"), newline="") as file:
        rows = [(row["text"], row["label"]) for row in csv.DictReader(file)]
    random.Random(0).shuffle(rows)
    return write_table(path, {"train": rows[:2000], "validation": rows[2000:2100], "test": rows[2100:2200]})


def banking77(path: Path, train: Path, test: Path, rows: int | None, seed: int) -> Path:
    """Its own split; of the training rows as many as are wanted, drawn by the seed, and a tenth of those validates."""
    parts = []
    for source in (train, test):
        with open(source, newline="") as file:
            parts.append([(row["text"], row["category"]) for row in csv.DictReader(file)])
    random.Random(seed).shuffle(parts[0])
    parts[0] = parts[0][:rows]
    held = len(parts[0]) // 10
    return write_table(path, {"train": parts[0][held:], "validation": parts[0][:held], "test": parts[1]})


def speed(settings: list[str], pairs: int) -> None:
    print(hardware.measure().model_dump_json())
    print("| setting | Trainer, s | Headstart, s | ratio |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name, service(Path(name)) as home:
        table = tweets(Path(name, "tweets.csv"))
        ours(home, table, "head", 999)  # the child and its backbone are warm from here on
        for setting in settings:
            found = []
            for seed in range(pairs):
                found.append((theirs(table, setting, seed)["seconds"], ours(home, table, setting, seed)["seconds"]))
                print(setting, found[-1], file=sys.stderr, flush=True)
            columns = [list(column) for column in zip(*found, strict=True)]
            ratios = [one / other for one, other in found]
            print(f"| {setting} | {spread(columns[0])} | {spread(columns[1], 2)} | {spread(ratios)} |", flush=True)


def accuracy(settings: list[str], train: Path, test: Path, rows: int | None, seeds: int) -> None:
    print("| setting | Trainer | Headstart | difference of means, points |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name, service(Path(name)) as home:
        for setting in settings:
            found = []
            for seed in range(seeds):
                table = banking77(Path(name, "banking77.csv"), train, test, rows, seed)
                found.append((theirs(table, setting, seed)["accuracy"], ours(home, table, setting, seed)["accuracy"]))
                print(setting, found[-1], file=sys.stderr, flush=True)
            means = [statistics.mean(column) for column in zip(*found, strict=True)]
            ranges = [
                f"{mean:.4f} ({min(column):.4f} – {max(column):.4f})" for mean, column in zip(means, zip(*found, strict=True), strict=True)
            ]
            print(f"| {setting} | {ranges[0]} | {ranges[1]} | {100 * (means[1] - means[0]):+.2f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_subparsers(dest="what", required=True)
    fast, right = what.add_parser("speed"), what.add_parser("accuracy")
    right.add_argument("train", type=Path)
    right.add_argument("test", type=Path)
    right.add_argument("--rows", type=int, help="training rows to draw (default: all)")
    for each, count in ((fast, "--pairs"), (right, "--seeds")):
        each.add_argument(count, type=int, default=5)
        each.add_argument("--only", choices=SETTINGS, action="append")
    given = parser.parse_args()
    settings = given.only or list(SETTINGS)
    if given.what == "speed":
        speed(settings, given.pairs)
    else:
        accuracy(settings, given.train, given.test, given.rows, given.seeds)


if __name__ == "__main__":
    main()
