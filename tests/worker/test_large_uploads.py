"""A million rows in the confined reader: how much memory they take, and how long."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from headstart.data.table import open_table
from tests.worker.asking import ask, start_reader

ROWS = 1_000_000
MOST_MEMORY_BYTES = 200 * 2**20
MOST_SECONDS = 120.0


def resident_bytes(pid: int, field: str) -> int:
    """`VmRSS`, what a process holds now, or `VmHWM`, the most it ever held; 0 once it is gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith(f"{field}:")), 0)


def write_rows(path: Path) -> None:
    """Reviews of some length, a label, a number, a split and several labels: each different where it can be."""
    words = ["a", "great", "dull", "film", "that", "I", "would", "not", "see", "again", "with", "anyone", "at", "all"]
    with path.open("w", encoding="utf-8") as file:
        file.write("id,review,label,price,split,topics\n")
        for row in range(ROWS):
            text = " ".join(words[(row * step) % 14] for step in range(1, 6 + row % 20))
            split = ("train", "train", "train", "validation", "test")[row % 5]
            file.write(
                f'{row},"{text}, said {row}",{("neg", "pos")[row % 2]},{row * 7 % 9973 / 100},{split},joy|{("love", "anger")[row % 2]}\n'
            )


@pytest.mark.slow
def test_a_million_rows_are_read_in_200_megabytes_more_than_an_idle_reader_has(tmp_path: Path):
    if not Path("/proc/self/status").exists():
        pytest.skip("the kernel does not tell how much memory a process holds")
    source = tmp_path / "large.csv"
    write_rows(source)
    child = start_reader()
    peak = 0
    stop = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not stop.wait(0.02):
            peak = max(peak, resident_bytes(child.pid, "VmHWM"))

    try:
        idle = resident_bytes(child.pid, "VmRSS")
        watcher = threading.Thread(target=watch)
        watcher.start()
        began = time.monotonic()
        limits = {"max_problems": 1_000, "memory_bytes": 2**31, "cpu_seconds": 900, "file_bytes": 2**34}
        message = ask(child, source, seconds=2 * MOST_SECONDS, **limits)
        seconds = time.monotonic() - began
    finally:
        stop.set()
        child.end()
    watcher.join()
    assert message is not None, "the child has ended"
    assert message["say"] == "done", message
    assert message["profile"]["rows"] == ROWS
    assert open_table(source.with_suffix(".arrow")).num_rows == ROWS
    print(f"{source.stat().st_size / 2**20:.0f} MiB, {seconds:.1f} s, {idle / 2**20:.0f} MiB idle, {(peak - idle) / 2**20:.0f} MiB more")
    assert idle > 10 * 2**20
    assert peak - idle < MOST_MEMORY_BYTES
    assert seconds < MOST_SECONDS
