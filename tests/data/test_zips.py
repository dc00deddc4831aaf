"""Zip archives of images and recordings: good ones in every layout, and those of people who mean harm."""

from __future__ import annotations

import io
import stat
import struct
import unicodedata
import warnings
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstart.blobs.local import file_sha256
from headstart.data.archives import MAX_NAME_CHARS
from headstart.data.batches import MAX_BYTES
from headstart.data.limits import ReadLimits
from headstart.data.preview import preview
from headstart.data.problems import HINTS, Problems
from headstart.data.table import cells, open_table
from headstart.data.zip_rows import zip_batches
from headstart.specs.datasets import DatasetProfile
from tests.data.media_files import archive, image, recording, renamed

SHARED = Path(__file__).parents[3] / "shared" / "data"
A, B = image(1), image(2)
CLASSES = {"cat/1.png": A, "dog/2.png": B}


def columns(reader: Any) -> dict[str, list[Any]]:
    table = open_table(reader.target)
    return {name: table.column(name).to_pylist() for name in table.column_names}


# --- layouts


def test_folders_are_classes_and_files_keep_their_bytes(reader):
    profile = reader.read(archive(CLASSES), "zip")
    assert columns(reader) == {"image": [A, B], "label": ["cat", "dog"]}
    assert [(column.name, column.type, column.missing, column.distinct) for column in profile.columns] == [
        ("image", "image", 0, 2),
        ("label", "text", 0, 2),
    ]


def test_folders_of_splits_hold_folders_of_classes(reader):
    names = ["train/cat/1.png", "validation/cat/1.png", "Test/dog/1.png"]
    reader.read(archive([(name, image(number)) for number, name in enumerate(names)]), "zip")
    assert columns(reader) == {
        "image": [image(0), image(1), image(2)],
        "label": ["cat", "cat", "dog"],
        "split": ["train", "validation", "test"],
    }


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
def test_recordings_make_a_column_of_audio(reader, kind):
    sounds = [recording(number, 0.5 + number, kind=kind) for number in range(2)]
    profile = reader.read(archive({"low/a.wav": sounds[0], "high/b.wav": sounds[1]}), "zip")
    assert columns(reader) == {"audio": sounds, "label": ["low", "high"]}
    audio = profile.column("audio")
    assert (audio.type, audio.longest, audio.mean_pixels) == ("audio", max(map(len, sounds)), None)
    assert audio.mean_seconds == pytest.approx(1.0, abs=0.1)


def test_the_folder_that_was_zipped_is_no_class(reader):
    reader.read(archive({f"photos/{name}": content for name, content in CLASSES.items()}), "zip")
    assert columns(reader)["label"] == ["cat", "dog"]
    reader.read(archive({"photos/train/cat/1.png": A, "photos/train/dog/1.png": B}), "zip")
    assert columns(reader)["split"] == ["train", "train"]


@pytest.mark.parametrize("folder", ["", "photos/"])
@pytest.mark.parametrize(
    ("table", "content"),
    [
        ("metadata.csv", b"file_name,breed,age\ndogs/2.png,pug,3\n./dogs/1.png,,4\n"),
        ("metadata.jsonl", b'{"file_name": "dogs/2.png", "breed": "pug", "age": 3}\n{"file_name": "./dogs/1.png", "age": 4}\n'),
    ],
)
def test_a_table_names_the_files_and_says_what_they_are(reader, folder, table, content):
    members = {f"{folder}dogs/1.png": A, f"{folder}dogs/2.png": B, f"{folder}unused.png": A}
    reader.read(archive({**members, folder + table: content}), "zip")
    found = columns(reader)
    assert found["image"] == [B, A]
    assert (found["breed"], found["age"]) == (["pug", None], ["3", "4"])
    assert len(found["file_name"]) == 2


def test_a_table_may_give_new_columns_late(reader):
    rows = [b'{"file_name": "1.png"}'] * 5_000 + [b'{"file_name": "1.png", "late": "x"}']
    reader.read(archive({"1.png": A, "metadata.jsonl": b"\n".join(rows)}), "zip")
    assert columns(reader)["late"] == [None] * 5_000 + ["x"]


def test_what_file_managers_leave_behind_is_passed_over(reader):
    litter = ["__MACOSX/cat/._1.png", "cat/.DS_Store", "Thumbs.db", "dog/Desktop.ini", ".git/x", "README.md", "LICENSE", "empty/"]
    reader.read(archive([*CLASSES.items(), *((name, b"" if name.endswith("/") else b"x") for name in litter)]), "zip")
    assert columns(reader)["label"] == ["cat", "dog"]


def test_names_in_utf8_are_read_whether_the_archive_says_so_or_not(reader):
    said = archive({"käse/1.png": A, "brot/1.png": B})
    silent = bytearray(said)
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        position = said.find(mark)
        flags = struct.unpack_from("<H", said, position + at)[0]
        struct.pack_into("<H", silent, position + at, flags & ~0x800)
    for content in (said, bytes(silent)):
        reader.read(content, "zip")
        assert columns(reader)["label"] == ["käse", "brot"]


def test_a_table_finds_a_file_whose_name_is_written_in_other_code_points(reader):
    content = archive({unicodedata.normalize("NFD", "é.png"): A, "metadata.csv": "file_name,label\né.png,x\n".encode()})
    reader.read(content, "zip")
    assert columns(reader)["image"] == [A]


def test_what_a_column_of_images_is_like(reader):
    profile = reader.read(archive({"a/1.png": image(1, (10, 10)), "a/2.png": image(2, (30, 10)), "b/1.png": image(1, (10, 10))}), "zip")
    column = profile.column("image")
    assert (column.distinct, column.values, column.mean_seconds) == (2, None, None)
    assert column.mean_pixels == pytest.approx(500 / 3)
    assert column.mean_length == pytest.approx(sum(map(len, columns(reader)["image"])) / 3)


def test_a_preview_describes_files_and_shows_no_byte_of_them(reader):
    reader.read(archive({"a/1.png": image(1, (640, 480)), "b/2.jpg": image(2, (30, 10), "JPEG")}), "zip")
    shown = [row.values for row in preview(reader.target, file_sha256(reader.target), 0, 5)]
    first, second = (len(content) for content in columns(reader)["image"])
    assert shown == [
        {"image": f"PNG image, 640×480, {first:,} bytes", "label": "a"},
        {"image": f"JPEG image, 30×10, {second:,} bytes", "label": "b"},
    ]
    sound = recording()
    reader.read(archive({"a/1.wav": sound, "b/2.wav": sound}), "zip")
    shown = [row.values for row in preview(reader.target, file_sha256(reader.target), 1, 1)]
    assert shown == [{"audio": f"WAV audio, 0.10 s, {len(sound):,} bytes", "label": "b"}]


def test_cells_are_read_one_by_one(reader):
    reader.read(archive(CLASSES), "zip")
    files = cells(open_table(reader.target), "image")
    assert (len(files), files[1], files[-1], list(files), list(files[:1])) == (2, B, B, [A, B], [A])
    with pytest.raises(IndexError):
        files[2]


def test_files_are_given_out_no_more_at_once_than_memory_should_hold(reader):
    noise = [recording(number, 4.0, 48_000) for number in range(30)]  # 384 KB each
    content = io.BytesIO(archive([(f"{number % 2}/{number}.wav", sound) for number, sound in enumerate(noise)]))
    sizes = [[len(cell or b"") for cell in batch.columns[0]] for batch in zip_batches(content, ReadLimits(), Problems(10))]
    assert sum(map(len, sizes)) == 30
    assert max(map(sum, sizes)) < MAX_BYTES + max(map(len, noise))


@pytest.mark.parametrize(
    ("name", "rows", "names"),
    [
        ("trashnet_mini", 867, ["image", "file_name", "split", "label"]),
        ("fsdd", 1_200, ["audio", "file_name", "split", "digit", "transcript", "speaker"]),
        ("bccd_counts", 364, ["image", "file_name", "split", "rbc_count", "wbc_count", "platelet_count", "has_platelets"]),
    ],
)
def test_real_archives_are_read_whole(reader, name, rows, names):
    path = SHARED / name / f"{name}.zip"
    if not path.is_file():
        pytest.skip("the shared data are not on this machine")
    profile = reader.read(path.read_bytes(), "zip")
    assert (profile.rows, [column.name for column in profile.columns]) == (rows, names)
    with zipfile.ZipFile(path) as opened:
        table = open_table(reader.target)
        for row in (0, rows // 2, rows - 1):
            assert cells(table, names[0])[row] == opened.read(table.column("file_name")[row].as_py())


# --- layouts that are none

BAD_LAYOUTS: dict[str, tuple[dict[str, bytes], str, str]] = {
    "no folder": ({"1.png": A, "2.png": B}, "one_class", "The files of the archive lie in no class folders, and there is no table."),
    "one class": ({"cat/1.png": A, "cat/2.png": B}, "one_class", "All files of the archive lie in one class folder, 'cat'."),
    "nothing but litter": ({".DS_Store": b"x"}, "no_rows", "The archive has no files."),
    "no member": ({}, "no_rows", "The archive has no files."),
    "splits without classes": (
        {"train/1.png": A, "test/2.png": B},
        "archive_layout",
        "The files lie in test, train without a folder for each class.",
    ),
    "a file too high": ({**CLASSES, "3.png": A}, "archive_layout", "The file '3.png' does not lie in a folder of a class."),
    "a file too deep": ({**CLASSES, "a/b/c/3.png": A}, "archive_layout", "The file 'a/b/c/3.png' does not lie in a folder of a class."),
    "a split of another name": (
        {"train/cat/1.png": A, "train/dog/1.png": A, "val/cat/1.png": A},
        "archive_layout",
        "The file 'val/cat/1.png' lies in 'val', which is none of train, validation and test.",
    ),
    "two tables": (
        {"metadata.csv": b"file_name\n1.png\n", "b/metadata.jsonl": b"{}", "1.png": A},
        "archive_layout",
        "The archive has more than one table: metadata.csv, b/metadata.jsonl.",
    ),
    "a table without files": (
        {"metadata.csv": b"file,label\n1.png,x\n", "1.png": A},
        "column_not_found",
        "The table 'metadata.csv' has no column 'file_name'.",
    ),
    "a table of nothing": ({"metadata.csv": b"", "1.png": A}, "no_rows", "The file is empty."),
    "a table that names other files": (
        {"metadata.csv": b"file_name\n2.png\n", "1.png": A},
        "file_not_found",
        "The table names no file that is in the archive.",
    ),
    "a table with the column that is to come": (
        {"metadata.csv": b"file_name,image\n1.png,x\n", "1.png": A},
        "bad_header",
        "The table 'metadata.csv' has a column 'image', and the files are to be called so.",
    ),
    "neither images nor sounds": (
        {"cat/1.txt": b"miau", "dog/2.txt": b"wuff"},
        "unknown_format",
        "The files of the archive are neither images nor recordings of a kind that is read here.",
    ),
}


@pytest.mark.parametrize("case", BAD_LAYOUTS)
def test_an_archive_whose_rows_are_not_clear_is_refused_in_words(reader, case):
    members, code, message = BAD_LAYOUTS[case]
    failure = reader.refused(archive(members), "zip").failure
    assert (failure.code, failure.message) == (code, message)
    assert failure.hint


def test_every_file_that_cannot_be_read_is_named_with_its_row(reader):
    cut = image(9, (50, 50))[:-30]
    members = {"a/0.png": A, "a/1.png": cut, "b/2.png": b"<svg/>", "b/3.zip": archive({"x": b"y"}), "b/4.png": b"", "b/5.wav": recording()}
    error = reader.refused(archive(members), "zip")
    assert [(problem.row, problem.column, problem.code) for problem in error.problems] == [
        (2, "image", "bad_image"),
        (3, "image", "unknown_format"),
        (4, "image", "unknown_format"),
        (5, "image", "bad_image"),
        (6, "image", "unknown_format"),
    ]
    assert error.failure.message.startswith("Row 2, the file 'a/1.png': The image cannot be read")
    assert error.failure.message.endswith(" There are 4 other problems.")
    assert error.failure.hint == HINTS["bad_image"]


def test_every_row_of_a_table_without_its_file_is_named(reader):
    table = b"file_name,label\n1.png,x\n,x\n../1.png,y\n/etc/passwd,y\n"
    error = reader.refused(archive({"1.png": A, "metadata.csv": table}), "zip")
    assert [(problem.row, problem.code) for problem in error.problems] == [
        (2, "file_not_found"),
        (3, "file_not_found"),
        (4, "file_not_found"),
    ]


def test_a_recording_that_is_silent_empty_or_endless_is_named(reader):
    silent = recording()[:44] + b"\0" * 1600
    members = {"a/0.wav": recording(), "a/1.wav": silent, "b/2.wav": recording(seconds=0), "b/3.wav": recording(seconds=3)}
    error = reader.refused(archive(members), "zip", max_seconds=2)
    assert [(problem.row, problem.code) for problem in error.problems] == [(2, "silent_audio"), (3, "empty_audio"), (4, "audio_too_long")]


def test_a_file_beyond_the_limit_is_named_and_not_read(reader):
    error = reader.refused(archive({"a/0.png": A, "b/1.wav": recording(seconds=1)}), "zip", max_media_bytes=10_000)
    assert [(problem.row, problem.code) for problem in error.problems] == [(2, "file_too_large")]


def test_a_schema_that_says_otherwise_is_refused(reader):
    assert reader.read(archive(CLASSES), "zip", {"image": "image", "label": "category"}).column("label").type == "category"
    error = reader.refused(archive(CLASSES), "zip", {"image": "text"})
    assert (error.failure.code, error.failure.message) == (
        "unsupported_type",
        "The column 'image' holds images, and the schema says that it is 'text'.",
    )


# --- harm


def linked(mode: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo("cat/3.png")
    info.create_system, info.external_attr = 3, mode << 16
    return info


def patched(content: bytes, offset: int, value: bytes) -> bytes:
    """The first entry of the list of members, changed at `offset`."""
    at = content.index(b"PK\x01\x02") + offset
    return content[:at] + value + content[at + len(value) :]


def named(name: str) -> bytes:
    return archive([*CLASSES.items(), (name, A)])


GOOD = archive(CLASSES)
HOSTILE: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "no_rows"),
    "no zip": (b"PK" * 40, "archive_corrupt"),
    "four bytes": (b"PK\x03\x04", "archive_corrupt"),
    "something before it": (b"#!/bin/sh\n" + GOOD, "archive_corrupt"),
    "cut off": (GOOD[:-10], "archive_corrupt"),
    "only its beginning": (GOOD[: len(GOOD) // 2], "archive_corrupt"),
    "up": (named("../1.png"), "archive_member"),
    "up from within": (named("cat/../../1.png"), "archive_member"),
    "absolute": (named("/cat/1.png"), "archive_member"),
    "absolute on Windows": (named("C:/1.png"), "archive_member"),
    "backslashes": (named("..\\cat\\1.png"), "archive_member"),
    "a part without a name": (named("cat//1.png"), "archive_member"),
    "a part of blanks": (named("cat/ /1.png"), "archive_member"),
    "a long name": (named("cat/" + "x" * MAX_NAME_CHARS), "archive_member"),
    "a line break": (named("cat/a\nb.png"), "archive_member"),
    "right to left": (named("cat/\u202egnp.exe"), "archive_member"),
    "a NUL": (renamed(named("cat/x0y.png"), b"cat/x0y.png", b"cat/x\0y.png"), "archive_member"),
    "a control character": (named("cat/\x7f"), "archive_member"),
    "not UTF-8 and says so": (renamed(archive({"é/1.png": A, "b/1.png": B}), "é/1.png".encode(), b"\xff\xff/1.png"), "archive_member"),
    "not UTF-8": (renamed(named("cat/xy.png"), b"cat/xy.png", b"cat/\xfe\xfd.png"), "archive_member"),
    "a symbolic link": (archive([*CLASSES.items(), (linked(stat.S_IFLNK | 0o777), b"/etc/passwd")]), "archive_member"),
    "a device": (archive([*CLASSES.items(), (linked(stat.S_IFCHR | 0o600), b"")]), "archive_member"),
    "a program with rights of its own": (archive([*CLASSES.items(), (linked(stat.S_IFREG | stat.S_ISUID | 0o755), A)]), "archive_member"),
    "encrypted": (patched(GOOD, 8, b"\x01\x00"), "archive_corrupt"),
    "LZMA": (archive(CLASSES, zipfile.ZIP_LZMA), "archive_corrupt"),
    "bzip2": (archive(CLASSES, zipfile.ZIP_BZIP2), "archive_corrupt"),
    "a method that nobody knows": (patched(GOOD, 10, b"\x63\x00"), "archive_corrupt"),
    "a version that nobody knows": (patched(GOOD, 6, b"\xff\x00"), "archive_corrupt"),
    "another checksum": (patched(GOOD, 16, b"\0\0\0\0"), "archive_corrupt"),
    "a size of one": (patched(GOOD, 24, b"\x01\0\0\0"), "archive_corrupt"),
    "a size beyond its bytes": (patched(GOOD, 20, struct.pack("<II", len(A) - 5, len(A))), "archive_corrupt"),
    "a size of gigabytes": (patched(GOOD, 24, b"\xff\xff\xff\xf0"), "archive_bomb"),
    "packed bytes beyond the next member": (patched(GOOD, 20, struct.pack("<I", 10_000)), "archive_bomb"),
    "members over each other": (GOOD.replace(struct.pack("<I", GOOD.index(b"PK\x03\x04", 4)) + b"dog", b"\0\0\0\0dog"), "archive_bomb"),
    "zeros": (archive({"a/1.png": b"\0" * 70 * 2**20, "b/1.png": A}, zipfile.ZIP_DEFLATED), "archive_bomb"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_an_archive_that_means_harm_is_refused_by_its_name(reader, case):
    content, code = HOSTILE[case]
    assert content != GOOD
    error = reader.refused(content, "zip")
    assert error.failure.code == code
    assert error.failure.hint
    assert len(error.failure.message) < 300
    assert error.failure.message.isprintable()


def test_a_name_twice_is_refused(reader):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        content = archive([*CLASSES.items(), ("cat/1.png", B), ("cat/1.png", A)])
    error = reader.refused(content, "zip")
    assert error.failure.message == "The member 'cat/1.png' is in the archive more than once."


def test_many_members_are_refused(reader):
    error = reader.refused(archive({f"{number % 2}/{number}": A for number in range(21)}), "zip", max_members=20)
    assert error.failure.message == "The archive has 21 members; at most 20 are taken."
    assert reader.refused(GOOD, "zip", max_directory_bytes=60).failure.code == "archive_bomb"


def test_a_table_beyond_the_limit_is_refused(reader):
    content = archive({"metadata.csv": b"file_name\n" + b"1.png\n" * 100, "1.png": A})
    assert reader.refused(content, "zip", max_listed_bytes=100).failure.code == "file_too_large"


def test_one_file_named_by_many_rows_cannot_fill_the_disk(reader):
    content = archive({"metadata.csv": b"file_name\n" + b"1.wav\n" * 1_000, "1.wav": recording(seconds=1)})
    assert reader.refused(content, "zip", max_decoded_bytes=10**6).failure.code == "too_large"


@settings(max_examples=150, deadline=None)
@given(
    at=st.integers(0, len(GOOD) - 1),
    value=st.integers(0, 255),
    more=st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), max_size=3),
)
def test_changed_bytes_are_refused_or_change_nothing_that_matters(shared_reader, at, value, more):
    content = bytearray(GOOD)
    for position, each in [(at, value), *more]:
        content[position] = each
    verdict = shared_reader.verdict(bytes(content), "zip")
    if isinstance(verdict, DatasetProfile):
        assert verdict.rows in {1, 2}
        assert set(columns(shared_reader)["image"]) <= {A, B}


NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)
"""Without a NUL, where the writer would cut them."""


@settings(max_examples=150, deadline=None)
@given(parts=st.lists(st.lists(NAMES, min_size=1, max_size=4), min_size=1, max_size=4))
def test_whatever_members_are_called_each_is_a_row_or_the_archive_is_refused(shared_reader, parts):
    names = dict.fromkeys("/".join(each) for each in parts)
    content = archive([(name, image(number)) for number, name in enumerate(names)])
    verdict = shared_reader.verdict(content, "zip")
    if isinstance(verdict, DatasetProfile):
        made = columns(shared_reader)
        expected = {name: image(number) for number, name in enumerate(names)}
        for content_, label in zip(made["image"], made["label"], strict=True):
            assert any(label in unicodedata.normalize("NFC", name).split("/") for name, each in expected.items() if each == content_)
    assert {path.name for path in shared_reader.target.parent.iterdir()} <= {"upload", "table.arrow"}
