"""Each kind of answer through the API, on real weights and data: it beats the trivial answer by half the way to a known baseline; and three
tasks with most of their labels missing learn together under each balancer."""

from __future__ import annotations

import csv
import json
import random
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headstart.client import Headstart
from headstart.demos import default_assets_root
from headstart.specs.jobs import Job
from headstart.specs.predictions import MultiLabel, Value
from tests.answers import as_kind
from tests.e2e.service import running_service

pytestmark = pytest.mark.slow

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
PARTS = (("train", "train"), ("dev", "validation"), ("test", "test"))
FEELINGS = ("V", "A", "D")
LINEAR = {"type": "feature-extraction", "head": {"type": "linear"}}
STEPPED = {"type": "feature-extraction", "head": {"type": "mlp", "hidden": [128]}}


def shared(*path: str) -> Path:
    found = SHARED.joinpath(*path)
    if not found.exists():
        pytest.skip(f"{found.name} is not on this machine")
    return found


def ready(client: Headstart, backbone: str) -> str:
    if not (default_assets_root() / "backbones" / backbone).exists():
        pytest.skip(f"the demo backbone {backbone} was not fetched")
    client.ensure_backbone(f"demo:{backbone}")
    return backbone


def finished(client: Headstart, spec: dict[str, Any]) -> Job:
    job = client.create_job(spec)
    while job.status not in {"succeeded", "failed", "cancelled"}:
        job = client.get_job(job.id, wait=60)
    assert job.status == "succeeded", job.error
    return job


def metrics_of(job: Job) -> dict[str, dict[str, float]]:
    assert job.result is not None
    print(job.spec.model, job.result.metrics, job.result.baselines, job.seconds)
    return job.result.metrics


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Headstart]:
    with running_service(tmp_path_factory.mktemp("problems")) as service, service.client() as client:
        yield client


def feelings(folder: Path, missing: float) -> Path:
    """Sentences with three ratings and their split; of the ratings of training rows so many are left out."""
    chance, path = random.Random(0), folder / "feelings.csv"
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", *FEELINGS, "split"])
        for part, split in PARTS:
            with open(shared("emobank", f"{part}.csv"), newline="") as source:
                for row in csv.DictReader(source):
                    kept = [row[name] if split == "test" or chance.random() >= missing else "" for name in FEELINGS]
                    if row["text"].strip():
                        writer.writerow([row["text"], *kept, split])
    return path


def of_feelings(dataset: str, **more: Any) -> dict[str, Any]:
    tasks = [{"name": name.lower(), "type": "text-classification", "inputs": {"text": "text"}, "target": name} for name in FEELINGS]
    return {"backbone": "minilm-l6", "dataset": dataset, "tasks": tasks, "evaluation": {"split_column": "split"}, **more}


def test_three_ratings_of_a_sentence_are_learnt_as_numbers(client: Headstart, tmp_path: Path):
    ready(client, "minilm-l6")
    dataset = client.upload(feelings(tmp_path, 0.0), name="feelings")
    found = metrics_of(finished(client, of_feelings(dataset.id, model="feelings", method=LINEAR)))
    for name, baseline in (("v", 0.51), ("a", 0.27), ("d", 0.25)):
        assert found[name]["pearson"] >= baseline / 2  # the mean, which never changes, has none
    answer = client.predict("feelings", ["What a wonderful, happy day!", "He died in terrible pain."]).data
    glad, sad = (as_kind(row.outputs["v"], Value).value for row in answer)
    assert 1 <= sad < glad <= 5


@pytest.mark.parametrize("balancer", ["fixed", "uncertainty", "gradnorm", "famo"])
def test_three_tasks_with_most_labels_missing_learn_under_each_balancer(client: Headstart, tmp_path: Path, balancer: str):
    ready(client, "minilm-l6")
    dataset = client.find_dataset("sparse") or client.upload(feelings(tmp_path, 0.6), name="sparse")
    training = {"epochs": 8, "balancing": {"type": balancer}, "sampling": "balanced"}
    job = finished(client, of_feelings(dataset.id, model=f"sparse-{balancer}", method=STEPPED, training=training))
    assert [warning.code for warning in job.plan.warnings].count("labels_missing") == 3
    for name, baseline in (("v", 0.51), ("a", 0.27), ("d", 0.25)):
        assert metrics_of(job)[name]["pearson"] >= baseline / 2
    told = {(metric.task, metric.name) for metric in client.list_job_metrics(job.id, limit=100).data}
    assert {(name, "weight") for name in ("v", "a", "d")} <= told


def test_feelings_of_a_comment_are_learnt_as_several_labels(client: Headstart, tmp_path: Path):
    ready(client, "minilm-l6")
    path = tmp_path / "emotions.jsonl"
    with open(path, "w") as file:
        for part, split in PARTS:
            with open(shared("goemotions", f"{part}.jsonl")) as source:
                rows = [json.loads(line) for line in source]
            file.writelines(
                json.dumps({"text": row["text"], "labels": row["labels"], "split": split}) + "\n"
                for row in rows[: 12_000 if split == "train" else None]
            )
    dataset = client.upload(path, name="emotions", schema={"labels": "categories"})
    task = {"name": "feelings", "type": "text-classification", "inputs": {"text": "text"}, "target": "labels"}
    spec = {"model": "emotions", "backbone": "minilm-l6", "dataset": dataset.id, "tasks": [task], "method": LINEAR}
    job = finished(client, {**spec, "evaluation": {"split_column": "split"}})
    assert job.plan.tasks[0].problem == "multi-label"
    assert metrics_of(job)["feelings"]["micro_f1"] >= 0.304 + (0.520 - 0.304) / 2
    answer = as_kind(client.predict("emotions", ["Thank you so much, that was very kind!"]).data[0].outputs["feelings"], MultiLabel)
    assert "gratitude" in answer.labels


def smears(folder: Path) -> Path:
    """The photos with their counts, the split in our words."""
    path = folder / "smears.zip"
    with zipfile.ZipFile(shared("bccd_counts", "bccd_counts.zip")) as source, zipfile.ZipFile(path, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            target.writestr(name, content.replace(b",val,", b",validation,") if name == "metadata.csv" else content)
    return path


def test_cells_in_a_blood_smear_are_counted_by_three_tasks(client: Headstart, tmp_path: Path):
    ready(client, "efficientnet-lite0")
    dataset = client.upload(smears(tmp_path), name="smears")
    tasks = [
        {
            "name": name,
            "type": "image-classification",
            "inputs": {"image": "image"},
            "target": f"{name}_count",
            "problem": "regression",
        }
        for name in ("rbc", "wbc", "platelet")
    ]
    method = {**LINEAR, "layers": ["blocks.2", "blocks.4"]}  # how many there are is seen below where what they are is
    spec = {"model": "smears", "backbone": "efficientnet-lite0", "dataset": dataset.id, "tasks": tasks, "method": method}
    found = metrics_of(finished(client, {**spec, "evaluation": {"split_column": "split"}}))
    assert found["rbc"]["mae"] <= 3.11 - (3.11 - 2.63) / 2


def test_digit_and_speaker_of_a_recording_are_learnt_together(client: Headstart):
    ready(client, "whisper-tiny-en")
    dataset = client.upload(shared("fsdd", "fsdd.zip"), name="spoken", schema={"digit": "category", "speaker": "category"})
    tasks = [{"name": name, "type": "audio-classification", "inputs": {"audio": "audio"}, "target": name} for name in ("digit", "speaker")]
    spec = {"model": "spoken", "backbone": "whisper-tiny-en", "dataset": dataset.id, "tasks": tasks, "method": LINEAR}
    job = finished(client, {**spec, "evaluation": {"split_column": "split"}})
    assert job.plan.relationship is not None
    assert job.plan.relationship.value == "multi-task"
    for name, trivial, baseline in (("digit", 0.1, 0.950), ("speaker", 0.17, 0.973)):
        assert metrics_of(job)[name]["accuracy"] >= trivial + (baseline - trivial) / 2
