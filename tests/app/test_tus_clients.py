"""tuspy, unchanged, against this service."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO

import httpx
import pytest
from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError, TusUploadFailed
from tusclient.storage.filestorage import FileStorage

from tests.app.service import Running
from tests.app.test_uploads import CONTENT, announced, file_of, sending, until


@pytest.fixture
def tus(running: Running) -> TusClient:
    return TusClient(f"{running.url}/v1/uploads", headers={"Authorization": f"Bearer {running.secrets['writer']}"})


@pytest.fixture
def file(tmp_path: Path) -> Iterator[BinaryIO]:
    path = tmp_path / "reviews.csv"
    path.write_bytes(CONTENT)
    with open(path, "rb") as opened:
        yield opened


def where(url: str | None) -> str:
    assert url is not None
    return url[url.index("/v1/") :]


@pytest.mark.parametrize("chunk_size", [None, 700_000])
def test_a_file_is_uploaded_and_becomes_a_dataset(
    running: Running, writer: httpx.Client, tus: TusClient, file: BinaryIO, chunk_size: int | None
):
    chunks = {} if chunk_size is None else {"chunk_size": chunk_size}
    uploader = tus.uploader(file_stream=file, metadata={"filename": "reviews.csv"}, **chunks)
    uploader.upload()
    assert file_of(running, where(uploader.url)).read_bytes() == CONTENT
    made = writer.post("/v1/datasets", json={"name": "reviews", "upload": where(uploader.url).rpartition("/")[2]})
    assert (made.status_code, made.json()["format"], made.json()["bytes"]) == (202, "csv", len(CONTENT))


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # tuspy's own, of the file that it opens by its path
def test_an_upload_that_was_interrupted_is_resumed_by_its_stored_address(running: Running, tus: TusClient, file: BinaryIO, tmp_path: Path):
    urls = []
    with closing(FileStorage(str(tmp_path / "urls.json"))) as storage:
        for begins_at, stop_at in ((0, 1_500_000), (1_500_000, None)):
            uploader = tus.uploader(file.name, chunk_size=1_000_000, store_url=True, url_storage=storage)
            assert (uploader.offset or 0) == begins_at
            uploader.upload(stop_at)
            urls.append(where(uploader.url))
    assert urls[0] == urls[1]
    assert file_of(running, urls[0]).read_bytes() == CONTENT


def test_a_client_that_meets_a_busy_upload_is_told_423_and_succeeds_by_trying_again(running: Running, writer: httpx.Client, tus: TusClient):
    place = announced(writer, len(CONTENT))
    with sending(running, place, len(CONTENT)) as slow:
        slow.sendall(CONTENT[:1_500_000])
        until(lambda: file_of(running, place).stat().st_size > 0)
        refused = tus.uploader(file_stream=io.BytesIO(CONTENT), url=f"{running.url}{place}")
        with pytest.raises(TusUploadFailed) as caught:
            refused.upload()
        assert caught.value.status_code == 423
        later = tus.uploader(file_stream=io.BytesIO(CONTENT), url=f"{running.url}{place}", retries=50, retry_delay=0.05)
        thread = threading.Thread(target=later.upload)
        thread.start()
    thread.join(20)  # the slow one hung up
    assert file_of(running, place).read_bytes() == CONTENT


def test_refusals_reach_the_client_as_its_own_errors(running: Running, tus: TusClient):
    stranger = TusClient(f"{running.url}/v1/uploads", headers={"Authorization": "Bearer hs_nobody"})
    with pytest.raises(TusCommunicationError) as caught:
        stranger.uploader(file_stream=io.BytesIO(b"x")).upload()
    assert caught.value.status_code == 401
    with pytest.raises(TusCommunicationError) as gone:
        tus.uploader(file_stream=io.BytesIO(b"x"), url=f"{running.url}/v1/uploads/upl_{'0' * 26}")
    assert gone.value.status_code == 404


def test_an_empty_file_and_odd_names_are_taken(running: Running, writer: httpx.Client, tus: TusClient):
    uploader = tus.uploader(file_stream=io.BytesIO(b""), metadata={"filename": "数据 (1),2.csv", "note": "a,b c"})
    uploader.upload()
    shown = writer.get(where(uploader.url)).json()
    assert (shown["bytes"], shown["metadata"]) == (0, {"filename": "数据 (1),2.csv", "note": "a,b c"})
    assert os.path.getsize(file_of(running, where(uploader.url))) == 0  # noqa: PTH202
