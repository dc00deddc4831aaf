"""Every method on every modality through the API, on real weights and data: each beats the trivial answer by half the way to a known baseline."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headstart.client import Headstart
from headstart.demos import default_assets_root
from tests.answers import chosen
from tests.e2e.service import running_service

pytestmark = pytest.mark.slow

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
HEAD = {"type": "linear", "solver": "lbfgs"}
METHODS: dict[str, dict[str, Any]] = {
    "features": {"type": "feature-extraction"},
    "prototype": {"type": "feature-extraction", "head": {"type": "prototype"}},
    "knn": {"type": "feature-extraction", "head": {"type": "knn", "k": 10}},
    "mlp": {"type": "feature-extraction", "head": {"type": "mlp", "hidden": [128]}},
    "top": {"type": "fine-tuning", "top_layers": 1, "head": HEAD},
    "scheduled": {"type": "fine-tuning", "top_layers": 1, "schedule": [{"epoch": 2, "top_layers": 2}], "layer_decay": 0.9, "head": HEAD},
    "bitfit": {"type": "bitfit", "top_layers": 2, "head": HEAD},
    "lora": {"type": "lora", "top_layers": 2, "head": HEAD},
}
UNFIT = {("image", "lora")}
"""A network of convolutions has no matrix product that an adapter could stand beside."""
CASES = [(modality, method) for modality in ("text", "image", "audio") for method in METHODS if (modality, method) not in UNFIT]
SETTINGS: dict[str, dict[str, Any]] = {
    "text": {
        "backbone": "minilm-l6",
        "task": {"type": "text-classification", "inputs": {"text": "text"}, "target": "label"},
        "bar": 0.667 + (0.853 - 0.667) / 2,
    },
    "image": {
        "backbone": "efficientnet-lite0",
        "task": {"type": "image-classification", "inputs": {"image": "image"}, "target": "label"},
        "bar": 0.168 + (0.74 - 0.168) / 2,
    },
    "audio": {
        "backbone": "whisper-tiny-en",
        "task": {"type": "audio-classification", "inputs": {"audio": "audio"}, "target": "digit"},
        "bar": 0.1 + (0.95 - 0.1) / 2,
    },
}


def table_of(modality: str) -> tuple[Path, dict[str, str]]:
    """The file of a modality's dataset, and its column types."""
    files = {
        "text": (default_assets_root() / "data" / "tweets-polar.csv", {"label": "category"}),
        "image": (SHARED / "trashnet_mini" / "trashnet_mini.zip", {"label": "category"}),
        "audio": (SHARED / "fsdd" / "fsdd.zip", {"digit": "category"}),
    }
    path, types = files[modality]
    if not path.exists():
        pytest.skip(f"{path.name} is not on this machine")
    return path, types


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Headstart]:
    with running_service(tmp_path_factory.mktemp("modalities")) as service, service.client() as client:
        yield client


@pytest.mark.parametrize(("modality", "method"), CASES)
def test_method_beats_the_trivial_answer_by_half_the_way_to_the_baseline(client: Headstart, modality: str, method: str):
    setting = SETTINGS[modality]
    path, types = table_of(modality)
    if not (default_assets_root() / "backbones" / setting["backbone"]).exists():
        pytest.skip(f"the demo backbone {setting['backbone']} was not fetched")
    client.ensure_backbone(f"demo:{setting['backbone']}")
    dataset = client.find_dataset(modality) or client.upload(path, name=modality, schema=types)
    evaluation = {"split_column": "split"} if modality != "text" else {}
    spec = {
        "model": f"{modality}-{method}",
        "backbone": setting["backbone"],
        "dataset": dataset.id,
        "tasks": [{"name": "answer", **setting["task"]}],
        "method": METHODS[method],
        "training": {"epochs": 10 if method == "mlp" else 2},
        "evaluation": evaluation,
    }
    job = client.create_job(spec)
    while job.status not in {"succeeded", "failed", "cancelled"}:
        job = client.get_job(job.id, wait=60)
    assert job.status == "succeeded", job.error
    assert job.result is not None
    found = job.result.metrics["answer"]["accuracy"]
    print(f"{modality} {method}: {found:.3f}, bar {setting['bar']:.3f}, {job.seconds}")
    assert found >= setting["bar"]
    answers = client.predict(f"{modality}-{method}", inputs_of(modality, path)).data
    assert len({chosen(answer.outputs["answer"]).label for answer in answers}) > 1


def inputs_of(modality: str, path: Path) -> list[Any]:
    """A few examples of the dataset, as a caller has them."""
    if modality == "text":
        return ["what a great day", "this is awful, sad and boring"]
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if name.endswith((".jpg", ".wav"))]
        return [{modality: archive.read(name)} for name in names[:: len(names) // 8]]
