"""Files on their way to a prediction: judged, encoded, batched."""

from __future__ import annotations

import asyncio
import base64
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstart.client import Headstart
from headstart.client.inputs import weight, written
from headstart.client.sugar import BATCH_CHARS
from headstart.errors import BadInput
from headstart.specs.media import medium_of
from tests.client.service import Service
from tests.client.test_asynchronous import connected

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt "
BEGINNINGS = {
    PNG: "image",
    b"\xff\xd8\xff\xe0\x00\x10JFIF": "image",
    b"GIF89a\x01\x00": "image",
    b"RIFF\x1a\x00\x00\x00WEBPVP8L": "image",
    b"BM\x3e\x00\x00\x00": "image",
    b"II*\x00\x08\x00": "image",
    b"MM\x00*\x00\x00": "image",
    WAV: "audio",
    b"fLaC\x00\x00\x00\x22": "audio",
    b"OggS\x00\x02": "audio",
    b"ID3\x04\x00": "audio",
    b"\xff\xfb\x90\x64": "audio",
    b"FORM\x00\x00\x00\x2eAIFFCOMM": "audio",
    b"RIFF\x24\x00\x00\x00AVI ": None,
    b"<svg xmlns=": None,
    b"\xff\xfea\x00": None,
    b"%PDF-1.7": None,
    b"great film": None,
    b"": None,
}


def encoded(content: bytes) -> dict[str, str]:
    return {"base64": base64.b64encode(content).decode()}


@pytest.mark.parametrize(("content", "medium"), BEGINNINGS.items(), ids=repr)
def test_images_and_recordings_are_told_apart_by_their_first_bytes(content: bytes, medium: str | None):
    assert medium_of(content) == medium


@given(st.binary(max_size=20))
def test_any_bytes_are_judged_without_a_fault(content: bytes):
    assert medium_of(content) in {"image", "audio", None}


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "bird.txt"  # an ending says nothing
    path.write_bytes(PNG)
    return path


def test_bytes_paths_and_open_files_are_sent_as_base64_under_their_kind(client: Headstart, service: Service, image: Path):
    client.predict("birds", [PNG, image, io.BytesIO(WAV), "a text", {"image": image}, {"audio": WAV}, {"text": "a", "text_pair": "b"}])
    assert service.seen[0].json["inputs"] == [
        {"image": encoded(PNG)},
        {"image": encoded(PNG)},
        {"audio": encoded(WAV)},
        "a text",
        {"image": encoded(PNG)},
        {"audio": encoded(WAV)},
        {"text": "a", "text_pair": "b"},
    ]


def test_the_asynchronous_client_sends_the_same(service: Service, image: Path):
    async def work() -> None:
        async with connected(service) as client:
            await client.predict("birds", [image, WAV])

    asyncio.run(work())
    assert service.seen[0].json["inputs"] == [{"image": encoded(PNG)}, {"audio": encoded(WAV)}]


@pytest.mark.parametrize("one", [PNG, {"image": PNG}, io.BytesIO(PNG)], ids=["bytes", "object", "open file"])
def test_one_file_needs_no_brackets_on_a_handle_and_needs_them_elsewhere(client: Headstart, service: Service, one: Any):
    with pytest.raises(BadInput, match="list of inputs"):
        client.predict("birds", one)
    assert service.seen == []
    assert len(client.model("birds").predict(one).data) == 1
    assert service.seen[0].json["inputs"] == [{"image": encoded(PNG)}]


def test_a_file_that_tells_nothing_asks_for_a_word_and_is_not_sent(client: Headstart, service: Service, tmp_path: Path):
    path = tmp_path / "notes.png"
    path.write_bytes(b"just words")
    with pytest.raises(BadInput, match=r"'notes\.png' is neither an image nor a recording"):
        client.predict("birds", [path])
    with pytest.raises(BadInput, match="opened as text"):
        client.predict("birds", [io.StringIO("just words")])  # type: ignore[list-item]
    assert service.seen == []
    client.predict("birds", [{"image": path}])
    assert service.seen[0].json["inputs"] == [{"image": encoded(b"just words")}]


def test_many_files_are_read_as_they_are_sent_in_batches_that_fit_a_request(client: Headstart, service: Service, tmp_path: Path):
    content = PNG + b"\0" * (BATCH_CHARS // 4)
    paths = [tmp_path / f"{number}.png" for number in range(5)]
    for path in paths:
        path.write_bytes(content)
    answer = client.model("birds").predict(path for path in paths)
    assert [len(seen.json["inputs"]) for seen in service.seen] == [2, 2, 1]
    assert (len(answer.data), answer.usage.inputs) == (5, 5)
    assert [seen.path.split("/")[3] for seen in service.seen] == ["birds", "reviews:3", "reviews:3"]


def test_an_input_that_is_larger_than_a_batch_goes_alone(client: Headstart, service: Service):
    client.model("reviews").predict(["a", "b" * (BATCH_CHARS + 1), "c"])
    assert [len(seen.json["inputs"]) for seen in service.seen] == [1, 1, 1]


def test_what_is_written_stays_as_it_is_when_written_again():
    for each in ("a", {"image": PNG}, PNG, {"text": "a", "text_pair": "b"}):
        assert written(written(each)) == written(each)
    assert weight(written(PNG)) == len(encoded(PNG)["base64"])
