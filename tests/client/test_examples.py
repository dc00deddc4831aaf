"""The scripts in `examples/` do what they say, against a service on a real socket."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.client.service import KEY, Service, form, listening

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "reviews.csv"
    path.write_text("review,stars\ngreat,pos\ndull,neg\n", encoding="utf-8")
    return path


def start(url: str, *command: str, key: str = KEY, home: str = "/nowhere") -> subprocess.CompletedProcess[str]:
    path = str(Path(sys.executable).parent) + ":/usr/local/bin:/usr/bin:/bin"
    environment = {
        "HEADSTART_URL": url,
        "HEADSTART_KEY": key,
        "PATH": path,
        "HOME": home,
        "PYTHONPATH": str(EXAMPLES.parent),
        "LC_ALL": "C.UTF-8",
    }
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)


def test_adapt_py_adapts_a_csv_and_answers(service: Service, table: Path):
    with listening(service) as url:
        ended = start(url, sys.executable, str(EXAMPLES / "adapt.py"), str(table), "great film", "--text", "review", "--target", "stars")
    assert ended.returncode == 0, ended.stderr
    assert "accuracy 0.882, majority class 0.515" in ended.stdout
    assert "('pos', 0.97)" in ended.stdout
    assert "The model is reviews:3." in ended.stdout


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_adapt_sh_does_the_same_with_curl(service: Service, table: Path):
    service.looks_until_ready = 2
    with listening(service) as url:
        ended = start(url, "sh", str(EXAMPLES / "adapt.sh"), str(table), "review", "stars", 'a "great" film')
    assert ended.returncode == 0, ended.stderr
    assert 'metrics {"label": {"accuracy": 0.8825}}' in ended.stdout
    posts = [seen for seen in service.seen if seen.method == "POST"]
    assert [name for name, _ in form(posts[0])] == ["name", "format", "file"]
    assert dict(form(posts[0]))["file"] == table.read_bytes()
    assert posts[-1].json == {"inputs": ['a "great" film']}
    assert posts[-1].path == "/v1/models/reviews:3/predict"
    assert all("idempotency-key" in seen.headers for seen in posts[:-1])
    assert json.loads(ended.stdout.splitlines()[-1])[0]["outputs"]["label"]["label"] == "pos"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_adapt_sh_ends_with_the_servers_words(service: Service, table: Path):
    with listening(service) as url:
        ended = start(url, "sh", str(EXAMPLES / "adapt.sh"), str(table), "review", "stars", "x", key="hs_wrong")
    assert ended.returncode != 0
    assert "unauthenticated" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_quickstart_runs_and_is_quick_the_second_time(service: Service, table: Path, tmp_path: Path):
    service.has_models = False
    with listening(service) as url:
        credentials = tmp_path / "credentials.json"
        credentials.write_text(json.dumps({"url": url, "key": KEY}), encoding="utf-8")
        credentials.chmod(0o600)
        command = (sys.executable, str(EXAMPLES / "quickstart.py"), "--home", str(tmp_path), "--data", str(table))
        first, second = start("http://127.0.0.1:1", *command), start("http://127.0.0.1:1", *command)
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "training" in first.stderr
    for ended in (first, second):
        assert "accuracy 0.882; always the commonest class: 0.515" in ended.stdout
        assert ended.stdout.count("pos        0.97") == 3
        assert f"{url}/docs" in ended.stdout
        assert str(credentials) in ended.stdout
        assert f"headstart down --home {tmp_path}" in ended.stdout
    assert "is there from an earlier run" not in first.stdout
    assert "is there from an earlier run" in second.stdout
    assert len([seen for seen in service.seen if seen.path == "/v1/jobs"]) == 1


def test_run_spec_sends_the_file_as_it_is_and_shows_the_baseline(service: Service, table: Path):
    spec = EXAMPLES / "specs" / "bert.json"
    with listening(service) as url:
        first, second = (start(url, sys.executable, str(EXAMPLES / "run_spec.py"), str(spec), "--data", str(table)) for _ in range(2))
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert "accuracy     0.882   majority 0.515" in first.stdout
    posted = [(seen.path, seen) for seen in service.seen if seen.method == "POST"]
    assert [path for path, _ in posted] == ["/v1/datasets", "/v1/backbones", "/v1/jobs", "/v1/jobs"]
    assert dict(form(posted[0][1]))["name"] == b"tweets-polar"
    assert posted[1][1].json == {"name": "minilm-l6", "source": "demo:minilm-l6"}
    assert posted[2][1].json == json.loads(spec.read_text())
