"""Fine-tuning through the API: planned, trained from the boundary, published as a delta, answered."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from headstart.client import Headstart
from headstart.errors import BadInput
from tests.answers import chosen
from tests.e2e.service import Service

TASK = {"name": "label", "type": "text-classification", "inputs": {"text": "text"}, "target": "label"}


def spec_for(dataset: str, method: dict[str, Any], **training: Any) -> dict[str, Any]:
    return {"model": "tuned", "backbone": "minilm-l6", "dataset": dataset, "tasks": [TASK], "method": method, "training": training}


@pytest.fixture
def dataset(client: Headstart, few_tweets: Path) -> str:
    client.ensure_backbone("demo:minilm-l6")
    found = client.find_dataset("tuning") or client.upload(few_tweets, name="tuning")
    return found.id


@pytest.mark.parametrize(
    "method",
    [
        {"type": "fine-tuning", "top_layers": 1},
        {"type": "fine-tuning", "trainable": ["encoder.layer.5.output.*"], "head": {"type": "mlp", "hidden": [32]}},
        {"type": "feature-extraction", "head": {"type": "linear", "solver": None}},
    ],
    ids=["top layer", "pattern and mlp", "stepped head"],
)
def test_job_carries_out_the_plan_that_was_shown(client: Headstart, dataset: str, method: dict[str, Any]):
    spec = spec_for(dataset, method, epochs=2)
    plan = client.create_plan(spec)
    job = client.create_job(spec)
    assert job.plan == plan
    assert job.spec.training.learning_rate is not None
    done = client.get_job(job.id, wait=60)
    assert done.status == "succeeded", done.error
    report = client.get_job_report(job.id)
    assert report.trainable_parameters == plan.trainable.parameters + plan.tasks[0].head_parameters
    assert abs(report.artifact_bytes - plan.estimate.artifact_bytes) < 20_000
    answers = client.predict("tuned", ["what a day", "no"]).data
    assert all(0 < chosen(answer.outputs["label"]).score <= 1 for answer in answers)


@pytest.mark.parametrize(
    ("method", "training", "code", "pointer"),
    [
        ({"type": "fine-tuning", "trainable": ["nothing.*"]}, {}, "no_parameters_matched", "/method/trainable/0"),
        ({"type": "fine-tuning", "frozen": ["*"]}, {}, "no_parameters_matched", "/method/frozen"),
        ({"type": "fine-tuning", "top_layers": 2, "frozen": ["*"]}, {}, "invalid_field", "/method"),
        ({"type": "fine-tuning", "top_layers": 2}, {"learning_rate": 0}, "invalid_field", "/training/learning_rate"),
        ({"type": "fine-tuning", "top_layers": 2}, {"learning_rate": 1e10}, "invalid_field", "/training/learning_rate"),
        ({"type": "fine-tuning", "top_layers": 2}, {"epochs": 10**9}, "invalid_field", "/training/epochs"),
        ({"type": "fine-tuning", "top_layers": 2, "layer": "pooler"}, {}, "unknown_field", "/method/layer"),
        ({"type": "prompt-tuning"}, {}, "invalid_field", "/method/type"),
    ],
)
def test_plan_and_job_refuse_alike(client: Headstart, dataset: str, method, training, code: str, pointer: str):
    for ask in (client.create_plan, client.create_job):
        with pytest.raises(BadInput) as refused:
            ask(spec_for(dataset, method, **training))
        assert (refused.value.code, refused.value.faults[0].pointer) == (code, pointer)


def test_plan_starts_nothing(client: Headstart, service: Service, dataset: str):
    before = len(client.list_jobs(limit=100).data)
    client.create_plan(spec_for(dataset, {"type": "fine-tuning", "trainable": ["*"]}))
    assert len(client.list_jobs(limit=100).data) == before
    assert httpx.get(f"{service.url}/livez", trust_env=False).status_code == httpx.codes.OK


@pytest.mark.slow
def test_scratch_and_transfer_stand_beside_each_other(client: Headstart, tweets: Path):
    """The same architecture, data, split and steps; only where the parameters start differs."""
    client.ensure_backbone("demo:minilm-l6")
    dataset = (client.find_dataset("beside") or client.upload(tweets, name="beside")).id
    accuracy = {}
    for init in ("random", "pretrained"):
        spec = spec_for(dataset, {"type": "fine-tuning", "trainable": ["*"]}, epochs=1, max_tokens=48) | {"init": init}
        job = client.create_job(spec)
        done = client.get_job(job.id, wait=60)
        while not done.status.terminal:
            done = client.get_job(job.id, wait=60)
        assert done.result is not None, done.error
        accuracy[init] = done.result.metrics["label"]["accuracy"]
    assert accuracy["pretrained"] > accuracy["random"] + 0.05, accuracy
