"""Two distributions: the client is light and brings no top-level `app`; the server brings the rest."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIGHT = {"httpx", "pydantic", "rich", "typeid-python", "typer"}


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Both, built from this checkout with what is installed here."""
    folder = tmp_path_factory.mktemp("wheels")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation", "-w", str(folder)]
    done = subprocess.run([*command, str(ROOT), str(ROOT / "server")], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return {path.name.partition("-")[0]: path for path in folder.glob("*.whl")}


def tops(wheel: Path) -> set[str]:
    return {name.partition("/")[0] for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}


def requirements(wheel: Path) -> dict[str, set[str]]:
    """Names by extra, "" for none."""
    archive = zipfile.ZipFile(wheel)
    metadata = Parser().parsestr(archive.read(next(name for name in archive.namelist() if name.endswith("METADATA"))).decode())
    found: dict[str, set[str]] = {}
    for line in metadata.get_all("Requires-Dist", []):
        requirement, _, marker = line.partition(";")
        extra = marker.partition("extra ==")[2].strip(" '\"")
        found.setdefault(extra, set()).add(requirement.split(">")[0].split("=")[0].split("[")[0].strip())
    return found


def test_client_distribution_holds_one_package_and_needs_five_light_ones(wheels: dict[str, Path]):
    assert tops(wheels["headstart"]) == {"headstart"}
    needs = requirements(wheels["headstart"])
    assert needs[""] == LIGHT
    assert "torch" in needs["engine"]
    assert needs["all"] >= needs["engine"] | {"headstart-server"}


def test_server_distribution_holds_the_processes_and_the_migrations(wheels: dict[str, Path]):
    assert tops(wheels["headstart_server"]) == {"app", "worker", "migrations"}
    names = zipfile.ZipFile(wheels["headstart_server"]).namelist()
    assert [name for name in names if name.startswith("migrations/versions/0001")]
    assert "headstart" in requirements(wheels["headstart_server"])[""]


def test_client_wheel_works_with_nothing_of_the_server_beside_it(wheels: dict[str, Path]):
    """Only what the wheel's own requirements name may be imported; a finder refuses everything heavy."""
    script = f"""
import sys
sys.path.insert(0, {str(wheels["headstart"])!r})
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {{"torch", "transformers", "sqlalchemy", "fastapi", "celery", "pyarrow", "numpy", "app", "worker"}}:
            raise ImportError(f"{{name}} is not part of a client install")
sys.meta_path.insert(0, Refuse())
import importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name in {{"app", "worker"}} else find(name, package)
import headstart.client, headstart.cli
assert headstart.cli.run(["up"]) == 3
assert headstart.__file__.startswith({str(wheels["headstart"])!r}), headstart.__file__
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd="/", timeout=60)
    assert done.returncode == 0, done.stderr
    assert "headstart[all]" in done.stderr
