"""From a clone to an answering model: the whole path through real processes and real weights."""

from __future__ import annotations

import json
import re
import stat
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from headstart.client import Headstart
from headstart.demos import dataset_file, default_assets_root
from headstart.specs.verdict import verdict
from tests.answers import chosen
from tests.e2e.conftest import cut
from tests.e2e.service import Service

ROOT = Path(__file__).parents[2]


def test_credentials_are_readable_by_their_owner_alone(service: Service):
    file = service.home / "credentials.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert set(json.loads(file.read_text())) == {"url", "key"}


def test_adapted_tweets_beat_the_majority_class_by_ten_points(client: Headstart, tweets: Path):
    dataset = client.upload(tweets, name="tweets-full")
    job = client.adapt(dataset, text="text", target="label", backbone="demo:minilm-l6", model="tweets-full", wait=True)
    report = job.report().tasks["label"]
    assert report.rows >= 800
    assert report.metrics["accuracy"] > report.baselines["majority"]["accuracy"] + 0.10
    ends = report.intervals["accuracy"]
    assert ends[1] - 0.08 < ends[0] < report.metrics["accuracy"] < ends[1]
    assert set(report.baselines) == {"majority", "tfidf"}
    assert report.calibration is not None
    assert report.calibration.temperature is not None
    page = job.report_page()
    assert page.startswith("<!doctype html>")
    assert verdict(report) in page
    answers = client.model("tweets-full").predict(["I love this phone, best day ever!", "Worst service I have ever had, never again."]).data
    assert [chosen(answer.outputs["label"]).label for answer in answers] == ["positive", "negative"]


def test_second_job_on_the_same_texts_computes_no_row(client: Headstart, few_tweets: Path):
    dataset = client.upload(few_tweets, name="reused")
    # a layer and a pooling where no other test has been
    first, second = (
        client.adapt(dataset, target="label", model="reused", wait=True, layer="encoder.layer.1", pooling="first") for _ in range(2)
    )
    assert first.job.seconds.features > 0
    assert second.job.seconds.features == 0
    assert second.report().cache == {"rows_computed": 0, "rows_reused": 300}
    assert second.report().tasks == first.report().tasks


def test_admin_sees_what_the_cache_holds_and_how_often_it_served(client: Headstart, few_tweets: Path):
    dataset = client.upload(few_tweets, name="counted")
    before = client.get_cache()
    jobs = [client.adapt(dataset, target="label", model="counted", wait=True, layer="encoder.layer.0", pooling="max") for _ in range(2)]
    assert [job.report().cache["rows_computed"] for job in jobs] == [300, 0]
    for _ in range(100):  # the worker tells of it a moment after the job
        after = client.get_cache()
        if after.rows_reused >= before.rows_reused + 300:
            break
        time.sleep(0.1)
    assert (after.rows_computed, after.rows_reused) == (before.rows_computed + 300, before.rows_reused + 300)
    (machine,) = after.machines
    assert 0 < machine.bytes <= machine.budget_bytes
    newest = machine.keys[0]
    assert (newest.boundary, newest.pooling, newest.rows, newest.storage) == ("encoder.layer.0", "max", 300, "float32")
    assert newest.backbone is not None


def test_same_spec_and_seed_give_the_same_answers_bit_for_bit(client: Headstart, few_tweets: Path):
    dataset = client.upload(few_tweets, name="repeat")
    for _ in range(2):
        client.adapt(dataset, target="label", model="repeat", wait=True)
    texts = ["what a day", "no", "so so"]
    assert client.predict("repeat:1", texts).data == client.predict("repeat:2", texts).data


@pytest.mark.parametrize("pooling", ["mean", "first", "max", "pooler"])
def test_every_pooling_trains_and_answers(client: Headstart, few_tweets: Path, pooling: str):
    dataset = client.find_dataset("pooled") or client.upload(few_tweets, name="pooled")
    client.adapt(dataset, target="label", model=f"pooled-{pooling}", pooling=pooling, wait=True)
    assert chosen(client.predict(f"pooled-{pooling}", ["good"]).data[0].outputs["label"]).scores


@pytest.mark.parametrize("layer", ["embeddings", "encoder.layer.2", "pooler"])
def test_any_layer_can_be_the_boundary(client: Headstart, few_tweets: Path, layer: str):
    dataset = client.find_dataset("layered") or client.upload(few_tweets, name="layered")
    job = client.adapt(dataset, target="label", model="layered", layer=layer, wait=True)
    assert job.job.plan.boundary == layer


def test_own_split_column_decides_who_is_tested(client: Headstart, few_tweets: Path, tmp_path: Path):
    lines = few_tweets.read_text().splitlines()
    marked = [
        f"{line},{'split' if n == 0 else 'test' if n % 3 == 0 else 'validation' if n % 7 == 0 else 'train'}" for n, line in enumerate(lines)
    ]
    path = tmp_path / "marked.csv"
    path.write_text("\n".join(marked))
    dataset = client.upload(path, name="marked")
    job = client.adapt(dataset, target="label", model="marked", wait=True, evaluation={"split_column": "split"})
    assert job.report().tasks["label"].rows == sum(line.endswith(",test") for line in marked)


def test_events_tell_the_whole_way_without_gaps(client: Headstart, few_tweets: Path):
    dataset = client.find_dataset("told") or client.upload(few_tweets, name="told")
    job = client.adapt(dataset, target="label", model="told", wait=True)
    events = job.events()
    assert [event.seq for event in events] == list(range(1, len(events) + 1))
    states = [event.data["to"] for event in events if event.type == "status"]
    assert states == ["queued", "preparing", "training", "evaluating", "publishing", "succeeded"]


def test_cancelled_job_leaves_no_model_and_no_file(client: Headstart, service: Service, tweets: Path, tmp_path: Path):
    dataset = client.upload(cut(tweets, tmp_path / "many.csv", 4000), name="many")
    job = client.adapt(dataset, target="label", model="never", layer="encoder.layer.4", pooling="max")
    cancelled = client.cancel_job(job.id)
    assert cancelled.status in {"cancelling", "cancelled"}
    assert client.get_job(job.id, wait=20).status == "cancelled"
    assert not list((service.home / "blobs" / "artifacts").glob(f"{job.id}/e*"))
    assert "never" not in {model.name for model in client.list_models().data}


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (b"", "no_rows", "empty"),
        (b"text,label\n", "no_rows", "rows"),
        (b"text,label\na,b\nc\n", "ragged_row", "2"),
        (b'text,label\na,b\n"c,d\ne,f\n', "unclosed_quote", "2"),
        (b"text,label\na,b\n\xff\xfe,c\n", "not_utf8", "2"),
    ],
)
def test_bad_file_is_invalid_with_its_row_and_leaves_nothing(client: Headstart, service: Service, tmp_path: Path, content, code, words):
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    dataset = client.create_dataset(path, name="bad")
    while client.get_dataset(dataset.id).status in {"pending", "validating"}:
        pass
    seen = client.get_dataset(dataset.id)
    assert seen.error is not None
    assert (seen.status, seen.error.code) == ("invalid", code)
    problems = client.list_dataset_problems(dataset.id).data
    assert words in seen.error.message + " ".join(f"{problem.row} {problem.message}" for problem in problems)
    assert not (service.home / "blobs" / "datasets" / dataset.id).exists()


def test_docs_are_served_without_another_host(service: Service):
    page = httpx.get(f"{service.url}/docs", trust_env=False).text
    for address in re.findall(r"""(?:src|href)=["']([^"']+)""", page):
        assert not address.startswith(("http:", "https:", "//")), address
        if address.endswith((".js", ".css")):
            assert httpx.get(f"{service.url}{address}", trust_env=False).status_code == 200


@pytest.mark.parametrize("command", [[sys.executable, "examples/adapt.py"], ["bash", "examples/adapt.sh"]], ids=["python", "curl"])
def test_examples_run_as_they_are(service: Service, few_tweets: Path, command: list[str]):
    client_environment = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "HOME": str(service.home)}
    client_environment |= {
        "HEADSTART_URL": service.url,
        "HEADSTART_KEY": json.loads((service.home / "credentials.json").read_text())["key"],
    }
    done = subprocess.run(
        [*command, str(few_tweets), "text", "label", "what a day"],
        check=False,
        cwd=ROOT,
        env=client_environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_quickstart_prints_what_it_was_worth_and_is_quick_again(service: Service):
    for _ in range(2):
        command = [sys.executable, "examples/quickstart.py", "--home", str(service.home)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "accuracy" in done.stdout
        assert "/docs" in done.stdout
    assert "earlier run" in done.stdout


@pytest.mark.slow
def test_second_job_on_ten_thousand_texts_finds_every_row_and_features_fall_a_hundredfold(client: Headstart, tmp_path: Path):
    film = cut(dataset_file(default_assets_root(), "film"), tmp_path / "film.csv", 10_000)
    dataset = client.upload(film, name="film")
    first, second = (client.adapt(dataset, target="label", model="film", seed=seed, wait=True) for seed in (0, 1))
    assert first.report().cache == {"rows_computed": 10_000, "rows_reused": 0}
    assert second.report().cache == {"rows_computed": 0, "rows_reused": 10_000}
    assert second.job.seconds.features * 100 <= first.job.seconds.features
    assert second.job.seconds.preparing * 20 <= first.job.seconds.preparing  # looking up is counted there
