"""Whatever goes wrong ends in a sentence, a hint and a documented exit code; never in a traceback."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Said
from tests.client.service import Reply, Service, dataset, event, job, log, problem, stream

Say = Callable[..., Said]


def check(said: Said, code: int, *words: str) -> None:
    assert said.code == code, said
    assert "Traceback" not in said.err
    assert said.out == ""
    for word in words:
        assert word in said.err


def test_a_refusal_is_1_with_sentence_hint_fields_and_code(say: Say, service: Service):
    fault = {"pointer": "/tasks/0/inputs/text", "row": None, "message": "no column 'txt'"}
    service.replies = [problem(422, "column_not_found", "The dataset has no column 'txt'.", "Columns are: review, label.", [fault])]
    said = say("jobs", "create", "--dataset", "reviews", "--backbone", "minilm-l6")
    check(said, 1)
    assert said.err.splitlines() == [
        "Error: The dataset has no column 'txt'.",
        "  /tasks/0/inputs/text: no column 'txt'",
        "Hint: Columns are: review, label.",
        "Code: column_not_found (request req_1)",
    ]


def test_an_invalid_upload_is_1_and_names_its_rows(say: Say, service: Service, tmp_path: Path):
    file = tmp_path / "bad.csv"
    file.write_text("a,b\n1\n", encoding="utf-8")
    failure = {"code": "ragged_row", "message": "A row has too many fields.", "hint": "Quote fields."}
    service.replies = [Reply(202, dataset(status="invalid", error=failure, problem_count=1))]
    check(say("datasets", "upload", str(file)), 1, "Error: A row has too many fields.", "row 17: Row 17 has 3 fields", "Code: ragged_row")


def test_a_failed_job_is_1_with_the_jobs_own_words(say: Say, service: Service):
    service.ending = "failed"
    service.jobs["job_1"] = job(status="publishing", result=None)
    check(say("jobs", "wait", "job_1"), 1, "ran out of memory", "Take fewer tokens.", "out_of_memory")


def test_a_missing_row_is_1(say: Say):
    check(say("datasets", "get", "nothing"), 1, "no dataset 'nothing'", "headstart datasets list")
    check(say("backbones", "get", "nothing"), 1, "no backbone 'nothing'")
    check(say("jobs", "get", "job_9"), 1, "Code: not_found")


def test_a_wrong_key_is_1(say: Say, url: str):
    check(say("--url", url, "--key", "hs_wrong", "jobs", "list"), 1, "Code: unauthenticated")


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("jobs", "create"),
        ("jobs", "list", "--limit", "0"),
        ("predict", "reviews"),
        ("datasets", "upload", "/nowhere/file.csv"),
        ("jobs", "create", "/nowhere/spec.json"),
        ("predict", "reviews", "--file", "/nowhere/texts.txt"),
        ("predict", "birds", "--media", "/nowhere/bird.png"),
        ("datasets",),
    ],
    ids=" ".join,
)
def test_wrong_use_is_2(say: Say, arguments: tuple[str, ...]):
    said = say(*arguments)
    assert said.code == 2
    assert "Traceback" not in said.err


def test_no_credentials_are_2(say: Say, home: Path):
    (home / "credentials.json").unlink()
    check(say("jobs", "list"), 2, "There is no", "headstart up", "Code: no_credentials")


def test_exposed_credentials_are_2(say: Say, home: Path):
    (home / "credentials.json").chmod(0o644)
    check(say("jobs", "list"), 2, "chmod 600")


def test_another_home_may_be_named(say: Say, tmp_path: Path):
    check(say("--home", str(tmp_path / "other"), "jobs", "list"), 2, "Code: no_credentials")


def test_an_unreachable_server_is_3(say: Say):
    check(say("--url", "http://127.0.0.1:1", "--key", "hs_x", "jobs", "list"), 3, "No server answers at http://127.0.0.1:1")


def test_files_that_cannot_be_read_as_what_they_should_be_are_told(say: Say, tmp_path: Path):
    file = tmp_path / "spec.json"
    for content in (b"\xff\xfe", b"[1]", b"{", b"[" * 100_000):
        file.write_bytes(content)
        check(say("jobs", "create", str(file)), 1, "Error: ")
    rows = tmp_path / "rows.jsonl"
    rows.write_text('"fine"\n3\n', encoding="utf-8")
    check(say("predict", "reviews", "--file", str(rows)), 1, "Line 2")
    table = tmp_path / "table.csv"
    table.write_text("a\n", encoding="utf-8")
    check(say("datasets", "upload", str(table), "--schema", "nonsense"), 1, "--schema is not a JSON object")


def test_words_from_the_wire_do_not_drive_the_terminal(say: Say, service: Service):
    service.replies = [problem(422, "invalid_field", "Bad \x1b[31m.")]
    said = say("jobs", "list")
    assert "\x1b" not in said.err


def test_the_installed_command_runs_as_a_process(url: str, home: Path):
    program = "import sys; from headstart.cli import main; sys.argv[1:] = ['jobs', 'list', '--json']; main()"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["object"] == "list"


def test_client_and_command_line_reach_neither_torch_nor_sql():
    program = (
        "import sys, headstart.cli.root, headstart.client;"
        "print([m for m in ('torch', 'transformers', 'pandas', 'numpy', 'sqlalchemy', 'fastapi', 'pydantic_settings') if m in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert ended.stdout.strip() == "[]"


def interrupted(service: Service, *arguments: str) -> tuple[int, str, str]:
    """A command line that hears SIGINT once it has asked the server twice: exit code, stdout, stderr."""
    # a shell that runs the tests in the background leaves SIGINT ignored, and children inherit that
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    program = f"{heard}; import sys; from headstart.cli import main; sys.argv[1:] = {list(arguments)!r}; main()"
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with process:
        deadline = time.monotonic() + 20
        while len(service.seen) < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        try:
            out, err = process.communicate(timeout=20)
        finally:
            process.kill()
    return process.returncode, out, err


def test_an_interrupted_wait_is_130_and_says_that_the_job_goes_on(url: str, home: Path, service: Service):
    service.replies = [Reply(200, job(status="training", result=None)) for _ in range(1000)]
    code, out, err = interrupted(service, "jobs", "wait", "job_1")
    assert (code, out) == (130, "")
    assert "The job goes on: headstart jobs wait job_1" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("what", ["logs", "events"])
def test_interrupted_following_is_130_and_what_came_was_printed(url: str, home: Path, service: Service, what: str):
    rows = [log(seq) if what == "logs" else event(seq, "training") for seq in range(1, 1000)]
    service.replies = [stream(row) for row in rows]
    code, out, err = interrupted(service, "jobs", what, "job_1", "--follow", "--json")
    assert code == 130
    assert json.loads(out.splitlines()[0]) == rows[0]
    assert "Traceback" not in err


def test_following_a_job_that_is_not_there_is_1(say: Say, service: Service):
    service.replies = [problem(404, "not_found", "There is no such job.")]
    check(say("jobs", "logs", "job_9", "--follow"), 1, "There is no such job.", "Code: not_found")
