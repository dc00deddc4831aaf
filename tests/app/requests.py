"""Every operation with a path, a body that works, and the scope it needs: the table that the matrices run over."""

from __future__ import annotations

from dataclasses import dataclass, field
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
    content: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def kind(self) -> str | None:
        """What the id in the path names."""
        return self.path.partition("{")[2].partition("}")[0] or None

    def arguments(self, ids: dict[str, str], **headers: str) -> dict[str, Any]:
        sent = {"json": self.json, "files": self.files, "content": self.content}
        return {"method": self.method, "url": self.path.format(**ids), "headers": self.headers | headers, **sent}


UPLOAD = {"name": (None, "more"), "file": ("more.csv", b"review,label\nfine,pos\n")}

TUS = {"Tus-Resumable": "1.0.0"}
BYTES = TUS | {"Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}

OPERATIONS = [
    Operation("create_dataset", "POST", "/v1/datasets", "write", 202, files=UPLOAD),
    Operation("list_datasets", "GET", "/v1/datasets", "read", 200),
    Operation("get_dataset", "GET", "/v1/datasets/{dataset}", "read", 200),
    Operation("list_dataset_rows", "GET", "/v1/datasets/{dataset}/rows", "read", 200),
    Operation("get_dataset_profile", "GET", "/v1/datasets/{dataset}/profile", "read", 200),
    Operation("get_dataset_suggestions", "GET", "/v1/datasets/{dataset}/suggestions", "read", 200),
    Operation("list_dataset_problems", "GET", "/v1/datasets/{dataset}/problems", "read", 200),
    Operation("delete_dataset", "DELETE", "/v1/datasets/{dataset}", "write", 409),
    Operation(
        "create_dataset_version", "POST", "/v1/datasets/{dataset}/versions", "write", 202, json={"append": {"rows": [{"label": "neg"}]}}
    ),
    Operation("get_dataset_diff", "GET", "/v1/datasets/{dataset}/diff?against=reviews", "read", 200),
    Operation("create_upload", "POST", "/v1/uploads", "write", 201, headers=TUS | {"Upload-Length": "5"}),
    Operation("list_uploads", "GET", "/v1/uploads", "read", 200),
    Operation("get_upload", "GET", "/v1/uploads/{upload}", "read", 200),
    Operation("patch_upload", "PATCH", "/v1/uploads/{upload}", "write", 204, content=b"12345", headers=BYTES),
    Operation("delete_upload", "DELETE", "/v1/uploads/{upload}", "write", 204, headers=TUS),
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
