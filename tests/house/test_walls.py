"""What an import drags in, seen in fresh interpreters: import-linter reads the code, this looks at `sys.modules`."""

from __future__ import annotations

import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "transformers", "pandas", "sklearn", "tensorflow"}
SERVER = {"sqlalchemy", "celery", "kombu", "fastapi", "pydantic_settings", "pyarrow", "structlog", "numpy", "alembic"}
DATABASE = {"sqlalchemy"}
WEB = {"fastapi", "httpx"}


RUNNING = ["headstart.cli.installation", "headstart.cli.supervision"]


def modules_of(package: str) -> list[str]:
    folder = ROOT / package.replace(".", "/")
    return [package, *(f"{package}.{module.name}" for module in pkgutil.iter_modules([str(folder)]) if module.name != "__main__")]


CASES = {
    "client": (modules_of("headstart.client"), HEAVY | SERVER),
    "cli": ([name for name in modules_of("headstart.cli") if name not in RUNNING], HEAVY | SERVER),
    "up, worker and down": (RUNNING, HEAVY | (SERVER - {"pydantic_settings", "structlog"})),
    "specs": (modules_of("headstart.specs"), HEAVY | SERVER | WEB),
    "blobs": (modules_of("headstart.blobs"), HEAVY | DATABASE | WEB),
    "store": (modules_of("headstart.store"), HEAVY | WEB),
    "data": (modules_of("headstart.data"), HEAVY | DATABASE | WEB),
    "planning": (modules_of("headstart.planning"), HEAVY | DATABASE | WEB),
    "rendering": (modules_of("headstart.rendering"), HEAVY | SERVER | WEB),
    "doorbell": (modules_of("headstart.doorbell"), HEAVY),
    "control": (["app.main", *modules_of("app.routes")], HEAVY),
    "both, before the engine is asked for": (["app.both"], HEAVY),
    "supervisor": (["worker.supervisor", "worker.listening", "worker.__main__"], HEAVY),
    "reader": (["worker.child.reading"], HEAVY | DATABASE | WEB | {"celery"}),
}


@pytest.mark.parametrize("case", CASES)
def test_import_reaches_nothing_it_must_not(case: str):
    modules, forbidden = CASES[case]
    script = f"import sys\nfor name in {modules!r}: __import__(name)\nprint(*(set(sys.modules) & {forbidden!r}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
