"""Archives of tables, as Hugging Face lays them out."""

from __future__ import annotations

import gzip
import json

import pytest

from headstart.data.problems import HINTS
from headstart.data.table_folders import split_of
from tests.data.media_files import archive, image
from tests.data.parquet_files import written
from tests.data.test_compression import arrow

SPLITS = {
    "train.csv": "train",
    "data/train-00000-of-00001.parquet": "train",
    "data/train-00000-of-00001-a09b74b3ef9c3b56.parquet": "train",
    "data/test_matched-00000-of-00001.parquet": "test",
    "validation.jsonl": "validation",
    "my-valid.csv": "validation",
    "dev.tsv": "validation",
    "val/part-1.csv": "validation",
    "TRAIN.CSV": "train",
    "en/testing.csv": "test",
    "eval.csv": "test",
    "train/data-00000-of-00003.arrow": "train",
    "train/test.csv": "test",
    "reviews.csv": None,
    "contest.csv": None,
    "trains.csv": None,
    "devices/evaluated.csv": None,
}


@pytest.mark.parametrize("file", SPLITS)
def test_a_name_says_its_split_by_a_word_of_its_own(file):
    assert split_of(file) == SPLITS[file]


def rows(*texts: str, label: str = "pos") -> dict[str, list[str]]:
    return {"text": list(texts), "label": [label] * len(texts)}


def csv(*texts: str) -> bytes:
    return ("text,label\n" + "".join(f"{text},pos\n" for text in texts)).encode()


LAYOUTS = {
    "shards of Parquet": {
        "README.md": b"# A card",
        ".gitattributes": b"",
        "dataset_infos.json": b"{}",
        "data/test-00000-of-00001.parquet": written(rows("d")),
        "data/train-00001-of-00002.parquet": written(rows("c")),
        "data/train-00000-of-00002.parquet": written(rows("a", "b")),
    },
    "a table for each split": {"test.csv": csv("d"), "train.csv": csv("a", "b", "c")},
    "a folder around them": {"reviews/test.csv": csv("d"), "reviews/train.csv": csv("a", "b", "c")},
    "folders for splits": {"train/2.csv": csv("c"), "train/1.csv": csv("a", "b"), "test/1.csv": csv("d")},
    "shards that are counted": {**{f"train-{n}.csv": csv(t) for n, t in [(10, "c"), (9, "b"), (1, "a")]}, "test.csv": csv("d")},
    "several formats, some compressed": {
        "train-1.csv.gz": gzip.compress(csv("a")),
        "train-2.jsonl": b'{"label": "pos", "text": "b"}\n',
        "train-3.tsv": b"label\ttext\npos\tc\n",
        "test.arrow": arrow(rows("d"), stream=True),
    },
    "what save_to_disk writes": {
        "dataset_dict.json": b'{"splits": ["train", "test"]}',
        "train/data-00000-of-00002.arrow": arrow(rows("a"), stream=True),
        "train/data-00001-of-00002.arrow": arrow(rows("b", "c"), stream=True),
        "train/cache-0123.arrow": arrow(rows("of another time"), stream=True),
        "train/dataset_info.json": b"{}",
        "train/state.json": json.dumps(
            {"_data_files": [{"filename": f"data-0000{n}-of-00002.arrow"} for n in (0, 1)], "_indices_data_files": None}
        ).encode(),
        "test/data-00000-of-00001.arrow": arrow(rows("d"), stream=True),
        "test/state.json": b'{"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}',
    },
}


@pytest.mark.parametrize("case", LAYOUTS)
def test_the_rows_of_all_tables_come_with_their_split_train_first(reader, case):
    profile = reader.read(archive(LAYOUTS[case]), "zip")
    cells = reader.columns()
    assert sorted(cells) == ["label", "split", "text"]
    assert (cells["text"], cells["split"]) == (["a", "b", "c", "d"], ["train"] * 3 + ["test"])
    assert (profile.rows, profile.split_column) == (4, "split")
    assert {path.name for path in reader.target.parent.iterdir()} == {"upload", "table.arrow"}


def test_tables_whose_names_say_no_split_have_no_column_for_it(reader):
    reader.read(archive({"1.csv": csv("a"), "2.csv": csv("b")}), "zip")
    assert reader.columns() == rows("a", "b")


def test_digits_that_are_no_numbers_in_the_names_of_tables_are_letters_like_others(reader):
    reader.read(archive({"part1\u00b23.csv": csv("a"), "part1\u00b24.csv": csv("b")}), "zip")
    assert reader.columns() == rows("a", "b")


def test_a_column_that_a_table_lacks_is_missing_in_its_rows(reader):
    members = {
        "train.csv": csv("a"),
        "validation.jsonl": b'{"text": "b", "late": 1}\n' + b'{"text": "c"}\n' * 5_000,
        "test.csv": b"text\nd\n",
    }
    profile = reader.read(archive(members), "zip")
    cells = reader.columns()
    assert list(cells) == ["text", "label", "late", "split"]
    assert (cells["label"][:2], cells["late"][:3], cells["label"][-1]) == (["pos", None], [None, "1", None], None)
    assert profile.rows == 5_003


def test_keys_that_come_late_in_the_first_table_are_found(reader):
    lines = b'{"a": 1}\n' * 5_000 + b'{"b": 2}\n'
    reader.read(archive({"train.jsonl": lines, "test.jsonl": b'{"a": 3, "c": 4}\n'}), "zip")
    assert list(reader.columns()) == ["a", "b", "c", "split"]


def test_images_in_shards_are_files(reader):
    shards = {
        f"data/{split}-00000-of-00001.parquet": written({"image": [{"bytes": image(number), "path": None}], "label": [split]})
        for number, split in enumerate(["train", "test"])
    }
    profile = reader.read(archive(shards), "zip")
    assert profile.column("image").type == "image"
    assert reader.columns()["split"] == ["train", "test"]


def test_rows_are_counted_over_all_tables_and_the_file_is_named(reader):
    error = reader.refused(archive({"train.csv": csv("a", "b"), "test.csv": b"text,label\nc,pos\nshort\n"}), "zip")
    assert error.failure.message == "The file 'test.csv': Row 2 has 1 field; the header has 2."
    assert [(problem.row, problem.code) for problem in error.problems] == [(4, "ragged_row")]
    types = {"label": "number"}
    error = reader.refused(archive({"train.csv": b"label\n1\n", "test.csv": b"label\n2\nx\n"}), "zip", types)
    assert [(problem.row, problem.column) for problem in error.problems] == [(3, "label")]


BAD = {
    "a table of no split beside others": ({"train.csv": csv("a"), "rest.csv": csv("b")}, "archive_layout", "'rest.csv'"),
    "a table of another data set": ({"train.csv": csv("a"), "test.csv": b"x,y\n1,2\n"}, "archive_layout", "'test.csv'"),
    "a column called split": ({"train.csv": b"text,split\na,train\n"}, "bad_header", "'train.csv'"),
    "an empty table": ({"train.csv": csv("a"), "test.csv": b"text,label\n"}, "no_rows", "'test.csv'"),
    "a damaged table": ({"train.csv": csv("a"), "test.parquet": b"PAR1 and no more"}, "parquet_corrupt", "'test.parquet'"),
    "damaged compression": ({"train.csv.gz": gzip.compress(csv("a"))[:-3]}, "compression_corrupt", "'train.csv.gz'"),
    "files in one and words in another": (
        {"train.parquet": written({"image": [image(1)]}), "test.csv": b"image\nx\n"},
        "bad_base64",
        "'image'",
    ),
    "files that come late": (
        {"train.csv": b"text\na\n", "test.parquet": written({"image": [image(1)], "text": ["b"]})},
        "archive_layout",
        "'image'",
    ),
    "rows that were chosen": (
        {"data-0.arrow": arrow(rows("a")), "state.json": b'{"_data_files": [], "_indices_data_files": [{"filename": "indices.arrow"}]}'},
        "archive_layout",
        "'state.json'",
    ),
    "a state that is none": ({"data-0.arrow": arrow(rows("a")), "state.json": b"[" * 10_000}, "archive_layout", "'state.json'"),
}


@pytest.mark.parametrize("case", BAD)
def test_tables_that_do_not_fit_together_are_refused_by_name(reader, case):
    members, code, named = BAD[case]
    error = reader.refused(archive(members), "zip")
    assert error.failure.code == code, error.failure
    assert named in error.failure.message
    assert error.failure.hint


def test_a_bomb_inside_the_archive_is_refused(reader):
    bomb = gzip.compress(b"text\n" + b"x\n" * 2**20)
    error = reader.refused(archive({"train.csv.gz": bomb}), "zip", max_media_bytes=2**20)
    assert error.failure.code == "decoded_too_large"
    assert reader.refused(archive({"1.csv": csv(*"abc"), "2.csv": csv(*"abc")}), "zip", max_rows=5).failure.code == "too_many_rows"


def test_a_table_beside_images_is_still_a_file_that_is_no_image(reader):
    error = reader.refused(archive({"cat/1.png": image(1), "dog/2.png": image(2), "dog/table.csv": csv("a")}), "zip")
    assert (error.failure.code, error.failure.hint) == ("unknown_format", HINTS["unknown_format"])
