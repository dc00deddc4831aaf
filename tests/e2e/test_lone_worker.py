"""API and worker on two machines: they share a database, a broker and a blob folder, and neither sees anything else of the other."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from headstart.client import Headstart
from headstart.demos import backbone_folder, default_assets_root
from tests.e2e.service import Service, kill, ready, running_service, running_worker, wait_for
from tests.e2e.test_real_parts import own_redis
from tests.store.databases import empty_database

HEADSTART = [sys.executable, "-m", "headstart.cli"]

HIDE = """
set -e
assets=$1 cache=$2 kept=$3 hidden=$4; shift 4
mkdir -p "$kept" "$hidden"
mount --bind "$assets" "$kept"
mount -t tmpfs tmpfs "$cache"
mkdir -p "$assets"
mount --bind "$kept" "$assets"
mount -t tmpfs tmpfs "$hidden"
exec "$@"
"""
"""A mount namespace in which the folder `hidden` and the user's cache are empty, but for the demo assets: another machine's view."""


NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount"]


def may_hide() -> bool:
    return shutil.which("unshare") is not None and subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode == 0


@dataclass
class Apart:
    """The two, and what they share."""

    folder: Path
    shared: dict[str, str]
    hides: bool
    """Whether the worker really cannot see the API's home; where no mount namespace may be made, it is only not told of it."""

    @property
    def api_home(self) -> Path:
        return self.folder / "api"

    @property
    def worker_home(self) -> Path:
        return self.folder / "worker"

    @property
    def roots(self) -> Path:
        return self.folder / "roots"

    def api(self) -> AbstractContextManager[Service]:
        return running_service(self.api_home, "--no-worker", "--blobs", str(self.folder / "blobs"), **self.shared)

    def worker(self, *, blobs: str = "blobs", said: str | None = None, **settings: str) -> AbstractContextManager[Service]:
        """Ready once its log has `said`, or else once its engine is there."""
        return running_worker(
            self.worker_home,
            "--blobs",
            str(self.folder / blobs),
            behind=self._hiding() if self.hides else [],
            until=Service.has_engine if said is None else lambda service: said in service.log,
            HEADSTART_BACKBONE_ROOTS=f'["{self.roots}"]',
            **self.shared,
            **settings,
        )

    def _hiding(self) -> list[str]:
        assets = default_assets_root()
        return [*NAMESPACE, "bash", "-c", HIDE, "hide", *map(str, (assets, assets.parents[1], self.folder / "kept", self.api_home))]


@contextmanager
def apart(folder: Path) -> Iterator[Apart]:
    with empty_database("postgresql", folder) as database, own_redis() as broker:
        yield Apart(folder, {"HEADSTART_DATABASE_URL": database, **broker}, may_hide())


def registered(client: Headstart, name: str, source: str) -> tuple[str, str | None]:
    """Status and code of a backbone, once a worker has looked at it."""
    client.create_backbone(name=name, source=source)
    wait_for(lambda: client.get_backbone(name).status != "pending", 60, "a judged backbone")
    seen = client.get_backbone(name)
    return seen.status, None if seen.error is None else seen.error.code


@pytest.mark.slow
def test_worker_that_cannot_see_the_api_reads_trains_and_recovers(tmp_path: Path, few_tweets: Path):
    hold = tmp_path / "hold"
    with apart(tmp_path) as two, two.api() as api, two.worker(HEADSTART_FAILPOINT=f"training={hold}") as worker, api.client() as client:
        dataset = client.upload(few_tweets, name="few")
        first = client.adapt(dataset, target="label", model="few", wait=True)
        assert first.job.seconds.queued < 5  # the doorbell was heard, not the poll
        assert client.predict("few", ["what a day"]).version == 1
        if two.hides:
            assert list(Path(f"/proc/{worker.engine_child().pid}/root{two.api_home}").iterdir()) == []
        assert {path.name for path in two.api_home.iterdir()} == {"credentials.json", "log.txt", "run"}
        assert {path.name for path in two.worker_home.iterdir()} == {"cache", "log.txt", "run"}

        hold.touch()
        second = client.adapt(dataset, target="label", model="few", layer="encoder.layer.3", pooling="max")
        wait_for(lambda: client.get_job(second.id).status == "training", 30, "a job in training")
        dead = worker.processes()
        kill(*dead)
        hold.unlink()
        assert client.get_job(second.id, wait=60).status == "succeeded"
        assert client.get_job(second.id).attempt == 2
        assert client.predict("few:2", ["what a day"]).version == 2
        assert not any(process.alive for process in dead)


@pytest.mark.slow
def test_folders_of_backbones_are_those_of_the_worker(tmp_path: Path, tweets: Path):
    shutil.copytree(backbone_folder(default_assets_root(), "minilm-l6"), tmp_path / "roots" / "mini")
    with apart(tmp_path) as two, two.api() as api, two.worker(), api.client() as client:
        assert registered(client, "mine", "path:mini") == ("ready", None)
        assert registered(client, "nowhere", "path:other") == ("invalid", "backbone_not_found")
        assert registered(client, "outside", "path:mini/../../blobs") == ("invalid", "backbone_not_found")


@pytest.mark.slow
def test_demo_backbone_that_the_worker_never_fetched_is_said_in_words(tmp_path: Path, tweets: Path):
    with apart(tmp_path) as two, two.api() as api, two.worker(HEADSTART_ASSETS=str(tmp_path / "none")), api.client() as client:
        assert registered(client, "demo", "demo:minilm-l6") == ("invalid", "unavailable")
        error = client.get_backbone("demo").error
        assert error is not None
        assert error.hint is not None
        assert "on the worker's machine" in error.hint
        assert str(tmp_path) not in f"{error.message} {error.hint}"


@pytest.mark.slow
def test_lone_worker_that_was_killed_with_its_supervision_starts_again_in_its_home(tmp_path: Path, few_tweets: Path):
    with apart(tmp_path) as two, two.api() as api, api.client() as client:
        with two.worker() as worker:
            everyone = worker.processes()
            worker.process.kill()
            wait_for(lambda: not [one for one in everyone if one.alive], 15, "the end of every process")
        with two.worker():  # the stale pid file is no hindrance
            assert client.upload(few_tweets, name="few").rows == 300


@pytest.mark.slow
def test_lone_worker_waits_until_an_api_has_used_its_database_and_its_blobs(tmp_path: Path, few_tweets: Path):
    with apart(tmp_path) as two:
        with two.worker(said="No API has started on this database yet"), two.api() as api, api.client() as client:
            assert client.upload(few_tweets, name="few").rows == 300
        with two.worker(blobs="not-mounted", said="No API on this database has used the blob folder"):
            pass
        (tmp_path / "another").mkdir()
        (tmp_path / "another" / "installation").write_text("ws_another")
        with pytest.raises(AssertionError, match="belongs to another database"), two.worker(blobs="another"):
            pass


def test_lone_worker_on_a_database_that_only_it_could_see_is_refused(tmp_path: Path):
    done = subprocess.run([*HEADSTART, "worker", "--home", str(tmp_path)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3
    assert "a worker alone makes none" in done.stderr
    assert "postgresql+psycopg://" in done.stderr
    assert not (tmp_path / "headstart.db").exists()


@pytest.mark.slow
def test_api_and_worker_apart_in_one_home_hear_each_other_and_are_stopped_together(tmp_path: Path, few_tweets: Path):
    home = tmp_path / "home"
    with running_service(home, "--no-worker") as api, running_worker(home) as worker, api.client() as client:
        assert "doorbell_is_local" in worker.log
        assert not api.find("-m worker")
        dataset = client.upload(few_tweets, name="few")
        assert client.adapt(dataset, target="label", model="few", wait=True).job.seconds.queued < 5
        subprocess.run([*HEADSTART, "down", "--home", str(home)], timeout=60, check=True)
        assert api.process.wait(10) == worker.process.wait(10) == 0
        assert not ready(home)
