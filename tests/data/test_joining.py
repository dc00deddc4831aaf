"""A version's rows are its parent's with those of a file after them, or in their place."""

from __future__ import annotations

import json
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from PIL.Image import Image

from headstart.data.images import open_image
from headstart.data.joining import ParentTable
from headstart.data.limits import ReadLimits
from headstart.data.reading import InvalidDataset, read_dataset
from headstart.data.table import open_table, open_words
from headstart.specs.datasets import DatasetProfile, ReadMode
from tests.data.media_files import archive, image, recording

LIMITS = ReadLimits()
Row = dict[str, Any]


class Versions:
    """Reads files into tables in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0

    def read(
        self,
        content: bytes | list[Row],
        kind: str = "jsonl",
        *,
        types: Any = None,
        limits: ReadLimits = LIMITS,
        mode: ReadMode = "strict",
        **parent: Any,
    ) -> Path:
        self.count += 1
        source, target = self.folder / f"{self.count}.{kind}", self.folder / f"{self.count}.arrow"
        source.write_bytes(content if isinstance(content, bytes) else b"".join(json.dumps(row).encode() + b"\n" for row in content))
        table = ParentTable(**parent) if parent else None
        types = types or {}
        self.profile: DatasetProfile = read_dataset(source, target, format=kind, types=types, limits=limits, mode=mode, parent=table)  # type: ignore[arg-type]
        return target


@pytest.fixture
def versions(tmp_path: Path) -> Versions:
    return Versions(tmp_path)


def rows(path: Path) -> list[Row]:
    found: list[Row] = open_table(path).to_pylist()
    return found


FIRST = [{"id": str(number), "text": f"text {number}", "label": "ab"[number % 2]} for number in range(10_000)]


def test_many_rows_are_appended_in_order_and_profiled_as_one_file_would_be(versions: Versions):
    more = [{"label": "c", "id": str(number), "text": "new"} for number in range(10_000, 16_000)]
    parent = versions.read(FIRST)
    joined = versions.read(more, path=parent, how="append")
    profile = versions.profile
    assert rows(joined) == [*FIRST, *more]
    assert versions.read([*FIRST, *more])
    assert profile == versions.profile


def test_rows_are_replaced_wherever_they_are_and_others_follow(versions: Versions):
    changes = [{"id": str(number), "label": "z"} for number in (9_999, 4, 12_345, 5_000)]
    joined = rows(versions.read(changes, path=versions.read(FIRST), how="replace", key="id"))
    expected = [row | {"label": "z"} if row["id"] in {"4", "5000", "9999"} else row for row in FIRST]
    assert joined == [*expected, {"id": "12345", "text": None, "label": "z"}]


def test_a_key_is_compared_as_labels_are_and_a_row_without_one_stays(versions: Versions):
    parent = versions.read(
        [{"id": " 7 ", "x": "old"}, {"id": None, "x": "none"}, {"id": "07", "x": "other"}, {"id": "e\u0301", "x": "nfd"}]
    )
    joined = rows(versions.read([{"id": "7", "x": "new"}, {"id": "\u00e9", "x": "nfc"}], path=parent, how="replace", key="id"))
    assert [row["x"] for row in joined] == ["new", "none", "other", "nfc"]


def test_a_key_that_several_old_rows_have_replaces_them_all(versions: Versions):
    parent = versions.read([{"id": "1", "x": "a"}, {"id": "2", "x": "b"}, {"id": "1", "x": "c"}])
    joined = rows(versions.read([{"id": "1", "x": "new"}], path=parent, how="replace", key="id"))
    assert [row["x"] for row in joined] == ["new", "b", "new"]


@pytest.mark.parametrize(
    ("new", "key", "code", "row"),
    [
        ([{"ids": "1"}], None, "column_not_found", None),
        ([{"x": "1"}], "id", "column_not_found", None),
        ([{"id": "1"}, {"id": None, "x": "a"}], "id", "missing_key", 2),
        ([{"id": "1"}, {"id": "2"}, {"id": "1 "}], "id", "duplicate_key", 3),
        ([{"id": "1", "n": "1"}, {"id": "2", "n": "one"}], "id", "not_a_number", 2),
        ([{"id": "1", "n": "1"}, {"id": "2", "n": "one"}], None, "not_a_number", 2),
        (b"", None, "no_rows", None),
        (b"\n\n", "id", "no_rows", None),
        (b'{"id": "1"}\n{"id": \n', None, "bad_json", 2),
        (b'{"id": "1"}\n{"id": \n', "id", "bad_json", 2),
    ],
)
def test_a_file_that_does_not_fit_is_refused_by_its_own_row_numbers(
    versions: Versions, new: Any, key: str | None, code: str, row: int | None
):
    parent = versions.read([{"id": "5", "x": "a", "n": "3"}, {"id": "6", "x": "b", "n": "4"}], types={"n": "number"})
    how = "append" if key is None else "replace"
    with pytest.raises(InvalidDataset) as caught:
        versions.read(new, path=parent, how=how, key=key, types={"n": "number"})
    assert (caught.value.failure.code, caught.value.problems[0].row) == (code, row)
    assert not (versions.folder / "2.arrow").exists()


def test_a_column_that_comes_late_is_refused_too(versions: Versions):
    parent = versions.read(FIRST[:10])
    late: list[Row] = [{"id": str(number)} for number in range(5000)]
    with pytest.raises(InvalidDataset, match="has a column 'texts'"):
        versions.read([*late, {"texts": "x"}], path=parent, how="append")
    joined = versions.read([*late, {"text": "x"}], path=parent, how="append")
    assert rows(joined)[-1] == {"id": None, "text": "x", "label": None}


def test_what_replaces_and_what_comes_of_it_are_bounded(versions: Versions):
    parent = versions.read(FIRST[:10])
    new = [{"id": str(number), "text": "x" * 1000} for number in range(50)]
    with pytest.raises(InvalidDataset, match="take more than 20,000 bytes"):
        versions.read(new, path=parent, how="replace", key="id", limits=ReadLimits(max_replacing_bytes=20_000))
    for how, key in (("append", None), ("replace", "id")):
        with pytest.raises(InvalidDataset, match="more than 49 rows"):
            versions.read(new, path=parent, how=how, key=key, limits=ReadLimits(max_rows=49))


def test_files_are_joined_byte_for_byte_and_those_of_the_parent_are_not_opened_again(versions: Versions, monkeypatch: pytest.MonkeyPatch):
    old, new, other = image(1, (64, 48)), image(2, (10, 10), "JPEG"), image(3)
    parent = versions.read(archive({"cat/1.png": old, "dog/2.png": old[:-1] + old[-1:]}), "zip")
    types = {"image": "image"}
    opened: list[int] = []

    def noting(content: bytes) -> Image:
        opened.append(len(content))
        return open_image(content)

    monkeypatch.setattr("headstart.data.media.open_image", noting)
    appended = versions.read(archive({"cat/3.jpg": new, "owl/4.png": other}), "zip", types=types, path=parent, how="append")
    assert opened == [len(new), len(other)]
    assert [row["image"] for row in rows(appended)] == [old, old, new, other]
    mean = versions.profile.columns[0].mean_pixels
    assert mean == pytest.approx((2 * 64 * 48 + 100 + 12) / 4)
    words = open_words(appended).column("image").to_pylist()
    assert words[0] == f"PNG image, 64×48, {len(old):,} bytes"
    assert words[2].startswith("JPEG image, 10×10")


def test_an_image_that_replaces_another_is_described_anew(versions: Versions):
    first, second = image(1, (64, 48)), image(2, (10, 12))
    types = {"image": "image"}
    coded = [{"id": str(number), "image": b64encode(first).decode()} for number in range(3)]
    parent = versions.read(coded, types=types)
    new = [{"id": "1", "image": b64encode(second).decode()}, {"id": "9", "image": b64encode(second).decode()}]
    joined = versions.read(new, types=types, path=parent, how="replace", key="id")
    assert [row["image"] for row in rows(joined)] == [first, second, first, second]
    assert ["10×12" in words for words in open_words(joined).column("image").to_pylist()] == [False, True, False, True]
    with pytest.raises(InvalidDataset) as caught:
        versions.read([{"id": "1", "image": b64encode(second[:40]).decode()}], types=types, path=parent, how="replace", key="id")
    assert caught.value.failure.code == "bad_image"


SPANS = {"text": "text", "tags": "tags"}


def spans(end: int) -> str:
    return json.dumps([{"start": 0, "end": end, "label": "PER"}])


def test_lenient_drops_bad_rows_of_the_file_and_none_of_those_before(versions: Versions):
    old = [{"id": str(number), "n": str(number)} for number in range(3)]
    parent = versions.read(old)
    new = b'{"id": "7", "n": 7}\n{"id": \n{"id": "8", "n": "eight"}\n{"id": "9", "n": 9}\n'
    joined = versions.read(new, types={"n": "number"}, mode="lenient", path=parent, how="append")
    assert rows(joined) == [*old, {"id": "7", "n": "7"}, {"id": "9", "n": "9"}]
    assert (versions.profile.dropped_rows, versions.profile.rows) == (2, 5)
    assert [(each.row, each.code) for each in versions.profile.problems] == [(2, "bad_json"), (3, "not_a_number")]


def test_lenient_leaves_an_old_row_as_it_was_when_the_one_that_would_replace_it_is_bad(versions: Versions):
    old = [{"id": str(number), "n": "0"} for number in range(4)]
    parent = versions.read(old)
    new: list[Row] = [
        {"id": "1", "n": "one"},
        {"id": None, "n": "5"},
        {"id": "2", "n": "2"},
        {"id": "2", "n": "3"},
        {"id": "8", "n": "eight"},
        {"id": "9", "n": "9"},
    ]
    joined = versions.read(new, types={"n": "number"}, mode="lenient", path=parent, how="replace", key="id")
    assert rows(joined) == [old[0], old[1], {"id": "2", "n": "2"}, old[3], {"id": "9", "n": "9"}]
    assert versions.profile.dropped_rows == 4
    told = {(each.row, each.code) for each in versions.profile.problems}
    assert told == {(1, "not_a_number"), (2, "missing_key"), (4, "duplicate_key"), (5, "not_a_number")}


def test_a_row_that_is_dropped_leaves_its_key_to_a_later_one(versions: Versions):
    coded = [b64encode(image(number, (8, 8))).decode() for number in range(2)]
    types = {"image": "image"}
    parent = versions.read([{"id": "1", "image": coded[0]}], types=types)
    new = [{"id": "1", "image": coded[1][:40]}, {"id": "1", "image": coded[1]}]
    joined = versions.read(new, types=types, mode="lenient", path=parent, how="replace", key="id")
    assert [row["image"] for row in rows(joined)] == [image(1, (8, 8))]
    assert versions.profile.dropped_rows == 1


@pytest.mark.parametrize("mode", ["strict", "lenient"])
def test_old_rows_that_a_new_type_does_not_fit_refuse_the_version_by_their_own_numbers(versions: Versions, mode: ReadMode):
    parent = versions.read([{"id": "1", "n": "1"}, {"id": "2", "n": "two"}])
    for how, key in (("append", None), ("replace", "id")):
        with pytest.raises(InvalidDataset, match="The version before: Row 2 has 'two'") as caught:
            versions.read([{"id": "1", "n": "3"}], types={"n": "number"}, mode=mode, path=parent, how=how, key=key)
        assert (caught.value.failure.code, caught.value.problems[0].row) == ("not_a_number", 2)


@pytest.mark.parametrize(("how", "key"), [("append", None), ("replace", "id")])
def test_a_file_without_a_good_row_makes_no_version(versions: Versions, how: str, key: str | None):
    parent = versions.read([{"id": "1", "n": "1"}])
    with pytest.raises(InvalidDataset, match="No row of the file is good") as caught:
        versions.read([{"id": "1", "n": "one"}], types={"n": "number"}, mode="lenient", path=parent, how=how, key=key)
    assert caught.value.failure.code == "no_rows"


def test_spans_that_replace_others_lie_within_the_text_that_stays(versions: Versions):
    old = [{"id": "1", "text": "Bo lives", "tags": spans(2)}, {"id": "2", "text": "Anna", "tags": spans(4)}]
    parent = versions.read(old, types=SPANS)
    joined = versions.read([{"id": "2", "tags": spans(3)}], types=SPANS, path=parent, how="replace", key="id")
    assert rows(joined) == [old[0], old[1] | {"tags": spans(3)}]
    new = [{"id": "1", "tags": spans(8)}, {"id": "2", "tags": spans(5)}]
    with pytest.raises(InvalidDataset) as caught:
        versions.read(new, types=SPANS, path=parent, how="replace", key="id")
    assert [(each.row, each.code) for each in caught.value.problems] == [(2, "span_outside")]


def test_what_is_told_of_rows_of_a_version_names_them_by_their_numbers_in_it(versions: Versions):
    parent = versions.read([{"n": str(number)} for number in range(30)])
    versions.read([{"n": "30"}, {"n": "many"}], path=parent, how="append")
    [told] = versions.profile.problems
    assert (told.code, told.row) == ("mixed_types", 32)
    assert told.message.startswith("Row 32 of the version has 'many'")


def test_recordings_of_the_version_before_are_profiled_as_in_one_file(versions: Versions, monkeypatch: pytest.MonkeyPatch):
    sounds = [recording(1, 1.234), recording(2, 0.5, rate=16_000), recording(3, 0.5)]
    coded: list[Row] = [{"id": str(number), "audio": b64encode(each).decode()} for number, each in enumerate(sounds)]
    types = {"audio": "audio"}
    whole = versions.read(coded, types=types)
    expected = versions.profile
    parent = versions.read(coded[:2], types=types)
    decoded: list[int] = []
    monkeypatch.setattr("headstart.data.media.read_recording", lambda content, *_: decoded.append(len(content)))
    joined = versions.read(coded[2:], types=types, path=parent, how="append")
    assert decoded == [len(sounds[2])]
    assert rows(joined) == rows(whole)
    assert versions.profile == expected
    assert expected.columns[1].rates == {"8000": 2, "16000": 1}
