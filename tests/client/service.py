"""A small Headstart in memory, for clients: it speaks WIRE over httpx's test transport or over a real socket."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import httpx

NOW = "2026-11-24T03:00:00.000Z"
KEY = "hs_test"
STATUSES = ("queued", "preparing", "training", "evaluating", "publishing", "succeeded")


@dataclass
class Seen:
    """One request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return unquote(urlsplit(self.target).path)

    @property
    def query(self) -> dict[str, str]:
        return {name: values[-1] for name, values in parse_qs(urlsplit(self.target).query).items()}

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Reply:
    status: int
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        return b"" if self.body is None else self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


def problem(status: int, code: str, detail: str = "No.", hint: str | None = None, errors: list[Any] | None = None, **headers: str) -> Reply:
    body = {
        "type": f"/docs/errors#{code}",
        "title": code,
        "status": status,
        "code": code,
        "detail": detail,
        "hint": hint,
        "instance": "/v1",
        "request_id": "req_1",
        "errors": errors or [],
    }
    return Reply(status, body, {"content-type": "application/problem+json"} | {k.replace("_", "-"): v for k, v in headers.items()})


def dataset(**changes: Any) -> dict[str, Any]:
    columns = [
        {"name": "text", "type": "text", "missing": 0, "distinct": 9},
        {"name": "label", "type": "category", "missing": 0, "distinct": 2},
    ]
    row = {
        "object": "dataset",
        "id": "ds_1",
        "name": "reviews",
        "version": 1,
        "status": "ready",
        "format": "csv",
        "bytes": 9,
        "sha256": "00",
    }
    more = {"mode": "strict", "rows": 9, "dropped_rows": 0, "columns": columns}
    return row | more | {"problem_count": 0, "error": None, "parent": None, "created_at": NOW} | changes


def upload(**changes: Any) -> dict[str, Any]:
    row = {"object": "upload", "id": "upl_1", "bytes": 5, "received_bytes": 0, "metadata": {}, "dataset": None}
    return row | {"created_at": NOW, "expires_at": NOW} | changes


DIFF = {
    "object": "dataset_diff",
    "dataset": "ds_2",
    "against": "ds_1",
    "key": "id",
    "columns": {
        "common": ["id", "text"],
        "added": ["label"],
        "removed": [],
        "retyped": [{"column": "id", "before": "number", "after": "text"}],
    },
    "rows": {"before": 9, "after": 10, "added": 2, "removed": 1, "changed": 1, "unchanged": 7},
    "labels": {"label": {"before": {"pos": 5}, "after": {"pos": 6, "neg": 1}}},
    "added": [9, 10],
    "removed": [3],
    "changed": [{"before": 1, "after": 1}],
    "unchanged": [{"before": 2, "after": 2}],
    "has_more": False,
    "next": None,
}


_TASK = {"name": "label", "type": "text-classification", "problem": "single-label", "inputs": {"text": "text"}, "target": "label"}
SUGGESTIONS = {
    "object": "suggestions",
    "types": [{"column": "label", "type": "category", "reason": "9 values, 2 of them different.", "confidence": 0.9}],
    "tasks": [{"task": _TASK, "reason": "2 labels in 9 rows.", "confidence": 0.85}],
    "split_column": {"column": "split", "reason": "It holds nothing else.", "confidence": 0.95},
    "group_column": None,
    "warnings": [{"code": "near_constant", "column": "label", "message": "It is the same in all rows."}],
}


def backbone(**changes: Any) -> dict[str, Any]:
    row = {"object": "backbone", "id": "bb_1", "name": "minilm-l6", "source": "demo:minilm-l6", "sha256": "00", "status": "ready"}
    more = {"modality": "text", "architecture": "BertModel", "license": "MIT", "parameters": 22713216, "bytes": 90868376, "width": 384}
    return row | more | {"layer_count": 8, "error": None, "created_at": NOW} | changes


ESTIMATE = {"preparing_seconds": 1.9, "training_seconds": 0.1, "evaluating_seconds": 0.2, "peak_memory_bytes": 9, "artifact_bytes": 9}
PLAN: dict[str, Any] = {
    "object": "plan",
    "method": "feature-extraction",
    "parent": None,
    "boundary": "encoder.layer.5",
    "cache": {"mode": "cached", "reason": "fits", "bytes": 9, "dtype": "float32", "hit_fraction": 0.0},
    "trainable": {"parameters": 0, "tensors": 0, "names": []},
    "tasks": [],
    "rows": {"train": 6, "validation": 1, "test": 2, "dropped": 0},
    "dtype": "float32",
    "batch_tokens": 4096,
    "estimate": ESTIMATE,
    "warnings": [],
}
METRICS = {"label": {"accuracy": 0.8825}}
BASELINES = {"label": {"majority": {"accuracy": 0.515}}}


def job(spec: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    task = {"type": "text-classification", "inputs": {"text": "text"}, "target": "label"}
    asked = spec or {"backbone": "minilm-l6", "dataset": "reviews", "tasks": [task]}
    row = {"object": "job", "id": "job_1", "status": "succeeded", "spec": asked, "plan": PLAN, "attempt": 1, "max_attempts": 3}
    more = {"progress": {"fraction": 1.0, "step": 1, "steps": 1, "epoch": 1, "epochs": 1}, "error": None, "created_at": NOW}
    seconds = dict.fromkeys(("queued", "preparing", "features", "training", "evaluating", "publishing"), 0.1)
    result = {"model": "reviews", "version": 3, "artifact": "art_1", "metrics": METRICS, "baselines": BASELINES}
    return row | more | {"seconds": seconds, "result": result, "started_at": NOW, "finished_at": NOW} | changes


def model(**changes: Any) -> dict[str, Any]:
    return {"object": "model", "id": "mdl_1", "name": "reviews", "latest": 3, "aliases": {"prod": 2}, "created_at": NOW} | changes


def version(number: int = 3) -> dict[str, Any]:
    task = {"name": "label", "type": "text-classification", "problem": "single-label", "inputs": ["text"], "classes": ["neg", "pos"]}
    row = {"object": "model_version", "model": "reviews", "version": number, "artifact": "art_1", "job": "job_1"}
    row |= {"backbone": "minilm-l6", "parent": None}
    return row | {"artifact_bytes": 5120, "tasks": [task], "metrics": METRICS, "created_at": NOW}


def key(**changes: Any) -> dict[str, Any]:
    row = {"object": "key", "id": "key_1", "name": "ci", "prefix": "hs_3fk9", "scopes": ["read"], "workspace": "ws_1", "created_at": NOW}
    return row | {"expires_at": None, "last_used_at": None, "revoked_at": None} | changes


WORKSPACE = {"object": "workspace", "id": "ws_1", "name": "research", "created_at": NOW}
LAYER = {
    "object": "layer",
    "name": "encoder.layer.4",
    "index": 5,
    "parameters": 1774464,
    "output": ["T", 384],
    "axes": ["T", "D"],
    "boundary": True,
}
CACHE_KEY = {
    "object": "cache_key",
    "id": "9f86",
    "workspace": "ws_1",
    "backbone": "minilm-l6",
    "backbone_sha256": "00",
    "boundary": "encoder.layer.5",
    "pooling": "mean",
    "dtype": "bfloat16",
    "storage": "float32",
    "rows": 9,
    "bytes": 90,
    "last_used_at": NOW,
}
CACHED = {"bytes": 90, "budget_bytes": 1000, "key_count": 1, "rows_computed": 9, "rows_reused": 18, "hit_rate": 0.6667}
MACHINE = {"id": "cache_1", "host": "worker-1", **CACHED, "keys": [CACHE_KEY], "started_at": NOW, "updated_at": NOW}
CACHE = {"object": "cache", **CACHED, "machines": [MACHINE]}
ROW_PROBLEM = {"row": 17, "column": None, "code": "ragged_row", "message": "Row 17 has 3 fields; the header has 2."}
ROW = {"object": "row", "row": 1, "values": {"review": "great film", "label": None}, "cut": []}
METRIC = {"object": "metric", "task": "sentiment", "split": "test", "name": "accuracy", "value": 0.88, "step": 1, "epoch": 1}
LOG = {"object": "log", "seq": 1, "attempt": 1, "at": NOW, "level": "info", "message": "Claimed by attempt 1 of 3."}
EVENT = {"object": "event", "seq": 1, "type": "status", "attempt": 1, "at": NOW, "data": {"from": "queued", "to": "preparing"}}
REPORT = {
    "object": "report",
    "job": "job_1",
    "method": "feature-extraction",
    "trainable_parameters": 770,
    "artifact_bytes": 5120,
    "tasks": {
        "label": {
            "split": "test",
            "rows": 400,
            "classes": ["neg", "pos"],
            "metrics": METRICS["label"],
            "baselines": BASELINES["label"],
            "per_class": [{"label": "neg", "precision": 0.87, "recall": 0.9, "f1": 0.88, "support": 194}],
            "confusion": [[175, 19], [28, 178]],
        }
    },
    "estimate": ESTIMATE,
    "actual": ESTIMATE,
    "cache": {"rows_computed": 9, "rows_reused": 0},
    "precision": {"dtype": "float32"},
}

PAGE = "<!doctype html><title>Bericht für job_1</title>"


def prediction(inputs: list[Any], number: int = 3) -> dict[str, Any]:
    scores = [{"label": "pos", "score": 0.97}, {"label": "neg", "score": 0.03}]
    data = [{"outputs": {"label": {"label": "pos", "score": 0.97, "scores": scores}}, "warnings": []} for _ in inputs]
    head = {"object": "prediction", "model": "reviews", "version": number, "artifact": "art_1", "backbone": "minilm-l6"}
    return head | {"backbone_sha256": "00", "data": data, "usage": {"inputs": len(inputs), "tokens": 5 * len(inputs)}}


def event(seq: int, to: str) -> dict[str, Any]:
    return EVENT | {"seq": seq, "data": {"from": None, "to": to}}


def log(seq: int, message: str = "Training begins.") -> dict[str, Any]:
    return LOG | {"seq": seq, "message": message}


def stream(*rows: dict[str, Any], end: str = "") -> Reply:
    """Rows as server-sent events, and what comes after them."""
    messages = [f"id: {row['seq']}\nevent: {row.get('type', 'log')}\ndata: {json.dumps(row)}\n\n" for row in rows]
    return Reply(200, "".join([*messages, end]).encode(), {"content-type": "text/event-stream; charset=utf-8"})


END = ": end\n\n"


def page(rows: list[Any], query: dict[str, str]) -> Reply:
    start, limit = int(query.get("after", 0)), int(query.get("limit", 20))
    more = start + limit < len(rows)
    body = {"object": "list", "data": rows[start : start + limit], "has_more": more, "next": str(start + limit) if more else None}
    return Reply(200, body)


def form(seen: Seen) -> list[tuple[str, bytes]]:
    """The parts of a multipart body, in the order they were sent."""
    head = f"Content-Type: {seen.headers['content-type']}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + seen.body)
    parts = []
    for part in message.walk():
        content = part.get_payload(decode=True)
        if isinstance(content, bytes):
            parts.append((str(part.get_param("name", header="content-disposition")), content))
    return parts


class Service:
    """Rows in dictionaries. `replies` queues answers that come first, whatever is asked; jobs move one status at each look."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.replies: list[Reply] = []
        self.datasets: list[dict[str, Any]] = []
        self.uploads: dict[str, dict[str, Any]] = {}
        self.received: dict[str, bytes] = {}
        """What came of each upload."""
        self.backbones: list[dict[str, Any]] = []
        self.jobs: dict[str, dict[str, Any]] = {}
        self.ending = "succeeded"
        self.looks_until_ready = 1
        self.has_models = True
        self._ids = itertools.count(1)
        self._lock = threading.Lock()

    def handle(self, seen: Seen) -> Reply:
        with self._lock:
            self.seen.append(seen)
            if self.replies:
                return self.replies.pop(0)
            if seen.path == "/readyz":
                return Reply(200, {"status": "ok", "database": "ok", "engine": "ready"})
            if seen.headers.get("authorization") != f"Bearer {KEY}":
                return problem(401, "unauthenticated", "The key is missing or wrong.", www_authenticate="Bearer")
            for method, pattern, name in _ROUTES:
                match = re.fullmatch(pattern, seen.path)
                if match is not None and method == seen.method:
                    reply: Reply = getattr(self, f"_{name}")(seen, *match.groups())
                    return reply
            return problem(404, "not_found", "There is no such thing.")

    def _create_dataset(self, seen: Seen) -> Reply:
        if seen.headers["content-type"] == "application/json":
            return self._from_upload(seen.json["upload"], name=seen.json["name"], format=seen.json.get("format") or "csv")
        fields = dict(form(seen))
        return self._made(fields["file"], name=fields["name"].decode(), format=fields.get("format", b"csv").decode())

    def _create_version(self, seen: Seen, parent: str) -> Reply:
        if seen.headers["content-type"] != "application/json":
            fields = dict(form(seen))
            key = fields["key"].decode() if "key" in fields else None
            return self._made(fields["file"], version=2, parent={"dataset": parent, "how": fields["how"].decode(), "key": key})
        how = next(name for name in ("append", "replace") if name in seen.json)
        told = {"dataset": parent, "how": how, "key": seen.json[how].get("key")}
        if "upload" in seen.json[how]:
            return self._from_upload(seen.json[how]["upload"], version=2, parent=told)
        return self._made(json.dumps(seen.json[how]["rows"]).encode(), version=2, parent=told)

    def _from_upload(self, upload_id: str, **changes: Any) -> Reply:
        reply = self._made(self.received[upload_id], **changes)
        self.uploads[upload_id]["dataset"] = reply.body["id"]
        return reply

    def _made(self, content: bytes, **changes: Any) -> Reply:
        looks = {"id": f"ds_{next(self._ids)}", "status": "pending", "looks": self.looks_until_ready}
        row = dataset(bytes=len(content), sha256=hashlib.sha256(content).hexdigest(), **looks | changes)
        self.datasets.insert(0, row)
        return Reply(202, _public(row))

    def _create_upload(self, seen: Seen) -> Reply:
        pairs = [pair.split(" ") for pair in seen.headers.get("upload-metadata", "").split(",") if pair]
        about = {key: b64decode(value).decode() for key, value in pairs}
        row = upload(id=f"upl_{next(self._ids)}", bytes=int(seen.headers["upload-length"]), metadata=about)
        self.uploads[row["id"]], self.received[row["id"]] = row, b""
        return Reply(201, row, {"Location": f"/v1/uploads/{row['id']}"})

    def _list_uploads(self, seen: Seen) -> Reply:
        return page([row for row in reversed(self.uploads.values()) if row["dataset"] is None], seen.query)

    def _get_upload(self, seen: Seen, name: str) -> Reply:
        return Reply(200, self.uploads[name]) if name in self.uploads else problem(404, "not_found", "There is no such upload.")

    def _patch_upload(self, seen: Seen, name: str) -> Reply:
        if int(seen.headers["upload-offset"]) != len(self.received[name]):
            return problem(409, "offset_mismatch")
        self.received[name] += seen.body
        self.uploads[name]["received_bytes"] = len(self.received[name])
        return Reply(204, None, {"Upload-Offset": str(len(self.received[name]))})

    def _diff(self, seen: Seen, _name: str) -> Reply:
        return Reply(200, DIFF)

    def _list_datasets(self, seen: Seen) -> Reply:
        return page([_public(row) for row in self.datasets], seen.query)

    def _get_dataset(self, seen: Seen, name: str) -> Reply:
        return _look(self.datasets, name)

    def _create_backbone(self, seen: Seen) -> Reply:
        row = backbone(id=f"bb_{next(self._ids)}", status="pending", looks=self.looks_until_ready, **seen.json)
        self.backbones.insert(0, row)
        return Reply(202, _public(row))

    def _list_backbones(self, seen: Seen) -> Reply:
        return page([_public(row) for row in self.backbones], seen.query)

    def _get_backbone(self, seen: Seen, name: str) -> Reply:
        return _look(self.backbones, name)

    def _delete_backbone(self, seen: Seen, name: str) -> Reply:
        self.backbones = [row for row in self.backbones if row["id"] != name]
        return Reply(204)

    def _create_plan(self, seen: Seen) -> Reply:
        return Reply(200, job(seen.json)["plan"])

    def _create_job(self, seen: Seen) -> Reply:
        row = job(seen.json, id=f"job_{next(self._ids)}", status="queued", result=None)
        self.jobs[row["id"]] = row
        return Reply(202, row, {"Location": f"/v1/jobs/{row['id']}"})

    def _list_jobs(self, seen: Seen) -> Reply:
        return page(list(self.jobs.values()), seen.query)

    def _get_job(self, seen: Seen, name: str) -> Reply:
        row = self.jobs.get(name)
        if row is None:
            return problem(404, "not_found", "There is no such job.")
        if "wait" in seen.query and row["status"] in STATUSES[:-1]:
            status = STATUSES[STATUSES.index(row["status"]) + 1]
            row |= {"status": self.ending if status == "succeeded" else status}
            row |= {"result": job()["result"] if row["status"] == "succeeded" else None}
            if row["status"] == "failed":
                row["error"] = {"code": "out_of_memory", "message": "The attempt ran out of memory.", "hint": "Take fewer tokens."}
        return Reply(200, row)

    def _cancel_job(self, seen: Seen, name: str) -> Reply:
        self.jobs[name] |= {"status": "cancelled", "result": None}
        return Reply(202, self.jobs[name])

    def _page_of(self, seen: Seen, *_names: str) -> Reply:
        rows = {
            "problems": ROW_PROBLEM,
            "layers": LAYER,
            "rows": ROW,
            "events": EVENT,
            "logs": LOG,
            "metrics": METRIC,
            "models": model(),
            "versions": version(),
        }
        return page([(rows | {"keys": key(), "workspaces": WORKSPACE})[seen.path.rsplit("/", 1)[-1]]], seen.query)

    def _profile(self, seen: Seen, _name: str) -> Reply:
        return Reply(200, {"object": "profile", "rows": 1, "dropped_rows": 0, "split_column": None, "columns": []})

    def _suggestions(self, seen: Seen, _name: str) -> Reply:
        return Reply(200, SUGGESTIONS)

    def _report(self, seen: Seen, _name: str) -> Reply:
        if seen.headers["accept"] == "text/html" and seen.query["format"] == "html":
            return Reply(200, PAGE.encode(), {"Content-Type": "text/html"})
        return Reply(200, REPORT)

    def _model(self, seen: Seen, name: str, *_alias: str) -> Reply:
        if not self.has_models and not any(row["status"] == "succeeded" for row in self.jobs.values()):
            return problem(404, "not_found", "There is no such model.")
        return Reply(200, model(name=name))

    def _version(self, seen: Seen, _name: str, number: str) -> Reply:
        return Reply(200, version(int(number)))

    def _predict(self, seen: Seen, reference: str) -> Reply:
        if len(seen.json["inputs"]) > 256:
            return problem(413, "too_many_inputs", "At most 256 inputs.")
        return Reply(200, prediction(seen.json["inputs"]))

    def _create_key(self, seen: Seen) -> Reply:
        return Reply(201, key(key="hs_3fk9secret", name=seen.json["name"]))

    def _key(self, seen: Seen, _name: str) -> Reply:
        return Reply(200, key())

    def _workspace(self, seen: Seen, *_name: str) -> Reply:
        return Reply(200, WORKSPACE)

    def _cache(self, seen: Seen) -> Reply:
        return Reply(200, CACHE)

    def _gone(self, seen: Seen, *_names: str) -> Reply:
        return Reply(204)


def _public(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "looks"}


def _look(rows: list[dict[str, Any]], name: str) -> Reply:
    for row in rows:
        if row["id"] == name:
            row["looks"] = row.get("looks", 0) - 1
            if row["status"] == "pending" and row["looks"] <= 0:
                row["status"] = "ready"
            return Reply(200, _public(row))
    return problem(404, "not_found", "There is no such row.")


_ONE = "([^/]+)"
_ROUTES: tuple[tuple[str, str, str], ...] = (
    ("POST", "/v1/datasets", "create_dataset"),
    ("GET", "/v1/datasets", "list_datasets"),
    ("POST", f"/v1/datasets/{_ONE}/versions", "create_version"),
    ("GET", f"/v1/datasets/{_ONE}/diff", "diff"),
    ("POST", "/v1/uploads", "create_upload"),
    ("GET", "/v1/uploads", "list_uploads"),
    ("GET", f"/v1/uploads/{_ONE}", "get_upload"),
    ("PATCH", f"/v1/uploads/{_ONE}", "patch_upload"),
    ("DELETE", f"/v1/uploads/{_ONE}", "gone"),
    ("GET", f"/v1/datasets/{_ONE}", "get_dataset"),
    ("GET", f"/v1/datasets/{_ONE}/rows", "page_of"),
    ("GET", f"/v1/datasets/{_ONE}/profile", "profile"),
    ("GET", f"/v1/datasets/{_ONE}/suggestions", "suggestions"),
    ("GET", f"/v1/datasets/{_ONE}/problems", "page_of"),
    ("DELETE", f"/v1/datasets/{_ONE}", "gone"),
    ("POST", "/v1/backbones", "create_backbone"),
    ("GET", "/v1/backbones", "list_backbones"),
    ("GET", f"/v1/backbones/{_ONE}", "get_backbone"),
    ("GET", f"/v1/backbones/{_ONE}/layers", "page_of"),
    ("DELETE", f"/v1/backbones/{_ONE}", "delete_backbone"),
    ("POST", "/v1/plans", "create_plan"),
    ("POST", "/v1/jobs", "create_job"),
    ("GET", "/v1/jobs", "list_jobs"),
    ("GET", f"/v1/jobs/{_ONE}", "get_job"),
    ("POST", f"/v1/jobs/{_ONE}/cancel", "cancel_job"),
    ("GET", f"/v1/jobs/{_ONE}/events", "page_of"),
    ("GET", f"/v1/jobs/{_ONE}/logs", "page_of"),
    ("GET", f"/v1/jobs/{_ONE}/metrics", "page_of"),
    ("GET", f"/v1/jobs/{_ONE}/report", "report"),
    ("GET", "/v1/models", "page_of"),
    ("GET", f"/v1/models/{_ONE}", "model"),
    ("DELETE", f"/v1/models/{_ONE}", "gone"),
    ("GET", f"/v1/models/{_ONE}/versions", "page_of"),
    ("GET", f"/v1/models/{_ONE}/versions/{_ONE}", "version"),
    ("PUT", f"/v1/models/{_ONE}/aliases/{_ONE}", "model"),
    ("DELETE", f"/v1/models/{_ONE}/aliases/{_ONE}", "gone"),
    ("POST", f"/v1/models/{_ONE}/predict", "predict"),
    ("POST", "/v1/keys", "create_key"),
    ("GET", "/v1/keys", "page_of"),
    ("GET", f"/v1/keys/{_ONE}", "key"),
    ("DELETE", f"/v1/keys/{_ONE}", "gone"),
    ("POST", "/v1/workspaces", "workspace"),
    ("GET", "/v1/workspaces", "page_of"),
    ("GET", f"/v1/workspaces/{_ONE}", "workspace"),
    ("GET", "/v1/cache", "cache"),
)


def transport(service: Service) -> httpx.MockTransport:
    """The service without a socket."""

    def answer(request: httpx.Request) -> httpx.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        reply = service.handle(Seen(request.method, request.url.raw_path.decode(), headers, request.read()))
        return httpx.Response(reply.status, headers=reply.headers, content=reply.content)

    return httpx.MockTransport(answer)


@contextmanager
def listening(service: Service) -> Iterator[str]:
    """The service on a free loopback port; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(headers.get("content-length", 0)))
            reply = service.handle(Seen(self.command, self.path, headers, body))
            if reply.status == 0:  # an answer lost on its way
                self.close_connection = True
                return
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if reply.status != 204:
                self.send_header("Content-Length", str(len(reply.content)))
            self.end_headers()
            self.wfile.write(reply.content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815 - the standard library's names

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the standard library's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
