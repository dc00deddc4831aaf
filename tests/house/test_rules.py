"""House rules that no linter knows: each a walk over the syntax tree of what git tracks, with its reason."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ("headstart/", "app/", "worker/", "migrations/", "tools/", "benchmarks/", "examples/")
READS_ENVIRONMENT = {"headstart/settings.py", "headstart/demos.py", "headstart/client/credentials.py"}
MOST_LINES = 400


def tracked(*suffixes: str) -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [name for name in listed.stdout.splitlines() if name.endswith(suffixes) and (ROOT / name).is_file()]


def ours() -> list[str]:
    return [name for name in tracked(".py") if name.startswith(PARTS)]


def calls(name: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse((ROOT / name).read_text())):
        if isinstance(node, ast.Call):
            yield node.lineno, ast.unparse(node.func)


@pytest.fixture(scope="module", autouse=True)
def _needs_git() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout, so what is tracked is not known")


def test_nothing_commits_by_hand():
    """`Database.write` commits, once, when its block ends: a commit elsewhere would split a transaction."""
    assert [f"{name}:{line}" for name in ours() for line, call in calls(name) if call.endswith(".commit")] == []


def test_the_environment_is_read_in_three_places():
    """Settings that are read anywhere cannot be documented, checked or frozen."""
    found = {name for name in ours() if re.search(r"os\.environ|os\.getenv|getenv\(", (ROOT / name).read_text())}
    assert found <= READS_ENVIRONMENT


def test_nothing_executes_data():
    """A pickle, an `eval` or remote code turns a file into a program."""
    banned = {"eval", "exec", "torch.load", "pickle.load", "pickle.loads", "joblib.load", "numpy.load", "np.load"}
    found = [f"{name}:{line} {call}" for name in ours() for line, call in calls(name) if call in banned]
    found += [name for name in ours() if re.search(r"trust_remote_code\s*=\s*True|^import pickle", (ROOT / name).read_text(), re.MULTILINE)]
    assert found == []


def test_every_module_says_in_its_first_line_why_it_exists():
    """A newcomer finds the place for a change by reading first lines."""
    assert [name for name in [*ours(), *tracked("tests.py")] if not ast.get_docstring(ast.parse((ROOT / name).read_text()))] == []


def test_no_module_outgrows_its_reason():
    """Past this there is a seam to be found."""
    lengths = {name: len((ROOT / name).read_text().splitlines()) for name in ours() if "versions/" not in name}
    assert {name: length for name, length in lengths.items() if length > MOST_LINES} == {}


def test_no_path_of_a_machine_is_written_down():
    """What works on one machine only is a fault on every other."""
    pattern = re.compile(r"(?<![\w.])/(work|root|home/\w+)/")
    names = [name for name in tracked(".py", ".md", ".toml", ".sh", ".json", "Makefile", ".ci/run") if name != "tests/house/test_rules.py"]
    assert [name for name in names if pattern.search((ROOT / name).read_text())] == []


def test_migrations_stand_alone():
    """A migration must do the same whatever the models have become since."""
    for name in ours():
        if name.startswith("migrations/versions/"):
            assert "headstart" not in (ROOT / name).read_text(), name
