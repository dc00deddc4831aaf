"""Every operation with a path, a body that works, and the scope it needs: the table that the matrices run over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

JOB: dict[str, Any] = {
    "backbone": "minilm-l6",
    "dataset": "reviews",
    "tasks": [{"type": "text-classification", "inputs": {"text": "review"}, "target": "label"}],
}


@dataclass(frozen=True)
class Operation:
    """`{dataset}` and the like in the path are filled with ids."""

    name: str
    method: str
    path: str
    scope: str
    status: int
    json: dict[str, Any] | None = None
    files: dict[str, Any] | None = None

    @property
    def kind(self) -> str | None:
        """What the id in the path names."""
        return self.path.partition("{")[2].partition("}")[0] or None

    def arguments(self, ids: dict[str, str]) -> dict[str, Any]:
        return {"method": self.method, "url": self.path.format(**ids), "json": self.json, "files": self.files}


UPLOAD = {"name": (None, "more"), "file": ("more.csv", b"review,label\nfine,pos\n")}

OPERATIONS = [
    Operation("create_dataset", "POST", "/v1/datasets", "write", 202, files=UPLOAD),
    Operation("list_datasets", "GET", "/v1/datasets", "read", 200),
    Operation("get_dataset", "GET", "/v1/datasets/{dataset}", "read", 200),
    Operation("list_dataset_rows", "GET", "/v1/datasets/{dataset}/rows", "read", 200),
    Operation("get_dataset_profile", "GET", "/v1/datasets/{dataset}/profile", "read", 200),
    Operation("get_dataset_suggestions", "GET", "/v1/datasets/{dataset}/suggestions", "read", 200),
    Operation("list_dataset_problems", "GET", "/v1/datasets/{dataset}/problems", "read", 200),
    Operation("delete_dataset", "DELETE", "/v1/datasets/{dataset}", "write", 409),
    Operation("create_backbone", "POST", "/v1/backbones", "write", 202, json={"name": "other", "source": "demo:minilm-l6"}),
    Operation("list_backbones", "GET", "/v1/backbones", "read", 200),
    Operation("get_backbone", "GET", "/v1/backbones/{backbone}", "read", 200),
    Operation("list_backbone_layers", "GET", "/v1/backbones/{backbone}/layers", "read", 200),
    Operation("delete_backbone", "DELETE", "/v1/backbones/{backbone}", "write", 409),
    Operation("create_plan", "POST", "/v1/plans", "read", 200, json=JOB),
    Operation("create_job", "POST", "/v1/jobs", "write", 202, json=JOB),
    Operation("list_jobs", "GET", "/v1/jobs", "read", 200),
    Operation("get_job", "GET", "/v1/jobs/{job}", "read", 200),
    Operation("cancel_job", "POST", "/v1/jobs/{job}/cancel", "write", 202),
    Operation("list_job_events", "GET", "/v1/jobs/{job}/events", "read", 200),
    Operation("list_job_logs", "GET", "/v1/jobs/{job}/logs", "read", 200),
    Operation("list_job_metrics", "GET", "/v1/jobs/{job}/metrics", "read", 200),
    Operation("get_job_report", "GET", "/v1/jobs/{job}/report", "read", 404),
    Operation("list_models", "GET", "/v1/models", "read", 200),
    Operation("get_model", "GET", "/v1/models/{model}", "read", 200),
    Operation("list_model_versions", "GET", "/v1/models/{model}/versions", "read", 200),
    Operation("get_model_version", "GET", "/v1/models/{model}/versions/1", "read", 200),
    Operation("put_model_alias", "PUT", "/v1/models/{model}/aliases/prod", "write", 200, json={"version": 1}),
    Operation("delete_model_alias", "DELETE", "/v1/models/{model}/aliases/prod", "write", 404),
    Operation("delete_model", "DELETE", "/v1/models/{model}", "write", 204),
    Operation("predict", "POST", "/v1/models/{model}/predict", "read", 200, json={"inputs": ["great film"]}),
    Operation("create_key", "POST", "/v1/keys", "admin", 201, json={"name": "ci"}),
    Operation("list_keys", "GET", "/v1/keys", "admin", 200),
    Operation("get_key", "GET", "/v1/keys/{key}", "admin", 200),
    Operation("revoke_key", "DELETE", "/v1/keys/{key}", "admin", 204),
    Operation("create_workspace", "POST", "/v1/workspaces", "admin", 201, json={"name": "third"}),
    Operation("list_workspaces", "GET", "/v1/workspaces", "admin", 200),
    Operation("get_cache", "GET", "/v1/cache", "admin", 200),
    Operation("get_workspace", "GET", "/v1/workspaces/{workspace}", "admin", 200),
]
