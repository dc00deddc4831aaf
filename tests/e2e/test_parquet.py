"""Parquet through the whole service: uploaded, read by a real worker, learnt from, or refused."""

from __future__ import annotations

import csv
import time
from pathlib import Path

import pyarrow as pa

from headstart.client import Headstart
from tests.answers import chosen
from tests.data.parquet_files import repeating, written
from tests.e2e.service import Service, wait_for


def test_a_parquet_file_is_read_and_learnt_from_like_the_same_csv_file(client: Headstart, few_tweets: Path, tmp_path: Path):
    with open(few_tweets, newline="") as file:
        rows = list(csv.DictReader(file))
    columns = {name: pa.array([row[name] for row in rows]) for name in rows[0]}
    path = tmp_path / "tweets.parquet"
    path.write_bytes(written({**columns, "label": columns["label"].dictionary_encode()}, compression="zstd"))
    parquet, plain = client.upload(path, name="columnar"), client.upload(few_tweets, name="columnar")
    assert (parquet.format, plain.format) == ("parquet", "csv")
    assert (parquet.rows, parquet.columns) == (plain.rows, plain.columns)
    assert client.get_dataset_profile(parquet.id) == client.get_dataset_profile(plain.id)
    assert client.list_dataset_rows(parquet.id).data == client.list_dataset_rows(plain.id).data
    first, second = (client.adapt(dataset, target="label", model="columnar", wait=True) for dataset in (parquet, plain))
    reports = [{name: task.model_copy(update={"dataset": None}) for name, task in job.report().tasks.items()} for job in (first, second)]
    assert reports[0] == reports[1]
    assert chosen(client.model("columnar").predict(["what a day"]).data[0].outputs["label"]).label


def test_a_small_parquet_file_of_gigabytes_is_invalid_in_seconds_and_leaves_nothing(client: Headstart, service: Service, tmp_path: Path):
    path = tmp_path / "gigabytes.parquet"
    path.write_bytes(repeating(100_000, 10_000, 5))
    began = time.monotonic()
    made = client.create_dataset(path, name="gigabytes")
    wait_for(lambda: client.get_dataset(made.id).status == "invalid", 60, "the refusal")
    assert time.monotonic() - began < 30
    seen = client.get_dataset(made.id)
    assert seen.error is not None
    assert (seen.error.code, seen.error.message) == ("decoded_too_large", "The file unpacks to more than 4,294,967,296 bytes.")
    wait_for(lambda: not (service.home / "blobs" / "datasets" / made.id).exists(), 10, "an empty folder")
