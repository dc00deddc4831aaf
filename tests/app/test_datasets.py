"""Uploads and what becomes of them."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import socket
from typing import Any

import httpx
import pytest

from headstart.blobs.local import file_sha256
from headstart.data.limits import ReadLimits
from headstart.data.reading import InvalidDataset, read_dataset
from headstart.specs.datasets import ENDINGS, FORMATS, RowProblem
from headstart.specs.ids import new_id
from headstart.specs.problems import Failure
from headstart.store import datasets
from headstart.store.tables import Dataset
from tests.app.service import Running, problem
from tests.data.media_files import archive, image

ROWS = b"review,label\nfine,pos\ndull,neg\n"


def upload(client: httpx.Client, content: bytes = ROWS, *, filename: str = "reviews.csv", **options: Any) -> httpx.Response:
    fields = {"name": "reviews", **options.pop("data", {})}
    return client.post("/v1/datasets", data=fields, files={"file": (filename, content)}, **options)


def parts(*each: tuple[str, bytes], end: bytes = b"--x--\r\n") -> dict[str, Any]:
    """A multipart body written by hand: (Content-Disposition's rest, content)."""
    body = b"".join(b"--x\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n" % (head.encode(), content) for head, content in each)
    return {"content": body + end, "headers": {"Content-Type": "multipart/form-data; boundary=x"}}


def test_an_upload_is_stored_as_it_was_sent_and_waits_for_a_worker(running: Running, writer: httpx.Client):
    content = ROWS + os.urandom(3_000_000)
    response = upload(writer, content, data={"schema": '{"label":"category"}'})
    made = response.json()
    assert response.status_code == 202
    assert response.headers["location"] == f"/v1/datasets/{made['id']}"
    assert made == {
        "object": "dataset",
        "id": made["id"],
        "name": "reviews",
        "version": 1,
        "status": "pending",
        "format": "csv",
        "mode": "strict",
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "rows": None,
        "columns": None,
        "dropped_rows": None,
        "problem_count": 0,
        "error": None,
        "parent": None,
        "created_at": made["created_at"],
    }
    assert running.services.blobs.path(datasets.upload_key(made["id"])).read_bytes() == content
    assert running.bell.rung == [made["id"]]
    assert writer.get(response.headers["location"]).json() == made
    with running.services.database.read() as session:
        assert session.get_one(Dataset, made["id"]).types == {"label": "category"}


def test_a_name_uploaded_again_is_the_next_version(writer: httpx.Client):
    assert [upload(writer).json()["version"] for _ in range(3)] == [1, 2, 3]
    assert upload(writer, data={"name": "other"}).json()["version"] == 1
    listed = writer.get("/v1/datasets", params={"name": "reviews"}).json()
    assert [row["version"] for row in listed["data"]] == [3, 2, 1]
    assert (listed["has_more"], listed["next"]) == (False, None)


@pytest.mark.parametrize(
    ("filename", "stated", "format_"),
    [
        ("a.csv", None, "csv"),
        ("a.JSONL", None, "jsonl"),
        ("a.ndjson", None, "jsonl"),
        ("a.parquet", None, "parquet"),
        ("a.ZIP", None, "zip"),
        ("a.feather", None, "arrow"),
        ("a.csv.gz", None, "csv"),
        ("a.JSONL.ZST", None, "jsonl"),
        ("a.gz", "tsv", "tsv"),
        ("a.txt", "csv", "csv"),
        ("a.csv", "jsonl", "jsonl"),
    ],
)
def test_the_format_is_what_is_stated_or_what_the_name_tells(writer: httpx.Client, filename: str, stated: str | None, format_: str):
    data = {} if stated is None else {"format": stated}
    assert upload(writer, filename=filename, data=data).json()["format"] == format_


@pytest.mark.parametrize(
    ("head", "format_"), [(b"PK\x03\x04", "zip"), (b"PAR1", "parquet"), (b"ARROW1\0\0", "arrow"), (b"\xff\xff\xff\xff", "arrow")]
)
def test_a_name_that_tells_nothing_leaves_it_to_the_first_bytes(writer: httpx.Client, head: bytes, format_: str):
    content = head + os.urandom(10_000)
    made = upload(writer, content, filename="data").json()
    assert (made["format"], made["bytes"], made["sha256"]) == (format_, len(content), hashlib.sha256(content).hexdigest())
    assert upload(writer, head, filename="data", data={"format": "csv"}).json()["format"] == "csv"
    assert upload(writer, head[:3], filename="data").status_code == 422


def test_every_format_can_be_told_from_a_files_name():
    assert set(ENDINGS.values()) == set(FORMATS)


def test_a_list_is_paged_newest_first(writer: httpx.Client):
    for _ in range(5):
        upload(writer)
    seen, after = [], None
    while True:
        page = writer.get("/v1/datasets", params={"limit": 2, **({"after": after} if after else {})}).json()
        seen += [row["version"] for row in page["data"]]
        after = page["next"]
        assert page["has_more"] == (after is not None)
        if after is None:
            break
    assert seen == [5, 4, 3, 2, 1]


FILE = ('name="file"; filename="a.csv"', ROWS)
NAME = ('name="name"', b"reviews")
REFUSED: dict[str, tuple[dict[str, Any], int, str, str | None]] = {
    "no name": (parts(FILE), 422, "invalid_field", "/name"),
    "a name that is no name": (parts(("name=name", b"../../x"), FILE), 422, "invalid_field", "/name"),
    "no file": (parts(NAME), 422, "invalid_field", "/file"),
    "no parts": (parts(), 422, "invalid_field", "/file"),
    "two files": (parts(NAME, FILE, FILE), 422, "invalid_field", "/file"),
    "a field after the file": (parts(FILE[:0] + NAME, FILE, ("name=format", b"csv")), 422, "invalid_field", "/file"),
    "a field twice": (parts(NAME, NAME, FILE), 422, "invalid_field", "/name"),
    "an unknown field": (parts(NAME, ("name=shema", b"{}"), FILE), 422, "unknown_field", "/shema"),
    "an unknown format": (parts(NAME, ("name=format", b"feather"), FILE), 422, "invalid_field", "/format"),
    "an unknown mode": (parts(NAME, ("name=mode", b"kind"), FILE), 422, "invalid_field", "/mode"),
    "a compressed file of no known format": (
        parts(NAME, ('name="file"; filename="a.gz"', b"\x1f\x8b\x08")),
        422,
        "invalid_field",
        "/format",
    ),
    "a zip that is compressed": (parts(NAME, ('name="file"; filename="a.zip.gz"', b"\x1f\x8b\x08")), 422, "invalid_field", "/format"),
    "a name without a format": (parts(NAME, ('name="file"; filename="data"', ROWS)), 422, "invalid_field", "/format"),
    "a file without a name": (parts(NAME, ('name="file"', ROWS)), 422, "invalid_field", "/format"),
    "a schema of another kind": (parts(NAME, ("name=schema", b'{"label":"video"}'), FILE), 422, "invalid_field", "/schema/label"),
    "a schema that is a list": (parts(NAME, ("name=schema", b"[]"), FILE), 422, "invalid_field", "/schema"),
    "a schema that is not JSON": (parts(NAME, ("name=schema", b"{"), FILE), 400, "malformed_json", None),
    "a schema with NaN": (parts(NAME, ("name=schema", b'{"a":NaN}'), FILE), 422, "invalid_field", "/schema/a"),
    "a field that is not UTF-8": (parts(("name=name", b"\xff"), FILE), 422, "invalid_field", "/name"),
    "a field of 1 MB": (parts(("name=schema", b" " * 2**20), FILE), 413, "too_large", None),
    "a part without a name": (parts(("filename=a", b"")), 400, "malformed_json", None),
    "no end": (parts(NAME, FILE, end=b""), 400, "malformed_json", None),
    "half a boundary": (parts(NAME, FILE, end=b"--x"), 400, "malformed_json", None),
    "a wrong boundary": (
        {**parts(NAME, FILE), "headers": {"Content-Type": "multipart/form-data; boundary=y"}},
        400,
        "malformed_json",
        None,
    ),
    "no boundary": ({**parts(NAME, FILE), "headers": {"Content-Type": "multipart/form-data"}}, 400, "malformed_json", None),
    "a boundary of 10 KB": (
        {**parts(NAME, FILE), "headers": {"Content-Type": f"multipart/form-data; boundary={'x' * 10_000}"}},
        400,
        "malformed_json",
        None,
    ),
    "JSON": ({"json": {"name": "reviews", "upload": "upl_1"}}, 422, "upload_not_found", "/upload"),
    "no Content-Type": ({"content": ROWS}, 415, "media_type", None),
    "compressed": (
        {**parts(NAME, FILE), "headers": {"Content-Type": "multipart/form-data; boundary=x", "Content-Encoding": "gzip"}},
        415,
        "media_type",
        None,
    ),
    "10,000 parts": (parts(*[("name=zz", b"")] * 10_000), 413, "too_large", None),
    "100 files": (parts(NAME, *[FILE] * 100), 413, "too_large", None),
    "megabytes before the first part": ({**parts(NAME, FILE), "content": b"\r\n" * 2_000_000}, 413, "too_large", None),
    "a part header of 1 MB": (parts((f'name="{"n" * 2**20}"', b"")), 400, "malformed_json", None),
    "100 part headers": (parts(("name=name" + "\r\nX-A: b" * 100, b"")), 400, "malformed_json", None),
    "U+0000 in a name": (parts(('name="na\x00me"', b"")), 400, "malformed_json", None),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_bad_upload_is_refused_and_leaves_nothing(lasting: Running, case: str):
    arguments, status, code, pointer = REFUSED[case]
    before, rung = lasting.files(), list(lasting.bell.rung)
    with lasting.client("writer") as client:
        response = client.post("/v1/datasets", **arguments)
        assert client.get("/v1/datasets").status_code == 200
    told = problem(response)
    assert (told["status"], told["code"]) == (status, code), told
    if pointer is not None:
        assert [error["pointer"] for error in told["errors"]] == [pointer]
    assert (lasting.files(), lasting.bell.rung) == (before, rung)


def test_a_file_over_the_limit_is_413_and_leaves_nothing(tmp_path):
    from tests.app import service

    with service.running(tmp_path, max_upload_bytes=2**20) as running, running.client("writer") as client:
        assert upload(client, b"x" * 2**20).status_code == 202
        kept = running.files()
        for content in (b"x" * (2**20 + 1), b"x" * 2**22):
            told = problem(upload(client, content))
            assert (told["status"], told["code"]) == (413, "too_large")
        endless = (b"x" * 2**16 for _ in range(10**6))
        head = parts(NAME, FILE, end=b"")["content"].removesuffix(b"\r\n")

        def stream():
            yield head
            yield from endless

        response = client.post("/v1/datasets", content=stream(), headers={"Content-Type": "multipart/form-data; boundary=x"})
        assert problem(response)["status"] == 413
        assert running.files() == kept


def test_an_upload_that_breaks_off_leaves_nothing(running: Running):
    with socket.create_connection(running.host) as connection:
        head = f"POST /v1/datasets HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {running.secrets['writer']}\r\n"
        head += "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 9000000\r\n\r\n"
        connection.sendall(head.encode() + parts(NAME, FILE, end=b"")["content"] + b"x" * 3_000_000)
        wait_for(lambda: any("tmp" in file for file in running.files()))
    wait_for(lambda: not running.files())
    assert running.bell.rung == []


def wait_for(condition: Any) -> None:
    import time

    until = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_row_that_cannot_be_made_leaves_no_file(running: Running, writer: httpx.Client):
    with running.services.database.write() as session:
        session.connection().exec_driver_sql("CREATE TRIGGER full BEFORE INSERT ON datasets BEGIN SELECT RAISE(FAIL, 'no'); END")
    response = upload(writer)
    assert response.status_code >= 400
    assert running.files() == []
    assert running.bell.rung == []


def test_a_full_disk_is_a_503_in_words_and_leaves_nothing(running: Running, writer: httpx.Client):
    running.services.blobs.root.mkdir(parents=True)
    running.services.blobs.root.joinpath("datasets").symlink_to("/dev/full-of-nothing")
    response = upload(writer)
    assert response.status_code >= 500
    assert "/dev" not in response.text


def test_problems_are_paged_in_the_order_of_rows(running: Running, writer: httpx.Client):
    made = upload(writer).json()
    found = [RowProblem(row=row, column="label", code="ragged_row", message="short") for row in range(1, 31)]
    with running.services.database.write() as session:
        row = datasets.get_dataset(session, running.workspace, made["id"])
        datasets.mark_invalid(row, Failure(code="ragged_row", message="Row 1 is short.", hint=None), found, 30)
    first = writer.get(f"/v1/datasets/{made['id']}/problems").json()
    second = writer.get(f"/v1/datasets/{made['id']}/problems", params={"after": first["next"]}).json()
    assert [each["row"] for each in first["data"] + second["data"]] == list(range(1, 31))
    assert (first["has_more"], second["has_more"], second["next"]) == (True, False, None)
    assert writer.get(f"/v1/datasets/{made['id']}").json()["error"] == {"code": "ragged_row", "message": "Row 1 is short.", "hint": None}


def test_problems_come_as_a_table_in_which_no_cell_is_a_formula(running: Running, writer: httpx.Client):
    made = upload(writer).json()
    messages = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", 'say "so", twice\n', "Row 1 is short."]
    found = [RowProblem(row=row, column=None, code="ragged_row", message=text) for row, text in enumerate(messages, 1)]
    with running.services.database.write() as session:
        row = datasets.get_dataset(session, running.workspace, made["id"])
        datasets.mark_invalid(row, Failure(code="ragged_row", message="Row 1 is short.", hint=None), found, 8)
    path = f"/v1/datasets/{made['id']}/problems"
    asked = writer.get(path, params={"format": "csv", "limit": 1})
    assert asked.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    assert asked.headers["content-disposition"] == f'attachment; filename="{made["id"]}-problems.csv"'
    header, *rows = csv.reader(io.StringIO(asked.text, newline=""))
    assert header == ["row", "column", "code", "message"]
    assert [cells[3] for cells in rows] == ["'=1+1", "'+1", "'-1", "'@SUM(A1)", "'\t=1", "'\r=1", *messages[6:]]
    assert rows[0][:3] == ["1", "", "ragged_row"]
    assert writer.get(path, headers={"Accept": "text/csv"}).content == asked.content
    assert writer.get(path, params={"format": "json"}, headers={"Accept": "text/csv"}).json()["object"] == "list"
    assert writer.get(path, headers={"Accept": "application/json, text/csv"}).json()["object"] == "list"
    assert problem(writer.get(path, params={"format": "xlsx"}))["status"] == 422


def test_a_lenient_upload_is_ready_with_the_rows_that_were_good(running: Running, writer: httpx.Client):
    content = b"review,label\nfine,pos\nshort\ndull,neg\n"
    made = upload(writer, content, data={"mode": "lenient"}).json()
    assert (made["mode"], made["dropped_rows"]) == ("lenient", None)
    read(running, made["id"])
    seen = writer.get(f"/v1/datasets/{made['id']}").json()
    assert (seen["status"], seen["rows"], seen["dropped_rows"], seen["problem_count"]) == ("ready", 2, 1, 1)
    assert [(each["row"], each["code"]) for each in writer.get(f"/v1/datasets/{made['id']}/problems").json()["data"]] == [(2, "ragged_row")]
    assert writer.get(f"/v1/datasets/{made['id']}/profile").json()["dropped_rows"] == 1
    strict = upload(writer, content).json()
    read(running, strict["id"])
    seen = writer.get(f"/v1/datasets/{strict['id']}").json()
    assert (seen["status"], seen["mode"], seen["dropped_rows"]) == ("invalid", "strict", None)


def test_the_same_file_in_another_mode_is_another_request(writer: httpx.Client):
    headers = {"Idempotency-Key": "once"}
    first = upload(writer, headers=headers)
    assert upload(writer, headers=headers, data={"mode": "strict"}).json() == first.json()
    assert problem(upload(writer, headers=headers, data={"mode": "lenient"}))["code"] == "idempotency_mismatch"


def test_suggestions_are_tasks_that_a_plan_takes(running: Running, writer: httpx.Client, ids: dict[str, str]):
    found = writer.get(f"/v1/datasets/{ids['dataset']}/suggestions").json()
    assert found["object"] == "suggestions"
    assert found["tasks"][0]["task"] == {
        "name": "label",
        "type": "text-classification",
        "problem": "single-label",
        "inputs": {"text": "review"},
        "target": "label",
    }
    spec = {"backbone": "minilm-l6", "dataset": "reviews", "tasks": [found["tasks"][0]["task"]]}
    assert writer.post("/v1/plans", json=spec).status_code == 200


def test_deleting_takes_the_files_along(running: Running, writer: httpx.Client):
    made = upload(writer).json()
    assert writer.delete(f"/v1/datasets/{made['id']}").status_code == 204
    assert running.files() == []
    again = writer.delete(f"/v1/datasets/{made['id']}")
    assert problem(again) == problem(writer.get(f"/v1/datasets/{new_id('ds')}"))


def test_a_dataset_that_a_job_needs_stays(running: Running, writer: httpx.Client, ids: dict[str, str]):
    response = writer.delete(f"/v1/datasets/{ids['dataset']}")
    assert problem(response) == {
        "type": "/docs/errors#in_use",
        "title": "In use",
        "status": 409,
        "code": "in_use",
        "detail": f"Job {ids['job']} needs this dataset.",
        "hint": "Wait for it, or cancel it.",
        "errors": [],
    }
    assert writer.get(f"/v1/datasets/{ids['dataset']}").status_code == 200


def test_without_a_key_200_megabytes_are_refused_before_they_are_read(running: Running):
    sent = 0
    with socket.create_connection(running.host) as connection:
        connection.sendall(
            b"POST /v1/datasets HTTP/1.1\r\nHost: a\r\nContent-Type: multipart/form-data; boundary=x\r\nContent-Length: 200000000\r\n\r\n"
        )
        connection.settimeout(5)
        answer = connection.recv(4096)  # not a byte of the body has been sent
        try:
            while sent < 200_000_000:
                sent += connection.send(b"x" * 65536)
        except OSError:
            pass
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"connection: close" in answer
    assert sent < 20_000_000
    assert running.files() == []


def test_a_read_only_key_is_refused_before_the_body_is_read(running: Running):
    with socket.create_connection(running.host) as connection:
        connection.settimeout(5)
        key = running.secrets["reader"]
        connection.sendall(
            f"POST /v1/datasets HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\nContent-Length: 200000000\r\n\r\n".encode()
        )
        assert connection.recv(4096).startswith(b"HTTP/1.1 403 ")


def test_rows_are_shown_as_they_were_read_and_long_values_are_cut(running: Running, writer: httpx.Client, ids: dict[str, str]):
    page = writer.get(f"/v1/datasets/{ids['dataset']}/rows?limit=2").json()
    assert page["data"] == [
        {"object": "row", "row": 1, "values": {"review": "great film", "label": "pos"}, "cut": []},
        {"object": "row", "row": 2, "values": {"review": "x" * 2000, "label": None}, "cut": ["review"]},
    ]
    second = writer.get(f"/v1/datasets/{ids['dataset']}/rows?limit=1").json()
    assert second["has_more"]
    assert writer.get(f"/v1/datasets/{ids['dataset']}/rows", params={"limit": 1, "after": second["next"]}).json()["data"][0]["row"] == 2


def test_rows_of_a_dataset_that_is_still_being_read_are_409(writer: httpx.Client):
    made = upload(writer, b"review,label\nfine,pos\n").json()
    for part in ("rows", "profile", "suggestions"):
        response = writer.get(f"/v1/datasets/{made['id']}/{part}")
        assert problem(response)["code"] == "dataset_not_ready"
        assert response.headers["retry-after"] == "1"


def read(running: Running, dataset_id: str) -> None:
    """What a worker does with an upload, without the worker."""
    blobs = running.services.blobs
    with running.services.database.write() as session:
        row = session.get_one(Dataset, dataset_id)
        target = blobs.path(datasets.table_key(row.id, row.epoch))
        target.parent.mkdir(parents=True)
        try:
            source = blobs.path(datasets.upload_key(row.id))
            profile = read_dataset(source, target, format=row.format, types=row.types, limits=ReadLimits(), mode=row.mode)  # type: ignore[arg-type]
            datasets.mark_read(row, profile.model_copy(update={"table_sha256": file_sha256(target)}))
        except InvalidDataset as error:
            datasets.mark_invalid(row, error.failure, error.problems, error.problem_count)


def test_a_zip_of_images_becomes_rows_that_are_described_and_a_profile(running: Running, writer: httpx.Client):
    files = {"train/cat/1.png": image(1, (640, 480)), "train/dog/1.jpg": image(2, (30, 10), "JPEG"), "test/cat/2.png": image(3)}
    made = upload(writer, archive(files), filename="pets.zip").json()
    assert (made["status"], made["format"]) == ("pending", "zip")
    read(running, made["id"])
    seen = writer.get(f"/v1/datasets/{made['id']}").json()
    assert (seen["status"], seen["rows"], seen["error"]) == ("ready", 3, None)
    assert seen["columns"] == [
        {"name": "image", "type": "image", "missing": 0, "distinct": 3},
        {"name": "label", "type": "text", "missing": 0, "distinct": 2},
        {"name": "split", "type": "text", "missing": 0, "distinct": 2},
    ]
    rows = writer.get(f"/v1/datasets/{made['id']}/rows", params={"limit": 2}).json()
    sizes = [len(content) for content in files.values()]
    assert [row["values"] for row in rows["data"]] == [
        {"image": f"PNG image, 640×480, {sizes[0]:,} bytes", "label": "cat", "split": "train"},
        {"image": f"JPEG image, 30×10, {sizes[1]} bytes", "label": "dog", "split": "train"},
    ]
    profile = writer.get(f"/v1/datasets/{made['id']}/profile").json()
    assert profile["columns"][0] == {
        "name": "image",
        "type": "image",
        "missing": 0,
        "distinct": 3,
        "longest": max(sizes),
        "mean_length": sum(sizes) / 3,
        "values": None,
        "mean_seconds": None,
        "mean_pixels": (640 * 480 + 300 + 12) / 3,
        "split_values": None,
        "lengths": None,
        "languages": None,
        "near_empty": None,
        "duplicates": {"rows": 0, "across_splits": {"validation-train": 0, "test-train": 0, "test-validation": 0}, "exact": True},
        "widths": {"min": 4, "p5": 4, "p25": 4, "median": 30, "p75": 30, "p95": 30, "max": 640},
        "heights": {"min": 3, "p5": 3, "p25": 3, "median": 10, "p75": 10, "p95": 10, "max": 480},
        "seconds": None,
        "rates": None,
    }
    assert profile["split_column"] == "split"
    assert profile["columns"][1]["mean_pixels"] is None


def test_a_zip_with_a_damaged_image_is_invalid_and_says_where(running: Running, writer: httpx.Client):
    made = upload(writer, archive({"cat/1.png": image(1), "dog/2.png": image(2)[:40]}), filename="pets.zip").json()
    read(running, made["id"])
    seen = writer.get(f"/v1/datasets/{made['id']}").json()
    assert (seen["status"], seen["problem_count"], seen["error"]["code"]) == ("invalid", 1, "bad_image")
    found = writer.get(f"/v1/datasets/{made['id']}/problems").json()["data"]
    assert found == [
        {
            "row": 2,
            "column": "image",
            "code": "bad_image",
            "message": "Row 2, the file 'dog/2.png': The image cannot be read: it is damaged or cut off.",
        }
    ]
