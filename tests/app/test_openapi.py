"""The document that programs are written against."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.app.service import Running

ROOT = Path(__file__).parents[2]
DOCUMENT = json.loads((ROOT / "openapi.json").read_text())
REACHED = """
import sys
import {module}
print([name for name in ("torch", "transformers", "pandas", "headstart.engine") if name in sys.modules])
"""


def test_the_committed_document_is_that_of_the_code():
    done = subprocess.run([sys.executable, "tools/openapi.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_served_document_is_the_committed_one(running: Running):
    served = httpx.get(f"{running.url}/openapi.json").json()
    assert served == DOCUMENT
    assert served["openapi"].startswith("3.1")


@pytest.mark.parametrize("module", ["app.main", "app.both", "app.__main__"])
def test_nothing_of_the_engine_is_imported_before_it_is_asked_for(module: str):
    done = subprocess.run([sys.executable, "-c", REACHED.format(module=module)], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_operation_declares_its_answer_and_its_refusals():
    for path, operations in DOCUMENT["paths"].items():
        for operation in operations.values():
            statuses = set(operation["responses"])
            assert len(statuses & {"200", "201", "202", "204"}) == 1
            if path.startswith("/v1"):
                assert statuses >= {"401", "403", "422", "500", "503"}
            assert "HTTPValidationError" not in json.dumps(operation)


def test_every_input_field_has_words_for_it():
    for name in ("JobSpec", "CreateBackbone", "CreateKey", "CreateWorkspace", "PutAlias", "Predict", "Training", "Evaluation"):
        for field, schema in DOCUMENT["components"]["schemas"][name]["properties"].items():
            assert "description" in schema or "$ref" in schema or "examples" in schema or field == "optimizer", (name, field)
