"""The Dockerfile, read; and its own steps run in a clean folder, as far as that goes without an engine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import httpx
import pytest

from headstart.client.credentials import find_credentials
from headstart.settings import PREFIX, load_settings
from tests.deploy.commands import is_ours
from tests.deploy.dockerfile import Instruction, options, read_dockerfile
from tests.e2e.service import ready, wait_for

ROOT = Path(__file__).parents[2]
STEPS = read_dockerfile(ROOT / "Dockerfile")
BUILD = [step for step in STEPS if step.stage == 0]
FINAL = [step for step in STEPS if step.stage == 1]


def only(word: str) -> Instruction:
    """The one instruction of this word in the image that is kept."""
    (found,) = [step for step in FINAL if step.word == word]
    return found


def health() -> tuple[dict[str, str], list[str]]:
    """How often, and what is asked."""
    timing, _, command = only("HEALTHCHECK").rest.partition(" CMD ")
    return options(timing.split())[0], Instruction(1, "CMD", command).words


def variables() -> dict[str, str]:
    return {name: value for step in FINAL if step.word == "ENV" for name, value in step.pairs.items()}


def test_both_stages_stand_on_one_python_that_is_pinned():
    bases = {step.words[0] for step in STEPS if step.word == "FROM"}
    assert len(bases) == 1
    assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+", bases.pop())


def test_its_settings_are_real_and_its_home_is_a_volume():
    settings = load_settings({}, **{name.removeprefix(PREFIX).lower(): value for name, value in variables().items() if PREFIX in name})
    assert load_settings(dict.fromkeys(variables(), "")) is not None  # an unknown name would be refused
    assert only("VOLUME").words == [str(settings.folder)]
    assert str(settings.host) == "0.0.0.0"  # noqa: S104 - inside a container
    assert only("EXPOSE").words == [str(settings.port)]


def test_it_runs_commands_of_the_cli_as_a_user_who_is_not_root_and_stops_by_sigterm():
    assert is_ours(only("CMD").words)
    timing, asked = health()
    assert set(timing) == {"interval", "timeout", "start-period", "retries"}
    assert is_ours(asked)
    assert only("USER").words == ["headstart"]
    assert [step.word for step in FINAL].index("USER") > max(number for number, step in enumerate(FINAL) if step.word == "RUN")
    assert only("STOPSIGNAL").words == ["SIGTERM"]


def test_nothing_is_installed_but_by_its_hash_and_our_own_wheels():
    for step in STEPS:
        if step.word == "RUN" and " install " in step.rest and " pip " in step.rest:
            assert "--require-hashes -r requirements/" in step.rest or "--no-deps --no-index /opt/wheels/" in step.rest, step.rest


def test_no_tool_that_builds_is_left_in_the_image():
    words = " ".join(step.rest for step in FINAL)
    assert "pip uninstall" in words
    assert {"pip", "setuptools", "wheel"} <= set(FINAL[1].words)
    assert "apt-get" not in words
    assert {options(step.words)[0].get("from") for step in FINAL if step.word == "COPY"} == {"build"}


def test_what_it_copies_is_tracked_and_not_ignored():
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    sources = {word for step in BUILD if step.word == "COPY" for word in step.words[:-1]}
    tracked = subprocess.run(["git", "ls-files", *sorted(sources)], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    for source in sources:
        assert [name for name in tracked if name == source or name.startswith(f"{source}/")], source
        assert any(fnmatch(source, pattern) or source.startswith(f"{pattern}/") for pattern in kept), source


def locked(name: str) -> dict[str, str]:
    """Each requirement of a lock file with its hashes."""
    return dict(re.findall(r"^([\w.-]+==\S+) \\\n((?:    --hash=.*\n?)+)", (ROOT / "requirements" / name).read_text(), re.MULTILINE))


@pytest.mark.parametrize("name", ["runtime.txt", "build.txt"])
def test_the_smaller_lock_files_are_parts_of_the_whole_one(name: str):
    whole, part = locked("lock.txt"), locked(name)
    assert part
    assert {requirement: whole.get(requirement, "").replace("\\", "").split() for requirement in part} == {
        requirement: hashes.replace("\\", "").split() for requirement, hashes in part.items()
    }


LEFT_OUT = {"useradd": "makes a user of the image's, and folders that belong to it: only root of a machine of its own may"}
FOLDERS = re.compile(r"(?<![\w./-])/(?=(src|opt|var/lib)\b)")


class Stage:
    """The Dockerfile's steps on this machine: `/src`, `/opt` and `/var/lib` are folders below `root`, the base image's Python is `python`."""

    def __init__(self, root: Path, python: Path) -> None:
        self.root, self.cwd = root, root
        kept = {name: value for name, value in os.environ.items() if not name.startswith((PREFIX, "PYTHON", "VIRTUAL_ENV", "COVERAGE"))}
        self.environment = kept | {"PATH": f"{python.parent}:/usr/bin:/bin", "HOME": str(root)}

    def here(self, text: str) -> str:
        return FOLDERS.sub(f"{self.root}/", text)

    def carry_out(self, step: Instruction) -> None:
        match step.word:
            case "WORKDIR":
                self.cwd = Path(self.here(step.rest))
                self.cwd.mkdir(parents=True, exist_ok=True)
            case "ENV":
                given = {name: self.here(value) for name, value in step.pairs.items() if name != "PIP_NO_CACHE_DIR"}
                before = self.environment["PATH"]
                self.environment |= given | {"PATH": given["PATH"].replace("/usr/local/bin", before) if "PATH" in given else before}
            case "COPY":
                self._copy(step)
            case "RUN":
                self._run(step)

    def _copy(self, step: Instruction) -> None:
        named, (*sources, target) = options(step.words)
        if named.get("from") == "build":
            assert sources == [target]  # both stages are one folder here
            assert Path(self.here(target)).is_dir()
            return
        listed = subprocess.run(["git", "ls-files", "-z", *sources], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for name in filter(None, listed.split("\0")):
            # Docker puts the content of a folder, and files by their own name, into the target
            inner = Path(name).relative_to(sources[0]) if (ROOT / sources[0]).is_dir() else Path(Path(name).name)
            path = self.cwd / target / inner
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, path)

    def _run(self, step: Instruction) -> None:
        for word, reason in LEFT_OUT.items():
            if word in step.rest:
                print(f"left out: {word}: {reason}")
                return
        began = time.monotonic()
        line = ["sh", "-c", self.here(step.rest)]
        done = subprocess.run(line, cwd=self.cwd, env=self.environment, capture_output=True, text=True, check=False, timeout=1500)
        print(f"{time.monotonic() - began:.1f} s: {step.rest}")
        assert done.returncode == 0, f"{step.rest}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    base = tmp_path / "base"
    subprocess.run([sys.executable, "-m", "venv", str(base)], check=True, timeout=120)
    reached = subprocess.run(
        [
            base / "bin" / "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--require-hashes",
            "-r",
            ROOT / "requirements" / "build.txt",
            "-d",
            "reached",
        ],
        cwd=tmp_path,
        capture_output=True,
        check=False,
        timeout=300,
    )
    if reached.returncode != 0:
        pytest.skip("pip reaches no package index from here")
    root = tmp_path / "image"
    (root / "var" / "lib").mkdir(parents=True)
    yield Stage(root, base / "bin" / "python")
    shutil.rmtree(root)  # some gigabytes


@pytest.mark.slow
def test_its_own_steps_make_a_service_that_starts_is_healthy_and_stops(stage: Stage):
    for step in STEPS:
        stage.carry_out(step)
    assert subprocess.run([stage.root.parent / "base/bin/python", "-m", "pip"], capture_output=True, check=False).returncode == 1
    assert subprocess.run([stage.root / "opt/headstart/bin/python", "-m", "pip"], capture_output=True, check=False).returncode == 1

    home = Path(stage.here(only("VOLUME").words[0]))
    environment = stage.environment | {"HEADSTART_PORT": "0", "HEADSTART_HOST": "127.0.0.1"}
    with open(stage.root / "log.txt", "wb") as log:
        service = subprocess.Popen(only("CMD").words, cwd=stage.cwd, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            wait_for(lambda: service.poll() is not None or ready(home), 90, "a ready service")
            assert service.poll() is None, (stage.root / "log.txt").read_text()
            url = find_credentials(home=home).url
            wait_for(
                lambda: httpx.get(f"{url}/readyz", trust_env=False).json()["engine"] == "ready", 90, "an engine that has been imported"
            )
            asked = subprocess.run(health()[1], cwd=stage.cwd, env=environment, capture_output=True, check=False)
            assert asked.returncode == 0, asked.stderr
        finally:
            service.terminate()
            assert service.wait(40) == 0
