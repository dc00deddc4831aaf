"""Children: they end with their supervisor, and the one that reads uploads can do nothing else."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from headstart.data.table import open_table
from headstart.settings import child_environment
from tests.data.media_files import archive, image, recording
from tests.data.parquet_files import repeating, written
from tests.data.test_compression import arrow, packed
from tests.worker.asking import ask, hear, start_reader
from worker.process import ChildProcess

SECONDS = 30.0


@pytest.fixture
def reader() -> Iterator[ChildProcess]:
    child = start_reader()
    yield child
    child.end()


def write(tmp_path: Path, name: str, content: bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(content)
    return path


def test_good_file_becomes_a_table_and_the_reader_ends(reader: ChildProcess, tmp_path: Path):
    message = ask(reader, write(tmp_path, "a.csv", b"text,label\na,x\nb,y\n"))
    assert message is not None
    assert message["profile"]["rows"] == 2
    assert (tmp_path / "a.arrow").exists()
    assert hear(reader) is None
    assert reader.exit_status() == 0


REPEATED = pa.DictionaryArray.from_arrays(pa.array([0] * 1_000, pa.int32()), pa.array(["x" * 3_000_000]))


def lying(size: int) -> bytes:
    """A compressed buffer of texts that says it unpacks to another size than it does."""
    sink, table = io.BytesIO(), pa.table({"a": ["x" * 77_777]})
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)
    frame = b"\x28\xb5\x2f\xfd"
    said = struct.pack("<q", 77_777) + frame
    assert sink.getvalue().count(said) == 1
    return sink.getvalue().replace(said, struct.pack("<q", size) + frame)


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("deep.jsonl", b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}\n", "too_deep"),
        ("ragged.csv", b"a,b\n1\n", "ragged_row"),
        ("latin.csv", b"a,b\n\xe9,1\n", "not_utf8"),
        ("cut.parquet", written({"a": ["x"]})[:-20], "parquet_corrupt"),
        ("gigabytes.parquet", repeating(100_000, 10_000, 5), "decoded_too_large"),
        ("cut.zip", archive({"a/1.png": image(1), "b/2.png": image(2)})[:-5], "archive_corrupt"),
        ("zeros.zip", archive({"a/1.png": b"\0" * 10**8, "b/2.png": image(2)}, zipfile.ZIP_DEFLATED), "archive_bomb"),
        ("pixels.zip", archive({"a/1.png": image(1, (9_000, 9_000)), "b/2.png": image(2)}), "image_too_large"),
        ("memory.parquet", repeating(3_000_000, 1_000, 1, store_schema=False), "decoded_too_large"),
        ("zeros.csv", packed(b"0\n" * 5 * 10**7, "zstd"), "decoded_too_large"),
        ("cut.csv", packed(b"a,b\n1,2\n", "gzip")[:-3], "compression_corrupt"),
        ("cut.arrow", arrow({"a": ["x"]})[:-20], "arrow_corrupt"),
        ("memory.arrow", arrow({"a": REPEATED}), "decoded_too_large"),
        ("lying.arrow", lying(2**40), "decoded_too_large"),
        ("negative.arrow", lying(-7), "arrow_corrupt"),
    ],
)
def test_hostile_file_gets_words_and_leaves_no_table(reader: ChildProcess, tmp_path: Path, name: str, content: bytes, code: str):
    path = write(tmp_path, name, content)
    message = ask(reader, path)
    assert message is not None
    assert (message["say"], message["failure"]["code"]) == ("failed", code)
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_good_parquet_file_becomes_a_table_in_the_reader(reader: ChildProcess, tmp_path: Path):
    message = ask(reader, write(tmp_path, "a.parquet", written({"text": ["a", "b"], "words": [["x"], None], "score": [0.5, None]})))
    assert message is not None
    assert [(column["name"], column["missing"]) for column in message["profile"]["columns"]] == [("text", 0), ("words", 1), ("score", 1)]


@pytest.mark.parametrize("name", ["image", "audio"])
def test_large_files_in_an_archive_become_a_table_in_the_reader(reader: ChildProcess, tmp_path: Path, name: str):
    if name == "image":
        files = [image(60 * number, (6_000, 6_000), "JPEG") for number in range(4)]
    else:
        files = [recording(number, 60, 48_000, kind) for number, kind in enumerate(["WAV", "FLAC", "OGG", "MP3"])]
    message = ask(reader, write(tmp_path, "a.zip", archive({f"{number % 2}/{number}": file for number, file in enumerate(files)})))
    assert message is not None
    assert message["say"] == "done", message
    assert [(column["name"], column["distinct"]) for column in message["profile"]["columns"]] == [(name, 4), ("label", 2)]
    assert open_table(tmp_path / "a.arrow").column(name).to_pylist() == files


def test_table_larger_than_allowed_is_disk_full_and_leaves_no_table(reader: ChildProcess, tmp_path: Path):
    rows = b"".join(b"%d,%d\n" % (n, n) for n in range(50_000))
    message = ask(reader, write(tmp_path, "large.csv", b"a,b\n" + rows), file_bytes=10_000)
    assert message is not None
    assert message["failure"]["code"] == "disk_full"
    assert [entry.name for entry in tmp_path.iterdir()] == ["large.csv"]


def test_child_ends_when_its_line_closes(reader: ChildProcess):
    reader.socket.close()
    for _ in range(int(SECONDS * 20)):
        if reader._process.poll() is not None:
            return
        time.sleep(0.05)
    pytest.fail("the child lives on without a supervisor")


def test_child_ends_when_its_supervisor_is_killed():
    script = (
        "import sys, time; from worker.process import ChildProcess; from headstart.settings import child_environment\n"
        "child = ChildProcess('reader', child_environment(computes=False) | {'PYTHONPATH': sys.argv[1]})\n"
        "print(child.pid, flush=True); time.sleep(60)"
    )
    root = str(Path(__file__).parents[2])
    supervisor = subprocess.Popen([sys.executable, "-c", script, root], stdout=subprocess.PIPE, text=True, cwd=root)
    assert supervisor.stdout is not None
    with supervisor.stdout:
        child = int(supervisor.stdout.readline())
        supervisor.kill()
        supervisor.wait()
    for _ in range(int(SECONDS * 20)):
        try:
            os.kill(child, 0)
            if Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return
        except (ProcessLookupError, FileNotFoundError):
            return
        time.sleep(0.05)
    pytest.fail("the child lives on without a supervisor")


def test_child_sees_no_setting_and_no_secret():
    environment = child_environment(computes=True)
    assert not [name for name in environment if name.startswith("HEADSTART_")]
    assert environment["HF_HUB_OFFLINE"] == "1"
