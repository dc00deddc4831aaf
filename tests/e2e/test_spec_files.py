"""Two well-known programs of transfer learning, as spec files: what `examples/run_spec.py` makes of each on a real service."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from headstart.client import Headstart
from headstart.demos import backbone_folder, dataset_file, default_assets_root
from headstart.errors import Unavailable
from headstart.specs.jobs import JobSpec
from tests.e2e.service import Service

pytestmark = pytest.mark.slow  # a minute or two each

ROOT = Path(__file__).parents[2]


def run(service: Service, name: str) -> dict[str, tuple[float, float]]:
    """The metrics that it prints, each with the majority class beside it."""
    path = ROOT / "examples" / "specs" / f"{name}.json"
    spec = json.loads(path.read_text())
    try:
        backbone_folder(default_assets_root(), spec["backbone"])
        dataset_file(default_assets_root(), spec["dataset"])
    except Unavailable as error:
        pytest.skip(str(error))
    command = [sys.executable, str(ROOT / "examples" / "run_spec.py"), str(path), "--home", str(service.home)]
    done = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False, cwd=ROOT, timeout=600
    )
    assert done.returncode == 0, done.stderr
    found = re.findall(r"^  (\w+) +([0-9.]+)   (?:.*, )?majority ([0-9.]+)(?:,|$)", done.stdout, re.MULTILINE)
    return {metric: (float(value), float(majority)) for metric, value, majority in found}


def asked(client: Headstart, name: str) -> tuple[JobSpec, JobSpec]:
    """The newest job's spec, and the file's."""
    return client.list_jobs(limit=1).data[0].spec, JobSpec.model_validate_json((ROOT / "examples" / "specs" / f"{name}.json").read_bytes())


def test_bert_whose_pooler_alone_learns_tells_positive_from_negative(service: Service, client: Headstart):
    accuracy, majority = run(service, "bert")["accuracy"]
    assert accuracy > majority + 0.05
    spec, file = asked(client, "bert")
    assert spec == file.resolved()
    plan = client.list_jobs(limit=1).data[0].plan
    assert sorted(plan.trainable.names) == ["pooler.dense.bias", "pooler.dense.weight"]
    assert plan.tasks[0].classes == ["negative", "positive"]


def test_a_dense_layer_on_the_flattened_maps_of_vgg16_reads_digits(service: Service, client: Headstart):
    accuracy, majority = run(service, "vgg16")["accuracy"]
    assert accuracy > majority + 0.4
    spec, file = asked(client, "vgg16")
    assert spec == file.resolved()
    plan = client.list_jobs(limit=1).data[0].plan
    assert (plan.rows.train, plan.rows.validation, plan.rows.test) == (400, 100, 100)
    assert plan.tasks[0].head_parameters == 512 * 7 * 7 * 10 + 10
    assert plan.trainable.parameters == 0
