"""Compile the lock files in requirements/: exact versions with hashes of what the pyproject files ask for.

lock.txt has everything; runtime.txt what a server runs on; build.txt what makes our wheels. The latter two take their versions from the first.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "requirements"
OURS = ("headstart",)
OPTIONS = ["--generate-hashes", "--strip-extras", "--allow-unsafe", "--no-annotate", "--no-header"]
OPTIONS += ["--no-emit-index-url", "--no-emit-trusted-host", "--no-emit-find-links"]


def documents() -> list[dict[str, Any]]:
    return [tomllib.loads(path.read_text()) for path in (ROOT / "pyproject.toml", ROOT / "server" / "pyproject.toml")]


def runtime() -> set[str]:
    """Every requirement of both distributions with all extras; our own names left out."""
    projects = [document["project"] for document in documents()]
    lists = [project["dependencies"] for project in projects]
    lists += [extra for project in projects for extra in project.get("optional-dependencies", {}).values()]
    return {requirement for requirements in lists for requirement in requirements if not requirement.startswith(OURS)}


def build() -> set[str]:
    return {requirement for document in documents() for requirement in document["build-system"]["requires"]}


def development() -> set[str]:
    groups = [group for document in documents() for group in document.get("dependency-groups", {}).values()]
    return {requirement for group in groups for requirement in group}


def compile_lock(name: str, wanted: set[str], *more: str) -> int:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "wanted.in")
        source.write_text("\n".join([*sorted(wanted), ""]))
        command = [sys.executable, "-m", "piptools", "compile", "--quiet", *OPTIONS, *more]
        return subprocess.run([*command, "--output-file", str(REQUIREMENTS / name), str(source)], check=False, cwd=ROOT).returncode


def main() -> int:
    everything = REQUIREMENTS / "lock.txt"
    status = compile_lock(everything.name, runtime() | build() | development())
    for name, wanted in (("runtime.txt", runtime()), ("build.txt", build())):
        status = status or compile_lock(name, wanted, "--constraint", str(everything))
    return status


if __name__ == "__main__":
    sys.exit(main())
