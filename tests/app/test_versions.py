"""Datasets from finished uploads, versions that append or replace, and the difference between two."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from headstart.blobs.growing import Growing
from headstart.blobs.local import LocalBlobs, file_sha256
from headstart.data.joining import ParentTable
from headstart.data.limits import ReadLimits
from headstart.data.reading import InvalidDataset, read_dataset
from headstart.specs.ids import new_id
from headstart.store import datasets
from headstart.store.tables import Dataset
from tests.app.service import Running, problem
from tests.app.test_uploads import BYTES, TUS, announced, file_of, metadata, send

ROWS = b"id,review,label\n1,fine,pos\n2,dull,neg\n3,good,pos\n"


def finished(client: httpx.Client, content: bytes = ROWS, *, name: str | None = "reviews.csv") -> str:
    about = {} if name is None else {"Upload-Metadata": metadata(filename=name)}
    where = announced(client, len(content), **about)
    assert send(client, where, content, 0).status_code == 204
    return where.rpartition("/")[2]


def read(running: Running, dataset_id: str) -> None:
    """What a worker does with an upload, without the worker."""
    blobs = running.services.blobs
    with running.services.database.write() as session:
        row = session.get_one(Dataset, dataset_id)
        target = blobs.path(datasets.table_key(row.id, row.epoch))
        target.parent.mkdir(parents=True)
        parent = None
        if (told := datasets.parent_of(row)) is not None:
            before = session.get_one(Dataset, told.dataset)
            parent = ParentTable(blobs.path(datasets.table_key(before.id, before.epoch)), told.how, told.key)
        try:
            source = blobs.path(datasets.upload_key(row.id))
            profile = read_dataset(source, target, format=row.format, types=row.types, limits=ReadLimits(), mode=row.mode, parent=parent)  # type: ignore[arg-type]
            datasets.mark_read(row, profile.model_copy(update={"table_sha256": file_sha256(target)}))
        except InvalidDataset as error:
            datasets.mark_invalid(row, error.failure, error.problems, error.problem_count)


def rows_of(client: httpx.Client, dataset_id: str) -> list[tuple[Any, ...]]:
    page = client.get(f"/v1/datasets/{dataset_id}/rows", params={"limit": 100}).json()
    return [tuple(row["values"].values()) for row in page["data"]]


@pytest.fixture
def parent(running: Running, writer: httpx.Client) -> str:
    made = writer.post("/v1/datasets", json={"name": "reviews", "upload": finished(writer), "schema": {"label": "category"}})
    assert made.status_code == 202, made.text
    read(running, made.json()["id"])
    return str(made.json()["id"])


def version(client: httpx.Client, parent: str, **body: Any) -> httpx.Response:
    return client.post(f"/v1/datasets/{parent}/versions", json=body)


def test_a_finished_upload_becomes_a_dataset_without_a_copy(running: Running, writer: httpx.Client):
    upload = finished(writer)
    inode = file_of(running, upload).stat().st_ino
    response = writer.post("/v1/datasets", json={"name": "reviews", "upload": upload, "schema": {"label": "category"}})
    made = response.json()
    assert (response.status_code, response.headers["location"]) == (202, f"/v1/datasets/{made['id']}")
    assert (made["format"], made["bytes"], made["status"], made["version"]) == ("csv", len(ROWS), "pending", 1)
    assert running.files() == [f"datasets/{made['id']}/upload"]
    stored = running.services.blobs.path(datasets.upload_key(made["id"]))
    assert (stored.stat().st_ino, stored.read_bytes(), made["sha256"]) == (inode, ROWS, file_sha256(stored))
    assert running.bell.rung == [made["id"]]
    shown = writer.get(f"/v1/uploads/{upload}")
    assert (shown.json()["dataset"], shown.json()["received_bytes"], shown.headers["upload-offset"]) == (
        made["id"],
        len(ROWS),
        str(len(ROWS)),
    )
    assert writer.get("/v1/uploads").json()["data"] == []
    assert problem(send(writer, f"/v1/uploads/{upload}", b"", len(ROWS)))["code"] == "state_conflict"
    assert writer.delete(f"/v1/uploads/{upload}", headers=TUS).status_code == 204
    assert stored.exists()


def test_an_upload_is_used_once_and_a_repeat_gets_the_first_answer(running: Running, writer: httpx.Client):
    upload = finished(writer)
    body = {"name": "reviews", "upload": upload}
    first, again = (writer.post("/v1/datasets", json=body, headers={"Idempotency-Key": "k"}) for _ in range(2))
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    used = problem(writer.post("/v1/datasets", json=body))
    assert used == {
        "type": "/docs/errors#state_conflict",
        "title": "State conflict",
        "status": 409,
        "code": "state_conflict",
        "detail": f"The upload has become dataset {first.json()['id']} already.",
        "hint": "Upload the file again.",
        "errors": [],
    }
    assert running.files() == [f"datasets/{first.json()['id']}/upload"]


def test_an_unfinished_upload_is_409_and_stays(running: Running, writer: httpx.Client):
    where = announced(writer, 10, **{"Upload-Metadata": metadata(filename="a.csv")})
    assert send(writer, where, b"12345", 0).status_code == 204
    refused = problem(writer.post("/v1/datasets", json={"name": "reviews", "upload": where.rpartition("/")[2]}))
    assert (refused["status"], refused["code"], refused["detail"]) == (409, "state_conflict", "The upload has 5 of 10 bytes.")
    assert len(running.files()) == 1
    assert send(writer, where, b"67890", 5).status_code == 204


def test_anothers_upload_is_422_like_one_that_never_was(running: Running, writer: httpx.Client):
    upload = finished(writer)
    with running.client("stranger") as stranger:
        told = [problem(stranger.post("/v1/datasets", json={"name": "a", "upload": each})) for each in (upload, new_id("upl"), "x", "../a")]
    assert told[0] == {
        "type": "/docs/errors#upload_not_found",
        "title": "Upload not found",
        "status": 422,
        "code": "upload_not_found",
        "detail": "There is no such upload.",
        "hint": "It may have expired; GET /v1/uploads lists those that are.",
        "errors": [{"pointer": "/upload", "row": None, "message": "no such upload"}],
    }
    assert told[1:] == told[:1] * 3
    assert len(running.files()) == 1


class Disturbed(LocalBlobs):
    """Does something of its own just before or after one of its files is opened to grow, or linked."""

    def __init__(self, root: Path, when: str, disturb: Callable[[], object]) -> None:
        super().__init__(root)
        self._when, self._disturb = when, disturb

    def grow(self, key: str) -> Growing:
        if self._when == "before it is opened":
            self._disturb()
        return super().grow(key)

    def link(self, key: str, to: str) -> None:
        if self._when == "before it is linked":
            self._disturb()
        super().link(key, to)
        if self._when == "after it is linked":
            self._disturb()


@pytest.mark.parametrize("when", ["before it is opened", "before it is linked", "after it is linked"])
def test_an_upload_that_is_deleted_while_a_dataset_is_made_of_it_is_422_and_no_file_stays(
    running: Running, writer: httpx.Client, when: str
):
    upload = finished(writer)
    delete = partial(writer.delete, f"/v1/uploads/{upload}", headers=TUS)
    running.services.blobs = Disturbed(running.services.blobs.root, when, delete)
    with running.client("writer") as client:
        refused = problem(client.post("/v1/datasets", json={"name": "reviews", "upload": upload}))
    assert (refused["status"], refused["code"], refused["errors"][0]["pointer"]) == (422, "upload_not_found", "/upload")
    assert running.files() == []


@pytest.mark.parametrize(
    ("body", "code", "pointer"),
    [
        ({"upload": "u"}, "invalid_field", "/name"),
        ({"name": "a"}, "invalid_field", "/upload"),
        ({"name": "A", "upload": "u"}, "invalid_field", "/name"),
        ({"name": "a", "upload": "u", "format": "xls"}, "invalid_field", "/format"),
        ({"name": "a", "upload": "u", "schema": {"label": "word"}}, "invalid_field", "/schema/label"),
        ({"name": "a", "upload": "u", "types": {}}, "unknown_field", "/types"),
        ({"name": "a", "upload": "u", "workspace_id": "ws_1"}, "unknown_field", "/workspace_id"),
    ],
)
def test_a_bad_body_is_422_and_points_to_the_field(lasting: Running, body: dict[str, Any], code: str, pointer: str):
    with lasting.client("writer") as client:
        told = problem(client.post("/v1/datasets", json=body))
    assert (told["status"], told["code"], told["errors"][0]["pointer"]) == (422, code, pointer)


def test_a_format_that_nothing_tells_is_asked_for(running: Running, writer: httpx.Client):
    upload = finished(writer, name=None)
    refused = problem(writer.post("/v1/datasets", json={"name": "a", "upload": upload}))
    assert (refused["code"], refused["errors"][0]["pointer"]) == ("invalid_field", "/format")
    assert writer.post("/v1/datasets", json={"name": "a", "upload": upload, "format": "csv"}).json()["format"] == "csv"


def test_rows_that_are_appended_follow_those_that_were_there(running: Running, writer: httpx.Client, parent: str):
    response = version(writer, parent, append={"rows": [{"label": "neg", "review": "bad", "id": 4}, {"id": "5", "review": "nice"}]})
    made = response.json()
    assert (response.status_code, made["status"], made["name"], made["version"]) == (202, "pending", "reviews", 2)
    assert (made["format"], made["parent"]) == ("jsonl", {"dataset": parent, "how": "append", "key": None})
    assert running.bell.rung[-1] == made["id"]
    read(running, made["id"])
    assert rows_of(writer, made["id"]) == [
        ("1", "fine", "pos"), ("2", "dull", "neg"), ("3", "good", "pos"), ("4", "bad", "neg"), ("5", "nice", None),
    ]  # fmt: skip
    assert rows_of(writer, parent) == [("1", "fine", "pos"), ("2", "dull", "neg"), ("3", "good", "pos")]
    seen = writer.get(f"/v1/datasets/{made['id']}").json()
    assert (seen["rows"], seen["columns"][2]["missing"]) == (5, 1)


def test_rows_that_are_replaced_keep_their_place_and_what_is_not_said(running: Running, writer: httpx.Client, parent: str):
    rows = [{"id": 7, "label": "neg"}, {"id": 3, "label": "neg"}, {"id": 1, "label": None}]
    made = version(writer, parent, replace={"key": "id", "rows": rows}).json()
    assert made["parent"] == {"dataset": parent, "how": "replace", "key": "id"}
    read(running, made["id"])
    assert rows_of(writer, made["id"]) == [("1", "fine", None), ("2", "dull", "neg"), ("3", "good", "neg"), ("7", None, "neg")]


def test_a_version_comes_also_from_an_upload_or_a_multipart_file(running: Running, writer: httpx.Client, parent: str):
    upload = finished(writer, b"review,id\nbad,4\n")
    first = version(writer, parent, append={"upload": upload}).json()
    read(running, first["id"])
    assert rows_of(writer, first["id"])[3:] == [("4", "bad", None)]
    file = {"file": ("more.csv", b"id,label\n2,pos\n")}
    made = writer.post(f"/v1/datasets/{first['id']}/versions", data={"how": "replace", "key": "id"}, files=file)
    assert (made.status_code, made.json()["version"], made.json()["parent"]["dataset"]) == (202, 3, first["id"])
    read(running, made.json()["id"])
    assert rows_of(writer, made.json()["id"])[1:2] == [("2", "dull", "pos")]
    assert problem(version(writer, parent, append={"upload": upload}))["code"] == "state_conflict"
    for data in ({}, {"how": "merge"}, {"how": "replace"}, {"how": "append", "key": "id"}, {"how": "append", "name": "a"}):
        refused = writer.post(f"/v1/datasets/{parent}/versions", data=data, files=file)
        assert refused.status_code == 422, data
    assert sorted(running.files()) == sorted({name for name in running.files() if not name.startswith("uploads")})


def test_the_same_version_again_under_one_key_is_one(running: Running, writer: httpx.Client, parent: str):
    body = {"append": {"rows": [{"id": 4}]}}
    first, again = (writer.post(f"/v1/datasets/{parent}/versions", json=body, headers={"Idempotency-Key": "k"}) for _ in range(2))
    assert first.json() == again.json()
    assert len(writer.get("/v1/datasets").json()["data"]) == 2


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "nothing": ({}, "invalid_field", ""),
    "both": ({"append": {"rows": [{}]}, "replace": {"key": "id", "rows": [{}]}}, "invalid_field", ""),
    "no rows": ({"append": {}}, "invalid_field", "/append"),
    "an empty list": ({"append": {"rows": []}}, "invalid_field", "/append/rows"),
    "rows and an upload": ({"append": {"rows": [{"id": 1}], "upload": "u"}}, "invalid_field", "/append"),
    "no key": ({"replace": {"rows": [{"id": 1}]}}, "invalid_field", "/replace/key"),
    "a key that is no column": ({"replace": {"key": "ids", "rows": [{"id": 1}]}}, "column_not_found", "/replace/key"),
    "a stated column that is none": ({"append": {"rows": [{"id": 1}]}, "schema": {"labels": "category"}}, "column_not_found", "/schema"),
    "text that would be images": ({"append": {"rows": [{"id": 1}]}, "schema": {"review": "image"}}, "invalid_field", "/schema/review"),
    "an unknown key": ({"append": {"rows": [{"id": 1}], "how": "fast"}}, "unknown_field", "/append/how"),
    "another upload": ({"append": {"upload": "upl_1"}}, "upload_not_found", "/append/upload"),
}


def test_a_version_that_cannot_be_is_422_and_leaves_nothing(running: Running, writer: httpx.Client, parent: str):
    before = running.files()
    for case, (body, code, pointer) in REFUSED.items():
        told = problem(version(writer, parent, **body))
        assert (told["status"], told["code"], told["errors"][0]["pointer"]) == (422, code, pointer), case
    assert running.files() == before


def test_a_key_that_is_no_column_is_pointed_at_where_it_was_sent(running: Running, writer: httpx.Client, parent: str):
    form = {"data": {"how": "replace", "key": "nope"}, "files": {"file": ("more.csv", b"id\n1\n")}}
    for sent, pointer in ((form, "/key"), ({"json": {"replace": {"key": "nope", "rows": [{"id": 1}]}}}, "/replace/key")):
        told = problem(writer.post(f"/v1/datasets/{parent}/versions", **sent))
        assert (told["status"], told["code"], told["errors"][0]["pointer"]) == (422, "column_not_found", pointer)


def test_a_version_needs_a_parent_that_is_ready_and_keeps_it_until_it_is_read(running: Running, writer: httpx.Client, parent: str):
    made = version(writer, parent, append={"rows": [{"id": 4}]}).json()
    assert problem(version(writer, made["id"], append={"rows": [{"id": 5}]}))["code"] == "dataset_not_ready"
    refused = problem(writer.delete(f"/v1/datasets/{parent}"))
    assert (refused["code"], refused["detail"]) == ("in_use", f"Dataset {made['id']} is being made from this one.")
    read(running, made["id"])
    assert writer.delete(f"/v1/datasets/{parent}").status_code == 204
    assert writer.get(f"/v1/datasets/{made['id']}").json()["parent"]["dataset"] == parent
    assert len(rows_of(writer, made["id"])) == 4


def test_a_version_keeps_the_column_types_that_were_stated_and_others_are_guessed_anew(running: Running, writer: httpx.Client, parent: str):
    def types(dataset_id: str) -> list[str]:
        return [column["type"] for column in writer.get(f"/v1/datasets/{dataset_id}").json()["columns"]]

    assert types(parent) == ["number", "text", "category"]
    stated = version(writer, parent, append={"rows": [{"id": 4}]}, schema={"id": "number"}).json()
    read(running, stated["id"])
    words = {"rows": [{"id": "unknown", "label": "a label of its own"}]}
    made = version(writer, parent, append=words).json()
    read(running, made["id"])
    assert types(made["id"]) == ["text", "text", "category"]
    retyped = writer.get(f"/v1/datasets/{made['id']}/diff").json()["columns"]["retyped"]
    assert retyped == [{"column": "id", "before": "number", "after": "text"}]
    refused = version(writer, stated["id"], append=words).json()
    read(running, refused["id"])
    assert writer.get(f"/v1/datasets/{refused['id']}").json()["error"]["code"] == "not_a_number"
    assert writer.get(f"/v1/datasets/{refused['id']}/problems").json()["data"][0]["row"] == 1  # of the file that was sent


def test_lenient_drops_bad_new_rows_however_they_come(running: Running, writer: httpx.Client, parent: str):
    told = {"schema": {"label": "category", "score": "number"}, "mode": "lenient"}
    first = writer.post(
        "/v1/datasets", json={"name": "scored", "upload": finished(writer, b"text,score\na,1\nb\nc,2\n"), **told | {"schema": {}}}
    )
    assert (first.status_code, first.json()["mode"]) == (202, "lenient")
    read(running, first.json()["id"])
    rows = [{"text": "d", "score": 3}, {"text": "e", "score": "many"}]
    made = [
        version(writer, first.json()["id"], append={"rows": rows}, schema={"score": "number"}, mode="lenient"),
        writer.post(
            f"/v1/datasets/{first.json()['id']}/versions",
            data={"how": "append", "schema": '{"score": "number"}', "mode": "lenient"},
            files={"file": ("more.csv", b"text,score\nd,3\ne,many\n")},
        ),
    ]
    for response in made:
        assert (response.status_code, response.json()["mode"]) == (202, "lenient"), response.text
        read(running, response.json()["id"])
        seen = writer.get(f"/v1/datasets/{response.json()['id']}").json()
        assert (seen["status"], seen["rows"], seen["dropped_rows"]) == ("ready", 3, 1)
        assert rows_of(writer, seen["id"]) == [("a", "1"), ("c", "2"), ("d", "3")]
        [told_of] = writer.get(f"/v1/datasets/{seen['id']}/problems").json()["data"]
        assert (told_of["row"], told_of["code"]) == (2, "not_a_number")
    strict = version(writer, first.json()["id"], append={"rows": rows}, schema={"score": "number"}).json()
    read(running, strict["id"])
    assert (strict["mode"], writer.get(f"/v1/datasets/{strict['id']}").json()["status"]) == ("strict", "invalid")


def test_a_difference_counts_rows_labels_and_columns(running: Running, writer: httpx.Client, parent: str):
    rows = [{"id": 3, "label": "neg"}, {"id": 9, "review": "new", "label": "pos"}]
    made = version(writer, parent, replace={"key": "id", "rows": rows}).json()
    read(running, made["id"])
    diff = writer.get(f"/v1/datasets/{made['id']}/diff", params={"key": "id"}).json()
    assert diff == {
        "object": "dataset_diff",
        "dataset": made["id"],
        "against": parent,
        "key": "id",
        "columns": {"common": ["id", "review", "label"], "added": [], "removed": [], "retyped": []},
        "rows": {"before": 3, "after": 4, "added": 1, "removed": 0, "changed": 1, "unchanged": 2},
        "labels": {"label": {"before": {"neg": 1, "pos": 2}, "after": {"neg": 2, "pos": 2}}},
        "added": [4],
        "removed": [],
        "changed": [{"before": 3, "after": 3}],
        "unchanged": [{"before": 1, "after": 1}, {"before": 2, "after": 2}],
        "has_more": False,
        "next": None,
    }
    without = writer.get(f"/v1/datasets/{made['id']}/diff", params={"against": "reviews:1"}).json()
    assert without["rows"] == {"before": 3, "after": 4, "added": 2, "removed": 1, "changed": 0, "unchanged": 2}
    assert (without["added"], without["removed"]) == ([3, 4], [3])


def test_a_difference_is_paged(running: Running, writer: httpx.Client, parent: str):
    made = version(writer, parent, append={"rows": [{"id": number} for number in range(100, 125)]}).json()
    read(running, made["id"])
    seen: list[int] = []
    after = None
    while True:
        page = writer.get(f"/v1/datasets/{made['id']}/diff", params={"limit": 10, **({"after": after} if after else {})}).json()
        seen += page["added"]
        assert page["rows"]["added"] == 25
        after = page["next"]
        assert page["has_more"] == (after is not None)
        if after is None:
            break
    assert seen == list(range(4, 29))


def test_a_difference_that_cannot_be_is_refused(running: Running, writer: httpx.Client, parent: str):
    where = f"/v1/datasets/{parent}/diff"
    assert problem(writer.get(where))["errors"] == [{"pointer": "/against", "row": None, "message": "is required"}]
    missing = problem(writer.get(where, params={"against": parent, "key": "ids"}))
    assert (missing["code"], missing["hint"]) == ("column_not_found", "Both have: id, review, label. Did you mean 'id'?")
    with running.client("stranger") as stranger:
        theirs = stranger.post("/v1/datasets", files={"name": (None, "b"), "file": ("b.csv", ROWS)}).json()["id"]
    read(running, theirs)
    told = [problem(writer.get(where, params={"against": each})) for each in (theirs, new_id("ds"), "nobody", "..")]
    assert told == told[:1] * 4
    assert told[0]["status"] == 404


def test_the_bytes_of_an_upload_that_a_dataset_shares_are_out_of_reach(running: Running, writer: httpx.Client):
    upload = finished(writer)
    made = writer.post("/v1/datasets", json={"name": "reviews", "upload": upload}).json()
    late = writer.patch(f"/v1/uploads/{upload}", content=b"more", headers={**BYTES, "Upload-Offset": str(len(ROWS))})
    assert late.status_code == 409
    assert running.services.blobs.path(datasets.upload_key(made["id"])).read_bytes() == ROWS
