"""A real server in this process: uvicorn on a free port over a fresh SQLite home, with a quick engine and a bell that only counts."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
from fastapi import FastAPI
from sqlalchemy import event

from app.authentication import Limits
from app.both import create_both
from app.server import Server, listen, server_config, url_of
from app.services import Services
from app.serving.engine import Loads
from app.serving.inputs import Given
from app.serving.prediction import Serving
from headstart.blobs.local import LocalBlobs
from headstart.errors import EngineFault, invalid_field
from headstart.settings import Settings
from headstart.specs.backbones import Anatomy
from headstart.specs.predictions import Classification, PredictedRow, Score
from headstart.store import datasets, keys, models, uploads
from headstart.store.database import Database
from headstart.store.migrate import migrate
from headstart.store.models import Served
from tests.store import world


class CountingBell:
    def __init__(self) -> None:
        self.rung: list[str] = []

    def ring(self, work_id: str) -> None:
        self.rung.append(work_id)

    def close(self) -> None: ...


@dataclass
class QuickModel:
    """Answers `pos` for each input; a text or a file may ask for trouble. Counts words as tokens."""

    engine: QuickEngine

    def predict(
        self, inputs: Sequence[Given], *, top_k: int | None = None, tasks: Sequence[str] | None = None
    ) -> tuple[list[PredictedRow], int]:
        read = [{name: value for name, value in given.items() if isinstance(value, str | bytes | list)} for given in inputs]
        self.engine.asked += read
        values = [value for given in read for value in given.values()]
        texts = [value for value in values if isinstance(value, str)]
        if b"broken" in values:
            raise invalid_field(f"/inputs/{values.index(b'broken')}", "The image cannot be read.", "Send a PNG.", code="bad_image")
        if "wait" in texts:
            self.engine.waiting.release()
            assert self.engine.gate.wait(20)
        if "panic" in texts or b"panic" in values:
            raise BaseException("like a panic below Python")  # noqa: TRY002
        if "damage" in texts:
            raise EngineFault("bad_data", "The artifact is damaged: a file is missing.")
        scores = [Score(label="pos", score=0.75), Score(label="neg", score=0.25)][: top_k or 2]
        row = PredictedRow(outputs={"label": Classification(label="pos", score=0.75, scores=scores)}, warnings=[])
        return [row] * len(inputs), sum(len(text.split()) for text in texts)


@dataclass
class QuickEngine:
    """The engine's interface without its arithmetic."""

    loaded: list[str] = field(default_factory=list)
    asked: list[dict[str, str | bytes | list[str]]] = field(default_factory=list)
    """Every input so far, as the engine got it."""
    gate: threading.Event = field(default_factory=threading.Event)
    waiting: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def load_backbone(self, folder: Path, anatomy: Anatomy) -> Any:
        self.loaded.append(anatomy.sha256)
        return object()

    def load_predictor(self, backbone: Any, folder: Path, parents: Sequence[Path]) -> QuickModel:
        if not folder.exists():
            raise EngineFault("bad_data", "The artifact is damaged: a file is missing.")
        self.loaded.append(folder.parent.name)
        return QuickModel(self)


@dataclass
class Running:
    """A server and whoever may ask it."""

    app: FastAPI
    services: Services
    url: str
    engine: QuickEngine
    bell: CountingBell
    workspace: str
    secrets: dict[str, str] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)

    @property
    def host(self) -> tuple[str, int]:
        name, port = self.url.removeprefix("http://").split(":")
        return name, int(port)

    def client(self, who: str | None = "admin", **options: Any) -> httpx.Client:
        headers = {} if who is None else {"Authorization": f"Bearer {self.secrets[who]}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=20, trust_env=False, **options)

    def files(self) -> list[str]:
        """Everything in the blob store below its kinds, unfinished files and empty folders included."""
        root = self.services.blobs.root
        while True:
            try:
                leaves = [path for path in root.glob("*/**/*") if path.is_file() or not any(path.iterdir())]
                return sorted(str(path.relative_to(root)) for path in leaves)
            except FileNotFoundError:  # one went while we looked: look again
                continue


@contextmanager
def running(home: Path, *, limits: Limits | None = None, engine: Callable[[], Loads] | None = None, **settings: Any) -> Iterator[Running]:
    """A server with two workspaces: `admin` (the operator), `writer` and `reader` in one, `stranger` (an admin) in the other."""
    configured = Settings(home=home, port=0, shutdown_seconds=2, **settings)
    services = Services(configured, open_database(configured), LocalBlobs(configured.blob_folder), CountingBell())
    quick = QuickEngine()
    app = create_both(services, serving=Serving(services, engine or (lambda: quick)), limits=limits)
    with services.database.write() as session:
        own, other = world.add_workspace(session, "default"), world.add_workspace(session, "other")
        people = {
            "admin": (own, ["read", "write", "admin"]),
            "writer": (own, ["read", "write"]),
            "reader": (own, ["read"]),
            "stranger": (other, ["read", "write", "admin"]),
        }
        made = {
            who: keys.create_key(session, workspace_id=where, name=who, scopes=scopes, expires_at=None, now=services.clock())  # type: ignore[arg-type]
            for who, (where, scopes) in people.items()
        }
    with serving(app, services) as url:
        bell = services.bell
        assert isinstance(bell, CountingBell)
        running_ = Running(app, services, url, quick, bell, own, {who: secret for who, (_, secret) in made.items()})
        running_.ids = {"workspace": own, "other": other, **{f"{who}_key": row.id for who, (row, _) in made.items()}}
        yield running_
    services.database.close()


@cache
def migrated() -> bytes:
    """An empty database of the newest schema: migrating for each test would take most of its time."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "template.db")
        database = Database(f"sqlite:///{path}")
        migrate(database)
        database.close()
        return path.read_bytes()


def open_database(settings: Settings) -> Database:
    """A database on which commits are atomic but need not survive a power cut."""
    path = settings.folder / "headstart.db"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(migrated())
    database = Database(settings.database)

    @event.listens_for(database.engine, "connect")
    def _quick(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA synchronous=OFF")

    return database


@contextmanager
def serving(app: FastAPI, services: Services) -> Iterator[str]:
    server = Server(server_config(app, services.settings), services)
    listening = listen(services.settings)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.005)
    try:
        yield url_of(listening, services.settings.host)
    finally:
        services.stopping.set()
        server.should_exit = True
        thread.join(10)
        listening.close()


def fill(running_: Running, who: str = "workspace") -> dict[str, str]:
    """One of each thing in a workspace; ids by kind."""
    with running_.services.database.write() as session:
        workspace = running_.ids[who]
        dataset, backbone = world.add_dataset(session, workspace), world.add_backbone(session, workspace)
        world.add_model(session, workspace, dataset=dataset, backbone=backbone)
        job = world.add_job(session, workspace, dataset=dataset, backbone=backbone, model="later")
        world.claim(session)
        served = find_served(session, workspace)
        upload = world.add_upload(session, workspace, expires_at=running_.services.clock() + timedelta(days=1))
        ids = {"dataset": dataset.id, "backbone": backbone.id, "job": job.id, "model": model_id(session, workspace), "upload": upload.id}
    folder = running_.services.blobs.path(served.artifact_blob)
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")
    with running_.services.blobs.write(uploads.file_key(ids["upload"])):
        pass
    write_table(running_.services.blobs.path(datasets.table_key(ids["dataset"], 0)))
    return ids


def add_model(running_: Running, name: str, *inputs: str) -> None:
    """One more model in the first workspace, which reads `inputs`; `fill` comes first."""
    task = world.TASK.model_copy(update={"inputs": list(inputs)})
    with running_.services.database.write() as session:
        world.add_model(session, running_.workspace, name=name, task=task)
        served = models.find_served(session, running_.workspace, name)
    assert served is not None
    running_.services.blobs.path(served.artifact_blob).mkdir(parents=True)


def write_table(path: Path) -> None:
    """What reading two reviews would have left."""
    table = pa.table(
        {"review": ["great film", "x" * 3000], "label": ["pos", None]}, schema=pa.schema([("review", pa.string()), ("label", pa.string())])
    )
    path.parent.mkdir(parents=True)
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table)


def find_served(session: Any, workspace: str) -> Served:
    served = models.find_served(session, workspace, "reviews")
    assert served is not None
    return served


def model_id(session: Any, workspace: str) -> str:
    return models.get_model(session, workspace, "reviews").id


def problem(response: httpx.Response) -> dict[str, Any]:
    """A problem without what differs from request to request."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    body: dict[str, Any] = response.json()
    assert body["request_id"] == response.headers["x-request-id"]
    assert body["status"] == response.status_code
    return {key: value for key, value in body.items() if key not in {"request_id", "instance"}}
