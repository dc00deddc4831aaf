"""Every command has help, prints a table for people and the server's JSON for programs."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from headstart.cli.root import app
from tests.cli.conftest import Said
from tests.client.service import END, PAGE, Service, backbone, dataset, event, form, job, log, stream

Say = Callable[..., Said]


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    children = getattr(command, "commands", None)
    if not children:
        yield path
        return
    for name, child in children.items():
        yield from leaves(child, (*path, name))


COMMANDS = tuple(leaves(get_command(app)))
WIRE: dict[tuple[str, ...], tuple[tuple[str, ...], str]] = {
    ("datasets", "list"): ((), "list"),
    ("datasets", "get"): (("ds_1",), "dataset"),
    ("datasets", "problems"): (("reviews:1",), "list"),
    ("datasets", "suggestions"): (("ds_1",), "suggestions"),
    ("datasets", "upload"): (("FILE",), "dataset"),
    ("datasets", "append"): (("reviews", "FILE"), "dataset"),
    ("datasets", "diff"): (("ds_1", "reviews:1"), "dataset_diff"),
    ("datasets", "delete"): (("ds_1",), ""),
    ("backbones", "list"): ((), "list"),
    ("backbones", "get"): (("demo:minilm-l6",), "backbone"),
    ("backbones", "add"): (("demo:minilm-l6",), "backbone"),
    ("backbones", "layers"): (("minilm-l6",), "list"),
    ("backbones", "delete"): (("bb_1",), ""),
    ("jobs", "list"): ((), "list"),
    ("jobs", "get"): (("job_1",), "job"),
    ("jobs", "create"): (("--dataset", "reviews", "--wait"), "job"),
    ("jobs", "wait"): (("job_1",), "job"),
    ("jobs", "cancel"): (("job_1",), "job"),
    ("jobs", "events"): (("job_1",), "list"),
    ("jobs", "logs"): (("job_1",), "list"),
    ("jobs", "metrics"): (("job_1",), "list"),
    ("jobs", "report"): (("job_1",), "report"),
    ("models", "list"): ((), "list"),
    ("models", "get"): (("reviews",), "model"),
    ("models", "versions"): (("reviews",), "list"),
    ("models", "alias", "set"): (("reviews", "prod", "3"), "model"),
    ("models", "alias", "delete"): (("reviews", "prod"), ""),
    ("models", "delete"): (("reviews",), ""),
    ("predict",): (("reviews", "great film", "dull"), "prediction"),
    ("keys", "list"): ((), "list"),
    ("keys", "create"): (("ci", "--scope", "read"), "key"),
    ("keys", "revoke"): (("key_1",), ""),
    ("cache",): ((), "cache"),
    ("workspaces", "list"): ((), "list"),
    ("workspaces", "create"): (("research",), "workspace"),
}


@pytest.fixture
def filled(service: Service, tmp_path: Path) -> Path:
    service.datasets = [dataset()]
    service.backbones = [backbone()]
    service.jobs["job_1"] = job()
    file = tmp_path / "more.csv"
    file.write_text("text,label\na,b\n", encoding="utf-8")
    return file


def test_the_table_of_commands_is_whole():
    assert set(COMMANDS) == set(WIRE) | {("up",), ("down",), ("worker",), ("health",)}


@pytest.mark.parametrize("command", [*COMMANDS, (), ("datasets",), ("models", "alias")], ids=" ".join)
def test_every_command_has_help(say: Say, command: tuple[str, ...]):
    said = say(*command, "--help")
    assert (said.code, said.err) == (0, "")
    assert "Usage: headstart" in said.out


@pytest.mark.parametrize("command", WIRE, ids=" ".join)
def test_json_is_what_the_server_said(say: Say, filled: Path, command: tuple[str, ...]):
    arguments, shape = WIRE[command]
    said = say(*command, *(str(filled) if part == "FILE" else part for part in arguments), "--json")
    assert said.code == 0, said.err
    if shape:
        assert said.json["object"] == shape
    else:
        assert said.out == ""


@pytest.mark.parametrize("command", WIRE, ids=" ".join)
def test_people_get_a_table_or_a_sentence(say: Say, filled: Path, command: tuple[str, ...]):
    said = say(*command, *(str(filled) if part == "FILE" else part for part in WIRE[command][0]))
    assert said.code == 0, said.err
    assert said.out.strip()
    assert "object" not in said.out


def test_json_before_the_command_counts_too(say: Say, filled: Path):
    assert say("--json", "datasets", "list").json["data"][0]["id"] == "ds_1"


def test_json_keeps_what_a_newer_server_adds(say: Say, service: Service):
    service.datasets = [dataset(mood="sonnig")]
    assert say("datasets", "list", "--json").json["data"][0]["mood"] == "sonnig"


def test_a_page_says_how_to_go_on(say: Say, service: Service):
    service.datasets = [dataset(id=f"ds_{number}") for number in range(5)]
    assert "--after 2" in say("datasets", "list", "--limit", "2").out
    assert "ds_4" in say("datasets", "list", "--limit", "2", "--after", "4").out


def test_upload_names_the_dataset_and_states_its_columns(say: Say, service: Service, filled: Path):
    said = say("datasets", "upload", str(filled), "--name", "mine", "--schema", '{"label": "category"}')
    assert "mine:1" in said.out
    posted = next(seen for seen in service.seen if seen.method == "POST")
    assert [part[0] for part in form(posted)] == ["name", "format", "schema", "file"]


def test_append_replaces_by_a_key_and_sends_in_pieces_when_told_to(say: Say, service: Service, filled: Path):
    said = say("datasets", "append", "ds_1", str(filled), "--key", "id", "--resumable")
    assert (said.code, "ds_1 (replace)" in said.out) == (0, True)
    posted = [seen for seen in service.seen if seen.method == "POST"]
    assert posted[-1].json == {"replace": {"key": "id", "format": "csv", "upload": "upl_1"}}
    assert service.received["upl_1"] == filled.read_bytes()


def test_a_difference_is_shown_in_numbers(say: Say, filled: Path):
    said = say("datasets", "diff", "ds_1", "--key", "id")
    lines = [line.split() for line in said.out.splitlines()]
    assert ["changed", "1", "1"] in lines
    assert ["neg", "0", "1"] in lines
    assert "id: number to text" in said.out


def test_a_job_is_made_from_a_spec_file_as_it_stands(say: Say, service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    spec = job()["spec"]
    file = tmp_path / "spec.json"
    file.write_text(json.dumps(spec), encoding="utf-8")
    assert say("jobs", "create", str(file), "--idempotency-key", "mine", "--json").json["spec"] == spec
    posted = next(seen for seen in service.seen if seen.method == "POST")
    assert (posted.json, posted.headers["idempotency-key"]) == (spec, "mine")
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(spec)))
    assert say("jobs", "create", "-").code == 0


def test_a_job_is_made_from_options(say: Say, service: Service):
    options = ("--text", "review", "--target", "stars", "--model", "stars", "--layer", "encoder.layer.4", "--pooling", "max", "--seed", "3")
    said = say("jobs", "create", "--dataset", "reviews", "--backbone", "minilm-l6", *options)
    assert said.code == 0, said.err
    posted = next(seen for seen in service.seen if seen.method == "POST")
    assert posted.json == {
        "backbone": "minilm-l6",
        "dataset": "reviews",
        "tasks": [{"name": "stars", "type": "text-classification", "inputs": {"text": "review"}, "target": "stars"}],
        "model": "stars",
        "method": {"type": "feature-extraction", "layer": "encoder.layer.4", "pooling": "max"},
        "training": {"seed": 3},
    }


@pytest.mark.parametrize(
    ("options", "kind", "inputs"),
    [
        (("--image", "photo"), "image", {"image": "photo"}),
        (("--audio", "clip"), "audio", {"audio": "clip"}),
        (("--text", "a", "--text-pair", "b"), "text", {"text": "a", "text_pair": "b"}),
    ],
    ids=str,
)
def test_a_job_is_made_for_the_column_that_is_named(
    say: Say, service: Service, options: tuple[str, ...], kind: str, inputs: dict[str, str]
):
    said = say("jobs", "create", "--dataset", "reviews", "--backbone", "vit", *options)
    assert said.code == 0, said.err
    task = next(seen for seen in service.seen if seen.method == "POST").json["tasks"][0]
    assert (task["type"], task["inputs"]) == (f"{kind}-classification", inputs)


def test_predict_sends_files_when_told_that_they_are_files(say: Say, service: Service, tmp_path: Path):
    image, sound = tmp_path / "bird.png", tmp_path / "bird.wav"
    image.write_bytes(b"\x89PNG\r\n\x1a\n")
    sound.write_bytes(b"RIFF\x24\x00\x00\x00WAVE")
    said = say("predict", "birds", "--media", str(image), str(sound))
    assert said.code == 0, said.err
    assert service.seen[0].json["inputs"] == [{"image": {"base64": "iVBORw0KGgo="}}, {"audio": {"base64": "UklGRiQAAABXQVZF"}}]
    assert "bird.png" in said.out
    assert say("predict", "birds", "--media", str(image), "--json").json["object"] == "prediction"
    say("predict", "reviews", str(image))
    assert service.seen[-1].json["inputs"] == [str(image)]


def test_predict_reads_lines_and_jsonl(say: Say, service: Service, tmp_path: Path):
    lines, rows = tmp_path / "texts.txt", tmp_path / "rows.jsonl"
    lines.write_text("one\r\n\ntwo\n", encoding="utf-8")
    rows.write_text('"three"\n{"text": "four"}\n', encoding="utf-8")
    say("predict", "reviews", "zero", "--file", str(lines))
    say("predict", "reviews", "--file", str(rows), "--top-k", "1")
    assert [seen.json["inputs"] for seen in service.seen] == [["zero", "one", "two"], ["three", {"text": "four"}]]


def test_predict_of_more_than_one_batch_is_one_answer(say: Say, tmp_path: Path):
    lines = tmp_path / "texts.txt"
    lines.write_text("\n".join(str(number) for number in range(300)), encoding="utf-8")
    assert len(say("predict", "reviews", "--file", str(lines), "--json").json["data"]) == 300
    assert len(say("predict", "reviews", "--file", str(lines)).out.splitlines()) == 301


def test_a_new_key_is_shown_once_with_a_word_about_that(say: Say):
    said = say("keys", "create", "ci")
    assert "hs_3fk9secret" in said.out
    assert "not shown again" in said.out


def test_ids_are_never_cut_in_a_pipe(say: Say, service: Service):
    service.datasets = [dataset(id="ds_01h455vb4pex5vsknk084sn02q", name="n" * 63)]
    assert "ds_01h455vb4pex5vsknk084sn02q" in say("datasets", "list").out


def test_text_from_the_wire_drives_neither_terminal_nor_markup(say: Say, service: Service):
    columns = [{"name": "\x1b[31m[red]x\u202e", "type": "text", "missing": 0, "distinct": 1}]
    service.datasets = [dataset(columns=columns)]
    out = say("datasets", "get", "ds_1").out
    assert "\x1b" not in out
    assert "\u202e" not in out
    assert "\\x1b[31m[red]x\\u202e" in out


def test_health_is_told_and_a_server_that_is_away_is_another_exit_code(say: Say):
    assert say("health", "--json").json["status"] == "ok"
    assert "database" in say("health").out
    assert say("--url", "http://127.0.0.1:9", "health").code == 3


def test_following_a_log_prints_each_line_as_it_comes(say: Say, service: Service):
    service.replies = [stream(log(1, "Claimed by attempt 1 of 3.")), stream(log(2, "Training \x1b[31m[red]begins."), end=END)]
    said = say("jobs", "logs", "job_1", "--follow")
    assert said.code == 0, said.err
    assert [line.split("  ")[0] for line in said.out.splitlines()] == ["1", "2"]
    assert said.out.splitlines()[0].endswith("  1  info  Claimed by attempt 1 of 3.")
    assert said.out.splitlines()[1].endswith("Training \\x1b[31m[red]begins.")
    assert [seen.headers.get("last-event-id") for seen in service.seen] == [None, "1"]


def test_following_events_ends_with_the_job(say: Say, service: Service):
    service.replies = [stream(event(8, "preparing"), event(9, "succeeded"))]
    said = say("jobs", "events", "job_1", "--follow", "--after", "7")
    assert [line.split("  ")[0] for line in said.out.splitlines()] == ["8", "9"]
    assert said.out.splitlines()[1].endswith("  status  from=None, to=succeeded")
    assert service.seen[0].query == {"after": "7"}


@pytest.mark.parametrize("what", ["logs", "events"])
def test_json_of_what_is_followed_is_one_object_a_line_as_the_server_sent_it(say: Say, service: Service, what: str):
    rows = [log(1) | {"mood": "sönnig\u2028"}, log(2)] if what == "logs" else [event(1, "queued") | {"mood": 1}, event(2, "failed")]
    service.replies = [stream(*rows, end=END)]
    assert [json.loads(line) for line in say("jobs", what, "job_1", "--follow", "--json").out.split("\n")[:-1]] == rows


def test_metrics_are_listed_with_their_epoch(say: Say, filled: Path):
    heading, row = (line.split() for line in say("jobs", "metrics", "job_1").out.splitlines())
    assert heading == ["epoch", "step", "task", "split", "metric", "value"]
    assert row == ["1", "1", "sentiment", "test", "accuracy", "0.88"]


def test_version_is_told(say: Say):
    assert say("--version").out == "0.1.0\n"


def test_a_report_is_written_as_a_page(say: Say, filled: Path, tmp_path: Path):
    said = say("jobs", "report", "job_1", "--html", str(tmp_path / "report.html"))
    assert (said.code, said.err) == (0, "")
    assert "report.html" in said.out
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == PAGE
