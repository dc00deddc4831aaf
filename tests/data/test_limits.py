"""The child process in which uploads are read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

ATTEMPTS = {
    "connect": ("import socket; socket.socket().connect(('127.0.0.1', 9))", "PermissionError"),
    "bind": ("import socket; socket.socket().bind(('127.0.0.1', 0))", "PermissionError"),
    "look up a name": ("import socket; socket.getaddrinfo('localhost', 80)", "PermissionError"),
    "start a process": ("import subprocess; subprocess.run(['true'])", "PermissionError"),
    "run a shell": ("import os; os.system('true')", "PermissionError"),
    "fork": ("import os; os.fork()", "PermissionError"),
    "unpickle a class": ("import pickle; pickle.loads(b'cbuiltins\\nprint\\n.')", "PermissionError"),
    "take memory": ("bytearray(2**31)", "MemoryError"),
    "write a large file": ("open(folder + '/large', 'wb').write(b'x' * 2**21)", "File too large"),
    "open many files": ("files = [open('/dev/null') for _ in range(100)]", "Too many open files"),
}


def run_confined(code: str, folder: Path) -> subprocess.CompletedProcess[str]:
    program = f"from headstart.data.limits import confine\nfolder = {str(folder)!r}\nconfine(2**30, 5, 2**20, 64)\n{code}\nprint('done')\n"
    return subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_a_confined_process_cannot(attempt, tmp_path):
    code, error = ATTEMPTS[attempt]
    ended = run_confined(code, tmp_path)
    assert ended.returncode == 1
    assert error in ended.stderr


def test_a_confined_process_can_read_an_upload(tmp_path):
    (tmp_path / "a.csv").write_text("text,label\n" + "a,b\n" * 1000)
    ended = run_confined(
        "from pathlib import Path\nfrom headstart.data.reading import read_dataset\nfrom headstart.data.limits import ReadLimits\n"
        "print(read_dataset(Path(folder, 'a.csv'), Path(folder, 'a.arrow'), format='csv', types={}, limits=ReadLimits()).rows)",
        tmp_path,
    )
    assert ended.stdout.split() == ["1000", "done"], ended.stderr


def test_a_confined_process_that_never_stops_is_stopped():
    program = "from headstart.data.limits import confine\nconfine(2**30, 1, 2**20, 64)\nwhile True: pass\n"
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, timeout=60, check=False)
    assert ended.returncode < 0
