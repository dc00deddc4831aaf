"""Compile requirements/lock.txt: exact versions with hashes of all that the pyproject files ask for."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements" / "lock.txt"
OURS = ("headstart",)


def wanted() -> list[str]:
    """Every requirement of both distributions, their extras, the groups and the build systems; our own names left out."""
    found: set[str] = set()
    for path in (ROOT / "pyproject.toml", ROOT / "server" / "pyproject.toml"):
        document = tomllib.loads(path.read_text())
        project = document["project"]
        lists = [project["dependencies"], document["build-system"]["requires"]]
        lists += project.get("optional-dependencies", {}).values()
        lists += document.get("dependency-groups", {}).values()
        found.update(requirement for requirements in lists for requirement in requirements if not requirement.startswith(OURS))
    return sorted(found)


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "wanted.in")
        source.write_text("\n".join([*wanted(), ""]))
        options = ["--generate-hashes", "--strip-extras", "--allow-unsafe", "--no-annotate", "--no-header"]
        options += ["--no-emit-index-url", "--no-emit-trusted-host", "--no-emit-find-links"]
        command = [sys.executable, "-m", "piptools", "compile", "--quiet", *options, "--output-file", str(LOCK), str(source)]
        return subprocess.run(command, check=False, cwd=ROOT).returncode


if __name__ == "__main__":
    sys.exit(main())
