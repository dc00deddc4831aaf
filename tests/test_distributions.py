"""Two distributions: the client is light and brings no top-level `app`; the server brings the rest."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

from headstart.demos import dataset_file, default_assets_root
from headstart.errors import HeadstartError
from tests.clean import Wheel, clean_variables, closure_of, make_environment
from tests.client.service import KEY, Service, dataset, listening
from tests.e2e.conftest import cut
from tests.e2e.service import running_elsewhere, wait_for

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


CLIENT_BYTES = 40 * 2**20
"""Installed size of all that a client needs; most of it is pydantic's compiled core and the colours of Pygments."""


@pytest.fixture(scope="module")
def ours(wheels: dict[str, Path]) -> dict[str, Wheel]:
    return {name.replace("_", "-"): Wheel(path) for name, path in wheels.items()}


def test_client_works_in_an_environment_that_has_only_what_its_metadata_names(ours: dict[str, Wheel], tmp_path: Path):
    closure = closure_of("headstart", ours)
    assert set(closure.wheels) == {"headstart"}
    assert not {"torch", "numpy", "sqlalchemy", "fastapi", "celery", "pyarrow"} & set(closure.installed)
    print(f"{len(closure.installed)} distributions, {closure.bytes / 2**20:.1f} MiB installed")
    assert closure.bytes < CLIENT_BYTES
    python = make_environment(tmp_path / "clean", closure)

    def run(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
        variables = clean_variables(tmp_path) | more
        return subprocess.run([str(python), *words], capture_output=True, text=True, check=False, cwd=tmp_path, env=variables, timeout=60)

    assert run("-c", "import numpy").returncode == 1
    assert run("-m", "headstart.cli", "--version").stdout == "0.1.0\n"
    refused = run("-m", "headstart.cli", "up")
    assert (refused.returncode, "headstart[all]" in refused.stderr) == (3, True)
    service = Service()
    service.datasets = [dataset(name="mine")]
    script = "from headstart.client import Headstart\nwith Headstart() as here: print(here.list_datasets().data[0].name)"
    script += "\nimport asyncio, headstart.client as client"
    script += "\nasync def main():\n async with client.AsyncHeadstart() as here: print((await here.list_datasets()).data[0].name)"
    script += "\nasyncio.run(main())"
    with listening(service) as url:
        access = {"HEADSTART_URL": url, "HEADSTART_KEY": KEY}
        asked = run("-c", script, **access)
        assert (asked.stdout.split(), asked.stderr) == (["mine", "mine"], "")
        listed = run("-m", "headstart.cli", "datasets", "list", **access)
        assert "mine" in listed.stdout, listed.stderr
        loaded = run("-m", "headstart.cli", "predict", "reviews", "great film", "--json", **access)
        assert '"prediction"' in loaded.stdout, loaded.stderr


@pytest.mark.slow
def test_server_works_in_an_environment_that_has_only_what_its_metadata_names(ours: dict[str, Wheel], tmp_path: Path):
    try:
        few = cut(dataset_file(default_assets_root(), "tweets"), tmp_path / "few.csv", 300)
    except HeadstartError as error:
        pytest.skip(str(error))
    closure = closure_of("headstart[all]", ours)
    assert set(closure.wheels) == {"headstart", "headstart-server"}
    python = make_environment(tmp_path / "clean", closure)
    with running_elsewhere(tmp_path / "home", python) as service, service.client() as client:
        wait_for(lambda: client.get_health()["engine"] == "ready", 60, "an engine that has been imported")
        data = client.upload(few, name="few")
        client.adapt(data, target="label", model="few", wait=True)  # what is imported late is needed too
        assert client.predict("few", ["what a day"]).version == 1
        assert all(str(python) in process.command for process in service.processes())
