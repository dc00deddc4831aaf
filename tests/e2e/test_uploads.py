"""Uploads over real processes: servers that are killed, two on one folder, and the clients that people have."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from tusclient.client import TusClient

from headstart.client import Headstart
from headstart.settings import PREFIX
from tests.e2e.service import wait_for

pytestmark = pytest.mark.slow

SIZE = 24_000_000
TUS = {"Tus-Resumable": "1.0.0"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


@dataclass
class Api:
    """A control process on a port of its own, which can be killed and started again there."""

    home: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def key(self) -> str:
        told: str = json.loads((self.home / "credentials.json").read_text())["key"]
        return told

    def start(self) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(PREFIX)}
        environment |= {"HEADSTART_HOME": str(self.home), "HEADSTART_PORT": str(self.port)}
        with open(self.home / f"log-{self.port}.txt", "ab") as log:
            self.process = subprocess.Popen([sys.executable, "-m", "app", "--role", "control"], env=environment, stdout=log, stderr=log)
        wait_for(self.answers, 60, "an API")

    def answers(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, "the API ended"
        try:
            return httpx.get(f"{self.url}/livez", timeout=2, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def end(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(30)

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {self.key}"}, timeout=30, trust_env=False)

    def file(self, url: str | None) -> Path:
        assert url is not None
        return self.home / "blobs" / "uploads" / url.rpartition("/")[2] / "file"


@contextmanager
def running(*apis: Api) -> Iterator[None]:
    try:
        for api in apis:
            api.start()
        yield
    finally:
        for api in apis:
            if api.process is not None and api.process.poll() is None:
                api.end(signal.SIGTERM)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path / "home"
    made.mkdir()
    return made


@pytest.fixture
def api(home: Path) -> Iterator[Api]:
    one = Api(home)
    with running(one):
        yield one


@pytest.fixture(scope="module")
def content() -> bytes:
    return os.urandom(SIZE)


@pytest.fixture
def file(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "reviews.csv"
    path.write_bytes(content)
    return path


def tuspy(api: Api) -> TusClient:
    return TusClient(f"{api.url}/v1/uploads", headers={"Authorization": f"Bearer {api.key}"})


@contextmanager
def a_patch(api: Api, where: str, size: int) -> Iterator[socket.socket]:
    head = [f"PATCH {where} HTTP/1.1", "Host: a", f"Authorization: Bearer {api.key}", f"Content-Length: {size}", "Upload-Offset: 0"]
    head += ["Tus-Resumable: 1.0.0", "Content-Type: application/offset+octet-stream"]
    with socket.create_connection(("127.0.0.1", api.port)) as connection:
        connection.settimeout(20)
        connection.sendall("\r\n".join([*head, "", ""]).encode())
        yield connection


def announced(api: Api, size: int) -> str:
    with api.client() as client:
        where: str = client.post("/v1/uploads", headers={**TUS, "Upload-Length": str(size)}).headers["location"]
    return where


def offset(api: Api, where: str) -> int:
    with api.client() as client:
        return int(client.head(where, headers=TUS).headers["upload-offset"])


def test_an_api_that_is_killed_in_the_middle_tells_the_truth_afterwards(api: Api, content: bytes):
    where = announced(api, SIZE)
    with a_patch(api, where, SIZE) as connection:
        connection.sendall(content[: SIZE // 2])
        wait_for(lambda: api.file(where).stat().st_size > SIZE // 4, 20, "a quarter")
        api.end(signal.SIGKILL)
    api.start()
    there = offset(api, where)
    assert SIZE // 4 < there <= SIZE // 2
    assert api.file(where).read_bytes() == content[:there]
    with api.client() as client:
        headers = {**TUS, "Upload-Offset": str(there), "Content-Type": "application/offset+octet-stream"}
        assert client.patch(where, content=content[there:], headers=headers).headers["upload-offset"] == str(SIZE)
    assert api.file(where).read_bytes() == content


def test_tuspy_goes_on_after_a_restart_of_the_api(api: Api, file: Path, content: bytes):
    with open(file, "rb") as opened:
        first = tuspy(api).uploader(file_stream=opened, chunk_size=5_000_000)
        first.upload(stop_at=10_000_000)
        api.end(signal.SIGTERM)
        api.start()
        second = tuspy(api).uploader(file_stream=opened, chunk_size=5_000_000, url=first.url)
        assert second.offset == 10_000_000
        second.upload()
    assert api.file(second.url).read_bytes() == content


def test_of_two_apis_on_one_folder_each_sees_that_the_other_is_busy(home: Path, content: bytes):
    one, other = Api(home), Api(home)
    with running(one, other):
        where = announced(one, SIZE)
        with a_patch(one, where, SIZE) as connection:
            connection.sendall(content[: SIZE // 2])
            wait_for(lambda: one.file(where).stat().st_size > SIZE // 4, 20, "a quarter")
            with other.client() as client:
                headers = {**TUS, "Upload-Offset": "0", "Content-Type": "application/offset+octet-stream"}
                began = time.monotonic()
                assert client.patch(where, content=b"x", headers=headers).status_code == 423
                assert time.monotonic() - began < 2
            one.end(signal.SIGKILL)  # whose lock goes with it
        there = offset(other, where)
        with other.client() as client:
            headers["Upload-Offset"] = str(there)
            assert client.patch(where, content=content[there:], headers=headers).status_code == 204
        assert other.file(where).read_bytes() == content


def test_our_client_goes_on_through_a_restart_and_in_a_later_process(api: Api, file: Path, content: bytes, monkeypatch: pytest.MonkeyPatch):
    from headstart.client import sending

    monkeypatch.setattr(sending, "PIECE_BYTES", 4_000_000)
    told: list[int] = []

    def tell(there: int, _whole: int) -> None:
        told.append(there)
        if there == 8_000_000 and told.count(there) == 1:
            api.end(signal.SIGKILL)
            api.start()
        if there == 16_000_000 and told.count(there) == 1:
            raise KeyboardInterrupt

    with Headstart(api.url, api.key) as client, pytest.raises(KeyboardInterrupt):
        client.send_file(file, tell=tell)
    with Headstart(api.url, api.key) as client:
        upload = client.send_file(file, tell=tell)
        assert told.count(16_000_000) == 2
        made = client.create_dataset(name="reviews", upload=upload.id)
    assert (home_file := api.home / "blobs" / "datasets" / made.id / "upload").read_bytes() == content
    assert home_file.stat().st_nlink == 1


@pytest.fixture(scope="module")
def tus_js(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with tus-js-client, as npm installs it."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("there is no node with npm on this machine")
    folder = tmp_path_factory.mktemp("npm")
    (folder / "package.json").write_text('{"private": true}')
    command = [npm, "install", "--no-audit", "--no-fund", "--prefer-offline", "tus-js-client@4"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("no npm registry answers")
    if done.returncode != 0:
        pytest.skip(f"npm cannot install tus-js-client: {done.stderr.strip().splitlines()[:1]}")
    shutil.copy(Path(__file__).with_name("tus_client.js"), folder / "run.js")
    return folder


def js(folder: Path, api: Api, file: Path, *, url: str = "", chunk: int = 5_000_000, stop: int = 0) -> subprocess.Popen[str]:
    command = ["node", "run.js", f"{api.url}/v1/uploads", api.key, str(file), url, str(chunk), str(stop)]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def said(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = process.communicate(timeout=60)
    assert out, err
    told: dict[str, Any] = json.loads(out)
    return told


def test_tus_js_client_uploads_and_goes_on_after_it_was_stopped(tus_js: Path, api: Api, file: Path, content: bytes):
    stopped = said(js(tus_js, api, file, stop=10_000_000))
    assert stopped["accepted"] >= 10_000_000
    assert api.file(stopped["url"]).stat().st_size < SIZE
    finished = said(js(tus_js, api, file, url=stopped["url"]))
    assert finished == {"url": stopped["url"]}
    assert api.file(stopped["url"]).read_bytes() == content
    with Headstart(api.url, api.key) as client:
        assert client.get_upload(stopped["url"].rpartition("/")[2]).metadata["filename"] == "reviews.csv"


def test_tus_js_client_goes_on_by_itself_through_a_restart_of_the_api(tus_js: Path, api: Api, file: Path, content: bytes):
    process = js(tus_js, api, file, chunk=2_000_000)
    assert process.stderr is not None
    for line in process.stderr:
        if int(line.split()[1]) >= 6_000_000:
            break
    api.end(signal.SIGKILL)
    api.start()
    told = said(process)
    assert "url" in told, told
    assert api.file(told["url"]).read_bytes() == content


def test_tus_js_client_waits_for_an_upload_that_is_busy(tus_js: Path, api: Api, file: Path, content: bytes):
    where = announced(api, SIZE)
    with a_patch(api, where, SIZE) as connection:
        connection.sendall(content[: SIZE // 2])
        wait_for(lambda: api.file(where).stat().st_size > SIZE // 4, 20, "a quarter")
        process = js(tus_js, api, file, url=f"{api.url}{where}")
        time.sleep(1)
        assert process.poll() is None  # told 423, and trying again
    assert "url" in said(process)
    assert api.file(where).read_bytes() == content
