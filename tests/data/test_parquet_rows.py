"""Parquet files as a whole: good ones, damaged ones, and some that unpack to more than anybody wants."""

from __future__ import annotations

import base64
import io
import random
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet as pq
from pyarrow.parquet import encryption

from headstart.data.batches import MAX_CHARS
from headstart.data.limits import ReadLimits
from headstart.data.parquet_rows import parquet_batches
from headstart.data.problems import Problems
from headstart.specs.datasets import DatasetProfile
from tests.data.confined import ConfinedReader
from tests.data.parquet_files import footer_start, repeating, written

GOOD = {"text": [f"text {n % 7} é" for n in range(100)], "label": ["pos", "neg"] * 50, "score": [n / 7 for n in range(100)]}
WHOLE = written(GOOD)
ANEW = "Write the file anew, with the usual settings, and see that all of it is sent."
NOT_PARQUET = "The file is not Parquet, or not all of it: its beginning and its end do not fit."
DAMAGED = "The file cannot be read: it is damaged, or Parquet of a kind that is not known here."


@pytest.fixture(scope="module")
def confined(tmp_path_factory) -> Iterator[ConfinedReader]:
    """For many files that take little each."""
    reader = ConfinedReader(tmp_path_factory.mktemp("confined"))
    yield reader
    reader.close()


@pytest.fixture
def fresh(tmp_path) -> Iterator[ConfinedReader]:
    """For one that takes all there is."""
    reader = ConfinedReader(tmp_path)
    yield reader
    reader.close()


def test_rows_keep_their_order_over_row_groups_batches_and_long_texts(reader):
    texts = [f"{number} " + "x" * (random.Random(number).randrange(20_000)) for number in range(3_000)]
    profile = reader.read(written({"text": texts, "n": list(range(3_000))}, row_group_size=700), "parquet")
    assert profile.rows == 3_000
    assert reader.columns() == {"text": texts, "n": [str(number) for number in range(3_000)]}


def test_long_texts_are_given_out_in_pieces():
    content = io.BytesIO(written({"text": [f"{number:05}" * 6_000 for number in range(1_000)]}))
    batches = list(parquet_batches(content, ReadLimits(), Problems(10)))
    assert max(sum(len(text or "") for text in batch.columns[0]) for batch in batches) <= 4 * MAX_CHARS
    assert [batch.rows[0] for batch in batches] == [1, 501]


def test_a_stated_type_is_checked_with_the_rows_numbers(reader):
    values = [1.5] * 2_500
    values[2_000] = float("inf")
    error = reader.refused(written({"price": values}), "parquet", {"price": "number"})
    assert error.failure.message == "Row 2001 has 'inf' in the column 'price', which is not a finite number."


def test_a_column_of_an_index_is_a_column(reader):
    metadata = {b"pandas": b'{"index_columns": ["__index_level_0__"]}'}
    reader.read(written(pa.table({"a": ["x"], "__index_level_0__": [3]}).replace_schema_metadata(metadata)), "parquet")
    assert reader.columns() == {"a": ["x"], "__index_level_0__": ["3"]}


FOOTER = footer_start(WHOLE)
BAD_FILES = {
    "empty": (b"", "no_rows", "The file is empty."),
    "four bytes": (b"PAR1", "parquet_corrupt", NOT_PARQUET),
    "nothing between the ends": (b"PAR1" + b"\0" * 4 + b"PAR1", "parquet_corrupt", DAMAGED),
    "a CSV file": (b"text,label\n" + b"great,pos\n" * 20, "parquet_corrupt", NOT_PARQUET),
    "another beginning": (b"PAR0" + WHOLE[4:], "parquet_corrupt", NOT_PARQUET),
    "another end": (WHOLE[:-4] + b"PAR0", "parquet_corrupt", NOT_PARQUET),
    "cut off": (WHOLE[:-1], "parquet_corrupt", NOT_PARQUET),
    "no beginning": (WHOLE[100:], "parquet_corrupt", NOT_PARQUET),
    "a footer of 2 GB": (WHOLE[:-8] + (2**31).to_bytes(4, "little") + b"PAR1", "parquet_corrupt", NOT_PARQUET),
    "a footer over all": (WHOLE[:-8] + (len(WHOLE) - 12).to_bytes(4, "little") + b"PAR1", "parquet_corrupt", DAMAGED),
    "a footer of nothing": (WHOLE[:-8] + b"\0" * 4 + b"PAR1", "parquet_corrupt", DAMAGED),
    "version 0": (
        WHOLE[:FOOTER] + b"\x15\x00" + WHOLE[FOOTER + 2 :],
        "parquet_corrupt",
        "The file says that it is Parquet of version 0, which there is not.",
    ),
    "no columns": (written(pa.table({"a": [1]}).select([])), "no_rows", "The file has no columns."),
    "no rows": (written({"a": pa.array([], pa.string())}), "no_rows", "The file has columns and no rows."),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_file_that_is_no_good_parquet_is_refused_in_words(reader, case):
    content, code, message = BAD_FILES[case]
    failure = reader.refused(content, "parquet").failure
    assert (failure.code, failure.message) == (code, message)
    assert failure.hint == (ANEW if code == "parquet_corrupt" else "Upload a file with at least one row of data.")


class Keys(encryption.KmsClient):  # type: ignore[misc]
    """Keeps no secret."""

    def wrap_key(self, key_bytes: bytes, master_key_identifier: str) -> bytes:
        return base64.b64encode(key_bytes)

    def unwrap_key(self, wrapped_key: bytes, master_key_identifier: str) -> bytes:
        return base64.b64decode(wrapped_key)


@pytest.mark.parametrize("plaintext_footer", [True, False])
def test_an_encrypted_file_is_refused_in_words(reader, plaintext_footer):
    configuration = encryption.EncryptionConfiguration("footer", column_keys={"column": ["label"]}, plaintext_footer=plaintext_footer)
    factory = encryption.CryptoFactory(lambda _: Keys())
    properties = factory.file_encryption_properties(encryption.KmsConnectionConfig(), configuration)
    failure = reader.refused(written(GOOD, encryption_properties=properties), "parquet").failure
    assert (failure.code, failure.message) == ("parquet_corrupt", "The file, or a column of it, is encrypted.")
    assert failure.hint == "Write it without encryption."


def varint(number: int) -> bytes:
    number *= 2  # zigzag
    return bytes([number & 127 | 128, number >> 7]) if number > 127 else bytes([number])


def test_a_footer_that_counts_other_rows_than_there_are_is_refused(reader):
    told = WHOLE[:FOOTER] + WHOLE[FOOTER:].replace(b"\x16" + varint(100) + b"\x19", b"\x16" + varint(101) + b"\x19", 1)
    assert pq.read_metadata(pa.BufferReader(told)).num_rows == 101
    failure = reader.refused(told, "parquet").failure
    assert (failure.code, failure.message) == (
        "parquet_corrupt",
        "The file is damaged: it holds 100 rows, and its footer speaks of another number.",
    )


NUMBERS = np.random.default_rng(0).integers(0, 2**60, 500)
CHECKED = written(
    {"n": NUMBERS, "text": ["great film"] * 500},
    write_page_checksum=True,
    use_dictionary=["text"],
    compression={"n": "none", "text": "zstd"},
)
BODY = CHECKED.index(NUMBERS.tobytes())
flips = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(1, 255)), min_size=1, max_size=4)


def flipped(content: bytes, changes: list[tuple[float, int]], start: int, end: int) -> bytes:
    """Other bytes at some places between `start` and `end`."""
    changed = bytearray(content)
    for place, mask in changes:
        changed[start + int(place * (end - start))] ^= mask
    return bytes(changed)


@settings(deadline=None)
@given(changes=flips)
def test_a_changed_byte_below_a_checksum_is_never_read(shared_reader, changes):
    changed = flipped(CHECKED, changes, BODY, BODY + NUMBERS.nbytes)
    verdict = shared_reader.verdict(changed, "parquet")
    if changed == CHECKED:
        assert isinstance(verdict, DatasetProfile)
    else:
        assert not isinstance(verdict, DatasetProfile)
        assert verdict.failure.code == "parquet_corrupt"


def test_damage_is_told_with_the_last_good_row(reader):
    numbers = np.arange(3_000) + 2**60
    content = written({"n": numbers}, write_page_checksum=True, use_dictionary=False, compression="none", row_group_size=1_024)
    place = content.index(numbers[2_048:].tobytes())
    failure = reader.refused(flipped(content, [(0, 1)], place, place + 1), "parquet").failure
    assert failure.message == DAMAGED.replace("The file", "The file after row 2,048")


MIXED = pa.table(
    {
        **GOOD,
        "tag": pa.array(GOOD["label"]).dictionary_encode(),
        "day": pa.array(range(100), pa.date32()),
        "at": pa.array(range(100), pa.timestamp("us", "Europe/Berlin")),
        "words": [["a", "é", None][: n % 4] for n in range(100)],
        "box": [{"a": n, "b": "x"} if n % 3 else None for n in range(100)],
        "counts": pa.array([[("k", n)] for n in range(100)], pa.map_(pa.string(), pa.int64())),
        "pair": pa.array([[n, 2] for n in range(100)], pa.list_(pa.int8(), 2)),
    }
)
MIXED_FILES = [
    written(MIXED.select(names), compression=compression, use_dictionary=use_dictionary, data_page_version=version, row_group_size=60)
    for names, compression, use_dictionary, version in [
        (["text", "label", "tag"], "none", True, "1.0"),
        (["text", "words", "score", "at"], "none", False, "2.0"),
        (["box", "counts", "pair", "day"], "snappy", True, "2.0"),
        (MIXED.column_names, "zstd", False, "1.0"),
    ]
]


def judged(confined: ConfinedReader, content: bytes) -> None:
    verdict = confined.verdict(content)
    if "code" in verdict:
        assert verdict["message"]
        assert verdict["hint"]
        assert not confined.target.exists()
    else:
        assert verdict["rows"] == 100


@settings(deadline=None, max_examples=500)
@given(content=st.sampled_from(MIXED_FILES), changes=flips, in_footer=st.booleans())
def test_changed_bytes_give_a_refusal_in_words_or_all_rows_and_end_no_process(confined, content, changes, in_footer):
    judged(confined, flipped(content, changes, footer_start(content) if in_footer else 0, len(content)))


@settings(deadline=None)
@given(content=st.binary(max_size=200) | st.binary(max_size=200).map(lambda inner: b"PAR1" + inner + b"PAR1"))
def test_any_bytes_are_refused_in_words(confined, content):
    verdict = confined.verdict(content)
    assert verdict["code"] in {"no_rows", "parquet_corrupt", "compression_corrupt"}
    assert verdict["hint"]


def test_a_file_that_is_cut_anywhere_is_refused(confined):
    for end in range(0, len(WHOLE), 7):
        assert confined.verdict(WHOLE[:end])["code"] in {"no_rows", "parquet_corrupt"}


@pytest.mark.parametrize("as_dictionary", [True, False])
@pytest.mark.parametrize(
    ("chars", "rows", "groups", "message"),
    [
        (100_000, 10_000, 5, "The file unpacks to more than 4,294,967,296 bytes."),
        (3_000_000, 1_000, 1, "The file unpacks to more than memory holds."),
    ],
)
def test_a_small_file_of_gigabytes_is_refused_quickly_within_the_memory_there_is(fresh, chars, rows, groups, message, as_dictionary):
    content = repeating(chars, rows, groups, store_schema=as_dictionary)
    assert len(content) < 10_000
    began = time.monotonic()
    verdict = fresh.verdict(content)
    assert (verdict["code"], verdict["message"]) == ("decoded_too_large", message)
    assert time.monotonic() - began < 30
    assert not fresh.target.exists()
    assert fresh.verdict(WHOLE) == {"rows": 100}


def test_a_list_of_millions_in_one_cell_is_refused_before_it_is_text(fresh):
    count = 40_000_000
    column = pa.ListArray.from_arrays(pa.array([0, 0, count], pa.int32()), pa.array(np.zeros(count, np.int8)))
    content = written({"value": column}, compression="zstd")
    assert len(content) < 10_000
    verdict = fresh.verdict(content)
    assert (verdict["code"], verdict["message"]) == ("field_too_long", "Row 2 has more than 1,000,000 characters in the column 'value'.")


def deep(levels: int) -> pa.Array:
    kind = pa.int8()
    for _ in range(levels):
        kind = pa.list_(kind)
    return pa.array([None], kind)


FIELD = "Row 3 has more than 9 characters in the column 'a'."
NO_MORE = "At most 9 characters fit."
LIMITS = {
    "rows": ({"a": list(range(6))}, {"max_rows": 5}, "too_many_rows", "The file has more than 5 rows."),
    "columns": (
        {"a": [1], "b": [{"x": 1, "y": 2}]},
        {"max_columns": 2},
        "too_many_columns",
        "The file has 3 columns, with those inside structs; at most 2 are taken.",
    ),
    "text": ({"a": ["x" * 9, "y", "z" * 10]}, {"max_field_chars": 9}, "field_too_long", FIELD),
    "list": ({"a": [[1, 2, 3, 4], [], [1, 2, 3, 4, 5]]}, {"max_field_chars": 9}, "field_too_long", FIELD),
    "struct": ({"a": [{"k": 123}, None, {"k": 12345}]}, {"max_field_chars": 9}, "field_too_long", FIELD),
    "depth": ({"a": deep(32)}, {}, "too_deep", "The column 'a' is nested more than 32 deep."),
    "great depth": ({"a": deep(60)}, {}, "too_deep", "The columns of the file are nested too deep."),
    "bytes": ({"a": ["x" * 100] * 10}, {"max_decoded_bytes": 1_000}, "decoded_too_large", "The file unpacks to more than 1,000 bytes."),
    "nulls": ({"a": pa.nulls(251)}, {"max_decoded_bytes": 1_000}, "decoded_too_large", "The file unpacks to more than 1,000 bytes."),
}


@pytest.mark.parametrize("case", LIMITS)
def test_a_file_beyond_the_limits_is_refused(reader, case):
    columns, limits, code, message = LIMITS[case]
    failure = reader.refused(written(columns), "parquet", **limits).failure
    assert (failure.code, failure.message) == (code, message)
    assert failure.hint


WITHIN: dict[str, tuple[dict[str, Any], dict[str, int]]] = {
    "rows": ({"a": list(range(5))}, {"max_rows": 5}),
    "columns": ({"a": [1], "b": [{"x": 1, "y": 2}]}, {"max_columns": 3}),
    "text": ({"a": ["𝒳" * 9, ""]}, {"max_field_chars": 9}),
    "list": ({"a": [[1, 2, 3, 4]]}, {"max_field_chars": 9}),
    "struct": ({"a": [None, {"long name": 1}]}, {"max_field_chars": 15}),
    "struct of nulls": ({"a": pa.nulls(3, pa.struct([("long name", pa.int8())]))}, {"max_field_chars": 5}),
    "depth": ({"a": deep(31)}, {}),
    "nulls": ({"a": pa.nulls(250)}, {"max_decoded_bytes": 1_250}),
}


@pytest.mark.parametrize("case", WITHIN)
def test_a_file_within_the_limits_is_read(reader, case):
    columns, limits = WITHIN[case]
    assert reader.read(written(columns), "parquet", **limits).rows == len(next(iter(columns.values())))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a", ""], "Column 2 of the file has no name."),
        (["a", " "], "Column 2 of the file has no name."),
        (["a", "b", "a"], "The file names these columns more than once: a."),
        (["a", "b" * 257], f"The column name '{'b' * 63}…' has more than 256 characters."),
        (["a", "b\0"], "The column name 'b\\x00' has a NUL character."),
    ],
)
def test_a_bad_name_is_refused(reader, names, message):
    failure = reader.refused(written(pa.table([["x"]] * len(names), names=names)), "parquet").failure
    assert (failure.code, failure.message) == ("bad_header", message)
    assert failure.hint == "Each column has a name of its own, not empty, of at most 256 characters."


def test_names_may_hold_dots_and_columns_that_others_contain(reader):
    reader.read(written({"a.b": ["x"], "a": [{"b": 1}], "a.b.c": ["y"]}), "parquet")
    assert reader.columns() == {"a.b": ["x"], "a": ['{"b":1}'], "a.b.c": ["y"]}
