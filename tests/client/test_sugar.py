"""The errands: upload, adapt, wait, predict."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from headstart.client import Headstart, JobHandle
from headstart.client.sugar import name_of
from headstart.errors import BadInput, EngineFault, HeadstartError, Unavailable
from headstart.specs.datasets import Column, Dataset
from headstart.specs.jobs import JobStatus
from tests.answers import chosen
from tests.client.conftest import Time
from tests.client.service import Reply, Service, backbone, dataset, form, job, prediction, problem


def paths(service: Service) -> list[str]:
    return [f"{seen.method} {seen.path}" for seen in service.seen]


def test_upload_of_a_file_takes_name_and_format_from_it_and_waits_until_ready(
    client: Headstart, service: Service, write: Callable[[str, str], str]
):
    service.looks_until_ready = 3
    row = client.upload(write("My Reviews.CSV", "text,label\na,b\n"))
    assert (row.name, row.status) == ("my-reviews", "ready")
    assert form(service.seen[0])[:2] == [("name", b"my-reviews"), ("format", b"csv")]
    assert len(service.seen) == 4


def test_upload_of_rows_sends_them_as_jsonl(client: Headstart, service: Service):
    client.upload(({"text": f"naïve\n{number}", "label": None} for number in range(3)), name="rows")
    parts = dict(form(service.seen[0]))
    assert parts["format"] == b"jsonl"
    assert [json.loads(line) for line in parts["file"].splitlines()] == [{"text": f"naïve\n{n}", "label": None} for n in range(3)]


def test_upload_of_a_folder_sends_it_as_a_zip_without_hidden_files(client: Headstart, service: Service, tmp_path: Path):
    for name in ("cat/1.png", "dog/2.png", ".git/config", "dog/.DS_Store"):
        path = tmp_path / "My Pets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    row = client.upload(tmp_path / "My Pets")
    parts = dict(form(service.seen[0]))
    assert (row.name, parts["name"], parts["format"]) == ("my-pets", b"my-pets", b"zip")
    with zipfile.ZipFile(io.BytesIO(parts["file"])) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == {"cat/1.png": b"cat/1.png", "dog/2.png": b"dog/2.png"}


def test_a_folder_of_nothing_is_refused_and_nothing_is_sent(client: Headstart, service: Service, tmp_path: Path):
    (tmp_path / "empty" / ".hidden").mkdir(parents=True)
    with pytest.raises(BadInput, match="The folder 'empty' has no files"):
        client.upload(tmp_path / "empty")
    assert service.seen == []


@pytest.mark.parametrize("bad", [{"x": float("nan")}, {"x": object()}, {"x": "\ud800"}])
def test_a_row_that_is_no_json_is_named_and_nothing_is_sent(client: Headstart, service: Service, bad: dict[str, object]):
    with pytest.raises(BadInput, match="Row 2") as caught:
        client.upload([{"x": "fine"}, bad], name="rows")
    assert caught.value.faults[0].row == 2
    assert service.seen == []


def test_rows_need_a_name(client: Headstart):
    with pytest.raises(BadInput, match="need a name"):
        client.upload([{"x": 1}])


def test_an_unreadable_upload_raises_the_workers_words_and_its_first_rows(client: Headstart, service: Service):
    failure = {"code": "ragged_row", "message": "Row 17 has 3 fields.", "hint": "Quote fields."}
    service.replies = [Reply(202, dataset(status="invalid", error=failure, problem_count=1))]
    with pytest.raises(BadInput) as caught:
        client.upload([{"x": 1}], name="rows")
    assert (caught.value.code, caught.value.hint) == ("ragged_row", "Quote fields.")
    assert [fault.row for fault in caught.value.faults] == [17]


def test_upload_stops_waiting_when_its_time_is_up(client: Headstart, service: Service, time: Time):
    service.looks_until_ready = 10_000
    with pytest.raises(HeadstartError) as caught:
        client.upload([{"x": 1}], name="rows", timeout=5)
    assert caught.value.code == "still_waiting"
    assert time.now < 7


def test_adapt_registers_a_demo_backbone_once_and_uses_it_again(client: Headstart, service: Service):
    client.adapt("reviews")
    client.adapt("reviews")
    assert paths(service).count("POST /v1/backbones") == 1
    assert [seen.json["backbone"] for seen in service.seen if seen.path == "/v1/jobs"] == ["bb_1", "bb_1"]


def test_adapt_registers_anew_what_was_found_invalid_before(client: Headstart, service: Service):
    service.backbones = [backbone(id="bb_old", status="invalid")]
    client.adapt("reviews")
    assert "DELETE /v1/backbones/bb_old" in paths(service)
    assert service.seen[-1].json["backbone"] == "bb_1"


def test_adapt_takes_the_backbone_that_someone_else_registered_meanwhile(client: Headstart, service: Service):
    empty = Reply(200, {"object": "list", "data": [], "has_more": False, "next": None})
    service.backbones = [backbone(id="bb_theirs")]
    service.replies = [empty, problem(409, "state_conflict")]
    assert client.adapt("reviews").job.spec.backbone == "bb_theirs"


def test_adapt_writes_the_spec_that_was_meant(client: Headstart, service: Service):
    row = client.upload([{"x": 1}], name="reviews")
    client.adapt(
        row,
        text="review",
        target="Stars!",
        backbone="minilm-l6",
        model="stars",
        layer="encoder.layer.4",
        seed=7,
        training={"max_tokens": 64},
        evaluation={"test_size": 0.3},
    )
    assert service.seen[-1].json == {
        "backbone": "minilm-l6",
        "dataset": row.id,
        "tasks": [{"name": "label", "type": "text-classification", "inputs": {"text": "review"}, "target": "Stars!"}],
        "model": "stars",
        "method": {"type": "feature-extraction", "layer": "encoder.layer.4"},
        "training": {"seed": 7, "max_tokens": 64},
        "evaluation": {"test_size": 0.3},
    }


@pytest.mark.parametrize(
    ("given", "kind", "inputs"),
    [
        ({}, "text", {"text": "text"}),
        ({"text": "review"}, "text", {"text": "review"}),
        ({"text": "question", "text_pair": "answer"}, "text", {"text": "question", "text_pair": "answer"}),
        ({"image": "photo"}, "image", {"image": "photo"}),
        ({"audio": "clip"}, "audio", {"audio": "clip"}),
    ],
    ids=str,
)
def test_adapt_takes_the_task_from_the_column_that_is_named(
    client: Headstart, service: Service, given: dict[str, str], kind: str, inputs: dict[str, str]
):
    client.adapt("reviews", backbone="minilm-l6", **given)  # type: ignore[arg-type]
    task = service.seen[-1].json["tasks"][0]
    assert (task["type"], task["inputs"]) == (f"{kind}-classification", inputs)


@pytest.mark.parametrize(
    "given", [{"text": "a", "image": "b"}, {"image": "a", "audio": "b"}, {"text_pair": "a"}, {"image": "a", "text_pair": "b"}], ids=str
)
def test_adapt_to_columns_of_two_kinds_is_refused_before_anything_is_sent(client: Headstart, service: Service, given: dict[str, str]):
    with pytest.raises(BadInput, match="given"):
        client.adapt("reviews", **given)  # type: ignore[arg-type]
    assert service.seen == []


def with_columns(**types: Any) -> Dataset:
    columns = [Column(name=name, type=kind, missing=0, distinct=9) for name, kind in types.items()]
    return Dataset.model_validate(dataset()).model_copy(update={"columns": columns})


def test_adapt_finds_the_one_column_of_images_or_recordings(client: Headstart, service: Service):
    for row in (with_columns(photo="image", label="category"), with_columns(photo="image", clip="audio"), with_columns(clip="audio")):
        client.adapt(row, backbone="some")
    # of two it takes none: the server says which there are
    assert [seen.json["tasks"][0]["inputs"] for seen in service.seen] == [{"image": "photo"}, {"text": "text"}, {"audio": "clip"}]


@pytest.mark.parametrize(
    ("columns", "named", "inputs"),
    [
        ({"words": "tokens", "tags": "tags"}, {}, {"tokens": "words"}),
        ({"text": "text", "tags": "tags"}, {}, {"text": "text"}),
        ({"review": "text", "tags": "tags"}, {"text": "review"}, {"text": "review"}),
        ({"words": "tokens", "photo": "image", "tags": "tags"}, {}, {"tokens": "words"}),
    ],
    ids=str,
)
def test_adapt_to_tags_classifies_tokens(client: Headstart, service: Service, columns: Any, named: Any, inputs: Any):
    client.adapt(with_columns(**columns), target="tags", backbone="some", **named)
    client.adapt("reviews", target="tags", backbone="some", tokens="words")
    tasks = [seen.json["tasks"][0] for seen in service.seen]
    assert [(task["type"], task["inputs"]) for task in tasks] == [
        ("token-classification", inputs),
        ("token-classification", {"tokens": "words"}),
    ]


def test_adapt_looks_at_the_dataset_only_when_no_column_is_named(client: Headstart, service: Service):
    service.datasets = [dataset()]
    client.adapt("reviews", backbone="minilm-l6")
    client.adapt("reviews", backbone="minilm-l6", text="review")
    assert paths(service) == ["GET /v1/datasets", "POST /v1/jobs", "POST /v1/jobs"]


def test_wait_follows_a_job_to_its_end_and_shows_each_status(client: Headstart, capsys: pytest.CaptureFixture[str]):
    handle = client.adapt("reviews", backbone="minilm-l6", wait=True)
    assert handle.status == "succeeded"
    shown = capsys.readouterr()
    assert shown.out == ""
    assert [line.split()[1] for line in shown.err.splitlines()] == [
        "queued",
        "preparing",
        "training",
        "evaluating",
        "publishing",
        "succeeded",
    ]
    assert handle.model().reference == "reviews:3"


def test_wait_can_be_silent(client: Headstart, capsys: pytest.CaptureFixture[str]):
    client.adapt("reviews", backbone="minilm-l6").wait(progress=False)
    assert capsys.readouterr().err == ""


def test_a_failed_job_raises_its_own_code_and_hint(client: Headstart, service: Service):
    service.ending = "failed"
    with pytest.raises(EngineFault) as caught:
        client.adapt("reviews", backbone="minilm-l6").wait(progress=False)
    assert (caught.value.code, caught.value.hint) == ("out_of_memory", "Take fewer tokens.")


def test_a_cancelled_job_raises_cancelled(client: Headstart):
    handle = client.adapt("reviews", backbone="minilm-l6")
    handle.cancel()
    with pytest.raises(EngineFault) as caught:
        handle.wait(progress=False)
    assert caught.value.code == "cancelled"


def test_wait_gives_up_at_its_time_and_says_that_the_job_goes_on(client: Headstart, service: Service, time: Time):
    handle = client.adapt("reviews", backbone="minilm-l6")
    service.replies = [Reply(200, job(status="training", result=None)) for _ in range(100)]
    with pytest.raises(HeadstartError) as caught:
        handle.wait(progress=False, timeout=5)
    assert caught.value.code == "still_running"
    assert handle.id in str(caught.value.hint)
    assert 5 <= time.now < 6


def test_wait_outlives_a_restart_of_the_server_but_not_its_loss(client: Headstart, service: Service, time: Time):
    handle = client.adapt("reviews", backbone="minilm-l6")
    service.replies = [Reply(502, b"") for _ in range(23)]
    assert handle.wait(progress=False).status == "succeeded"
    service.replies = [Reply(502, b"") for _ in range(2000)]
    other = JobHandle(client, handle.job.model_copy(update={"status": JobStatus.QUEUED}))
    began = time.now
    with pytest.raises(Unavailable):
        other.wait(progress=False)
    assert 60 < time.now - began < 90


def test_predict_of_many_texts_is_sent_in_batches_to_one_version(client: Headstart, service: Service):
    answer = client.model("reviews@prod").predict([str(number) for number in range(600)])
    assert [len(seen.json["inputs"]) for seen in service.seen] == [256, 256, 88]
    assert [seen.path.split("/")[3] for seen in service.seen] == ["reviews@prod", "reviews:3", "reviews:3"]
    assert (len(answer.data), answer.usage.inputs, answer.usage.tokens) == (600, 600, 3000)


def test_predict_of_one_text_needs_no_brackets_on_a_handle(client: Headstart, service: Service):
    assert chosen(client.model("reviews").predict("great film", top_k=1).data[0].outputs["label"]).label == "pos"
    assert service.seen[0].json == {"inputs": ["great film"], "parameters": {"top_k": 1}}


def test_iterate_follows_next_to_the_end(client: Headstart, service: Service):
    service.datasets = [dataset(id=f"ds_{number}") for number in range(7)]
    assert [row.id for row in client.iterate(client.list_datasets, limit=3)] == [f"ds_{number}" for number in range(7)]
    assert len(service.seen) == 3


def test_a_dataset_is_found_by_id_by_name_and_by_version(client: Headstart, service: Service):
    service.datasets = [dataset(id="ds_3", version=3, status="invalid"), dataset(id="ds_2", version=2), dataset(id="ds_1", version=1)]
    found = [client.find_dataset(reference) for reference in ("ds_1", "reviews", "reviews:3", "reviews:9", "other", "ds_9")]
    assert [row and row.id for row in found] == ["ds_1", "ds_2", "ds_3", None, None, None]


@pytest.mark.parametrize(("text", "name"), [("Ünïcode file", "n-code-file"), ("a" * 80, "a" * 63), ("__x.v2", "x.v2")])
def test_a_files_name_becomes_aname_of_the_contract(text: str, name: str):
    assert name_of(text) == name


def test_a_file_without_a_usable_name_asks_for_one(client: Headstart, write: Callable[[str, str], str]):
    with pytest.raises(BadInput, match="No name can be made"):
        client.upload(write("数据.csv", "a\n"))


def test_predictions_keep_the_order_of_inputs(client: Headstart, service: Service):
    service.replies = [Reply(200, prediction(["a", "b"]))]
    assert len(client.predict("reviews", ["a", {"text": "b"}]).data) == 2
    assert service.seen[0].json["inputs"] == ["a", {"text": "b"}]
