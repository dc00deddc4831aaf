"""Files that were compressed as a whole."""

from __future__ import annotations

import gzip
import io
from typing import Any

import pyarrow as pa
import pytest

from tests.data.parquet_files import written

TEXT = "text,label\n" + "".join(f"review {number},{'pos' if number % 2 else 'neg'}\n" for number in range(1_000))


def packed(content: bytes, name: str) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, name) as stream:
        stream.write(content)
    made: bytes = sink.getvalue().to_pybytes()
    return made


def arrow(columns: Any, *, stream: bool = False) -> bytes:
    sink = io.BytesIO()
    table = columns if isinstance(columns, pa.Table) else pa.table(columns)
    with (pa.ipc.new_stream if stream else pa.ipc.new_file)(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


COLUMNS = {"text": ["a", "b"], "label": ["x", "y"]}
CONTENTS = {
    "csv": b"text,label\na,x\nb,y\n",
    "tsv": b"text\tlabel\na\tx\nb\ty\n",
    "jsonl": b'{"text": "a", "label": "x"}\n{"text": "b", "label": "y"}\n',
    "parquet": written(COLUMNS),
    "arrow": arrow(COLUMNS),
}


@pytest.mark.parametrize("name", ["gzip", "zstd"])
@pytest.mark.parametrize("file_format", CONTENTS)
def test_every_table_can_come_compressed_and_its_first_bytes_say_so(reader, file_format, name):
    assert reader.read(packed(CONTENTS[file_format], name), file_format).rows == 2
    assert reader.columns() == COLUMNS
    assert {path.name for path in reader.target.parent.iterdir()} == {"upload", "table.arrow"}


@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_several_streams_behind_each_other_are_one_file(reader, name):
    half = TEXT.index("review 500")
    assert reader.read(packed(TEXT[:half].encode(), name) + packed(TEXT[half:].encode(), name)).rows == 1_000


def test_lines_that_bring_new_columns_are_found_in_a_compressed_file_too(reader):
    lines = b'{"a": 1}\n' * 5_000 + b'{"b": 2}\n'
    assert [column.name for column in reader.read(gzip.compress(lines), "jsonl").columns] == ["a", "b"]


@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_a_file_that_is_cut_anywhere_is_refused(reader, name):
    whole = packed(TEXT.encode(), name)
    for length in [*range(4, len(whole), max(1, len(whole) // 40)), len(whole) - 1]:
        error = reader.refused(whole[:length])
        assert error.failure.code == "compression_corrupt", length
        assert error.failure.hint


def test_changed_bytes_are_refused_by_the_checksum(reader):
    whole = bytearray(gzip.compress(TEXT.encode()))
    whole[-5] ^= 1
    assert reader.refused(bytes(whole)).failure.code == "compression_corrupt"


@pytest.mark.parametrize("after", [b"\0" * 512, b"text,label\n", b"\x1f\x8b"])
def test_what_follows_and_is_no_stream_is_refused(reader, after):
    assert reader.refused(gzip.compress(TEXT.encode()) + after).failure.code == "compression_corrupt"


@pytest.mark.parametrize("name", ["gzip", "zstd"])
def test_a_bomb_is_refused_once_it_unpacks_to_too_much(reader, name):
    bomb = packed(b"x" * 2**22, name)
    error = reader.refused(bomb, max_media_bytes=2**21)
    assert (error.failure.code, error.failure.message) == ("decoded_too_large", f"The file unpacks to more than {2**21:,} bytes.")


def test_a_file_may_unpack_to_many_times_its_size_and_no_more_than_the_limit(reader):
    many = packed(("text\n" + "the same again and again\n" * 20_000).encode(), "zstd")
    assert 200 * len(many) < 25 * 20_000
    assert reader.read(many).rows == 20_000
    assert reader.refused(many, max_media_bytes=1, max_ratio=10).failure.code == "decoded_too_large"
    assert reader.refused(many, max_decoded_bytes=100_000).failure.code == "decoded_too_large"


def test_a_window_beyond_all_memory_is_refused(reader):
    frame = b"\x28\xb5\x2f\xfd" + b"\x00" + b"\xf8" + b"\x01\x00\x00"  # a window of 2^41 bytes, then an empty last block
    assert reader.refused(frame).failure.code == "compression_corrupt"


@pytest.mark.parametrize("content", [b"\x1f\x8b", b"\x28\xb5\x2f\xfd", gzip.compress(b"", mtime=0)])
def test_what_unpacks_to_nothing_is_refused(reader, content):
    assert reader.refused(content).failure.code in {"compression_corrupt", "no_rows"}


def test_compression_twice_is_read_once(reader):
    assert reader.refused(gzip.compress(gzip.compress(TEXT.encode()))).failure.code in {"bad_data", "not_utf8"}
