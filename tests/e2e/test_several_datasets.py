"""One job on two demo datasets, through a real server: planned, trained, reported and answered task by task."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from headstart.client import Headstart
from headstart.demos import dataset_file, default_assets_root
from headstart.errors import BadInput, Conflict
from headstart.specs.jobs import JobSpec
from tests.answers import chosen
from tests.e2e.conftest import cut
from tests.e2e.service import Service

TWEETS, PRODUCTS = 900, 300


def paired(source: Path, target: Path, rows: int) -> Path:
    """Sentences of product reviews, each with a claim about it that is right or wrong."""
    with open(source, newline="") as full, open(target, "w", newline="") as part:
        writer = csv.writer(part)
        writer.writerow(["sentence", "claim", "right", "opinion"])
        kept = (row for row in csv.DictReader(full) if row["label"] != "neutral")
        for number, row in zip(range(rows), kept, strict=False):
            claimed = row["label"] if number % 2 else {"positive": "negative", "negative": "positive"}[row["label"]]
            writer.writerow([row["text"], f"The review is {claimed}.", "yes" if number % 2 else "no", row["label"]])
    return target


@pytest.mark.slow
def test_tasks_of_two_datasets_learn_together_and_the_model_answers_each(client: Headstart, service: Service, tweets: Path, tmp_path: Path):
    own = client.upload(cut(tweets, tmp_path / "tweets.csv", TWEETS), name="both-tweets")
    products = client.upload(paired(dataset_file(default_assets_root(), "amazon"), tmp_path / "pairs.csv", PRODUCTS), name="both-products")
    backbone = client.ensure_backbone("demo:minilm-l6")
    kind = "text-classification"
    spec = JobSpec.model_validate(
        {
            "model": "both",
            "backbone": backbone.id,
            "dataset": "both-tweets",
            "tasks": [
                {"name": "mood", "type": kind, "inputs": {"text": "text"}, "target": "label"},
                {
                    "name": "opinion",
                    "type": kind,
                    "inputs": {"text": "claim", "text_pair": "sentence"},
                    "target": "opinion",
                    "dataset": products.id,
                },
            ],
            "method": {"type": "fine-tuning", "top_layers": 1},
            "training": {"epochs": 3, "learning_rate": 3e-4, "sampling": "balanced", "max_tokens": 64},
        }
    )
    plan = client.create_plan(spec)
    assert [task.dataset for task in plan.tasks] == ["both-tweets:1", "both-products:1"]
    assert plan.rows.train + plan.rows.validation + plan.rows.test == TWEETS + PRODUCTS
    job = client.create_job(spec)
    with pytest.raises(Conflict, match=f"Job {job.id} needs this dataset"):
        client.delete_dataset(products.id)
    client.upload(tmp_path / "tweets.csv", name="both-products")  # a newer version, of other columns: not the job's
    job = client.get_job(job.id, wait=60)
    while not job.status.terminal:
        job = client.get_job(job.id, wait=60)
    assert job.status == "succeeded", job.error
    report = client.get_job_report(job.id)
    rows = {name: (task.dataset, task.rows) for name, task in report.tasks.items()}
    assert rows["opinion"] == ("both-products:1", 60)
    assert rows["mood"][0] == "both-tweets:1"
    assert abs(rows["mood"][1] - 180) <= 1
    for task in report.tasks.values():
        assert task.metrics["accuracy"] > task.baselines["majority"]["accuracy"] + 0.1
    text = "I love this phone, best day ever!"
    assert chosen(client.predict("both", [text], tasks=["mood"]).data[0].outputs["mood"]).label == "positive"
    answer = client.predict("both", [{"text": text, "text_pair": "It broke at once and they were rude."}]).data[0]
    assert list(answer.outputs) == ["mood", "opinion"]
    with pytest.raises(BadInput, match="The tasks read different inputs"):
        client.predict("both", [text])
    (card,) = (service.home / "blobs" / "artifacts" / job.id).glob("e*/model_card.md")
    assert all(dataset.sha256 in card.read_text() for dataset in (own, products))
    version = client.get_model_version("both", 1)
    assert [task.inputs for task in version.tasks] == [["text"], ["text", "text_pair"]]
    client.delete_dataset(products.id)
