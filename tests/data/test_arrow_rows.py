"""Arrow's own files: with a footer, as Feather, and as streams."""

from __future__ import annotations

import io
import struct

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import feather

from headstart.data.problems import InvalidDataset
from tests.data.media_files import image
from tests.data.parquet_files import written
from tests.data.test_compression import arrow

TYPED = pa.table(
    {
        "text": ["a", None, "ü"],
        "number": [1, 2, None],
        "float": [0.5, float("nan"), 3.0],
        "yes": [True, False, None],
        "words": [["a", "b"], [], None],
        "day": pa.array([0, 1, 19_000], pa.date32()),
        "named": pa.array(["x", "y", "x"]).dictionary_encode(),
        "pair": [{"a": 1, "b": "c"}, None, {"a": None, "b": ""}],
    }
)


@pytest.mark.parametrize("stream", [False, True])
def test_cells_are_those_of_parquet(reader, stream):
    reader.read(written(TYPED), "parquet")
    expected = reader.columns()
    assert reader.read(arrow(TYPED, stream=stream), "arrow").rows == 3
    assert reader.columns() == expected


@pytest.mark.parametrize("compression", ["uncompressed", "lz4", "zstd"])
def test_feather_is_read(reader, compression):
    sink = io.BytesIO()
    feather.write_feather(TYPED, sink, compression=compression)
    assert reader.read(sink.getvalue(), "arrow").rows == 3


def test_the_old_feather_is_refused_with_what_would_work(reader):
    error = reader.refused(b"FEA1" + b"\0" * 100, "arrow")
    assert (error.failure.code, error.failure.message) == ("arrow_corrupt", "The file is Feather of version 1.")
    assert "Parquet" in error.failure.hint


def test_images_as_hugging_face_keeps_them_are_files(reader):
    cells = [{"bytes": image(1), "path": None}, None, {"bytes": image(2), "path": "2.png"}]
    profile = reader.read(arrow({"image": cells, "label": ["a", "b", "a"]}), "arrow")
    column = profile.column("image")
    assert (column.type, column.missing, column.distinct) == ("image", 1, 2)
    assert column.widths.max == 4


def test_many_records_keep_their_order_and_their_rows(reader):
    sink = io.BytesIO()
    schema = pa.schema([("n", pa.int64())])
    with pa.ipc.new_stream(sink, schema) as writer:
        for start in range(0, 9_000, 3_000):
            writer.write_batch(pa.record_batch([pa.array(range(start, start + 3_000))], schema=schema))
            writer.write_batch(pa.record_batch([pa.array([], pa.int64())], schema=schema))
    assert reader.read(sink.getvalue(), "arrow").rows == 9_000
    assert reader.columns()["n"] == [str(number) for number in range(9_000)]


UNTAKEN = {
    "bytes": pa.array([b"a", b"b"]),
    "durations": pa.array([1, 2], pa.duration("s")),
    "unions": pa.UnionArray.from_sparse(pa.array([0, 0], pa.int8()), [pa.array([1, 2])]),
    "run ends": pa.RunEndEncodedArray.from_arrays(pa.array([2], pa.int32()), pa.array(["a"])),
    "an extension type": pa.ExtensionArray.from_storage(pa.uuid(), pa.array([b"0" * 16, b"1" * 16], pa.binary(16))),
    "bytes in a list": pa.array([[b"a"], [b"b"]]),
}


@pytest.mark.parametrize("case", UNTAKEN)
@pytest.mark.parametrize("stream", [False, True])
def test_types_that_have_no_text_are_refused_by_name(reader, case, stream):
    error = reader.refused(arrow({"good": ["a", "b"], "odd": UNTAKEN[case]}, stream=stream), "arrow")
    assert (error.failure.code, error.problems[0].column) == ("unsupported_type", "odd")


def test_a_type_that_pickles_is_never_made(reader):
    kind = pa.field(
        "odd", pa.string(), metadata={"ARROW:extension:name": "arrow.py_extension_type", "ARROW:extension:metadata": "cbuiltins"}
    )
    table = pa.table([pa.array(["a"])], schema=pa.schema([kind]))
    assert reader.refused(arrow(table), "arrow").failure.code == "unsupported_type"


HOSTILE = {
    "nothing": b"",
    "its magic alone": b"ARROW1\0\0",
    "a stream of nothing": b"\xff\xff\xff\xff\0\0\0\0",
    "a schema of gigabytes": b"\xff\xff\xff\xff\xff\xff\xff\x7f",
    "a schema of less than nothing": b"\xff\xff\xff\xff\xff\xff\xff\xff",
    "letters": b"text,label\na,b\n",
    "zeros": b"\0" * 1_000,
    "no footer": arrow(TYPED)[:-10],
    "half a file": arrow(TYPED)[: len(arrow(TYPED)) // 2],
    "a footer of gigabytes": arrow(TYPED)[:-10] + struct.pack("<i", 2**31 - 1) + b"ARROW1",
    "half a stream": arrow(TYPED, stream=True)[: len(arrow(TYPED, stream=True)) // 2],
}


@pytest.mark.parametrize("case", HOSTILE)
def test_what_is_no_whole_arrow_is_refused_in_words(reader, case):
    error = reader.refused(HOSTILE[case], "arrow")
    assert error.failure.code in {"arrow_corrupt", "no_rows"}
    assert error.failure.hint


@pytest.mark.parametrize("rows", [2**31 - 1, 2**62])
def test_a_column_of_nothing_can_be_endless_and_is_refused(reader, rows):
    sink = io.BytesIO()
    endless = pa.record_batch([pa.Array.from_buffers(pa.null(), 2**31 - 1, [None])], names=["a"])
    with pa.ipc.new_stream(sink, endless.schema) as writer:
        writer.write_batch(endless)
    content = sink.getvalue().replace(struct.pack("<q", 2**31 - 1), struct.pack("<q", rows))
    assert len(content) < 1_000
    assert reader.refused(content, "arrow").failure.code == "too_many_rows"


@pytest.mark.parametrize("stream", [False, True])
def test_a_dictionary_that_repeats_a_long_text_is_refused_once_it_is_too_much(reader, stream):
    long = pa.DictionaryArray.from_arrays(pa.array([0] * 3_000, pa.int32()), pa.array(["x" * 10_000]))
    content = arrow({"a": long}, stream=stream)
    assert len(content) < 100_000
    assert reader.refused(content, "arrow", max_decoded_bytes=10**6).failure.code == "too_large"
    assert reader.refused(content, "arrow", max_field_chars=9_999).failure.code == "field_too_long"


def test_compressed_buffers_are_counted_unpacked(reader):
    sink = io.BytesIO()
    table = pa.table({"a": ["x" * 100_000] * 100})
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(table)
    assert len(sink.getvalue()) < 10_000
    assert reader.refused(sink.getvalue(), "arrow", max_decoded_bytes=10**6).failure.code == "decoded_too_large"


def test_texts_that_are_not_utf8_are_refused(reader):
    text = pa.Array.from_buffers(pa.string(), 1, [None, pa.py_buffer(struct.pack("<2i", 0, 2)), pa.py_buffer(b"\xff\xfe")])
    assert reader.refused(arrow({"a": text}), "arrow").failure.code == "not_utf8"


@pytest.mark.parametrize("end", [2**30, 99, -1])
@pytest.mark.parametrize("stream", [False, True])
def test_offsets_beyond_their_buffer_are_refused_before_a_cell_is_made(reader, end, stream):
    whole = arrow({"a": ["x" * 77]}, stream=stream)
    at = whole.index(struct.pack("<2i", 0, 77))
    content = whole[:at] + struct.pack("<2i", 0, end) + whole[at + 8 :]
    assert reader.refused(content, "arrow").failure.code == "arrow_corrupt"


def test_names_and_numbers_of_columns_are_held_to_the_same_rules(reader):
    assert reader.refused(arrow({f"c{number}": [1] for number in range(9)}), "arrow", max_columns=8).failure.code == "too_many_columns"
    assert reader.refused(arrow({"": [1]}), "arrow").failure.code == "bad_header"
    twice = pa.table([pa.array([1]), pa.array([2])], names=["a", "a"])
    assert reader.refused(arrow(twice), "arrow").failure.code == "bad_header"
    assert reader.refused(arrow({"a": pa.array([], pa.string())}), "arrow").failure.code == "no_rows"


@pytest.mark.parametrize("stream", [False, True])
def test_names_that_are_not_utf8_are_refused_also_inside_structs(reader, stream):
    for columns in ({"quxx": ["x"]}, {"a": [{"quxx": "x"}]}, {"a": [[{"quxx": "x"}]]}):
        content = arrow(columns, stream=stream)
        assert reader.read(content, "arrow").rows == 1
        failure = reader.refused(content.replace(b"quxx", b"qu\x80x"), "arrow").failure
        assert (failure.code, failure.message) == ("not_utf8", "The name of a column holds bytes that are not UTF-8.")


GOOD = {stream: arrow({"a": ["x", "yy", None], "n": [1, 2, 3]}, stream=stream) for stream in (False, True)}


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_changed_bytes_are_refused_or_read(shared_reader, data):
    whole = GOOD[data.draw(st.booleans())]
    content = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert shared_reader.read(bytes(content), "arrow").rows >= 1
    except InvalidDataset as error:
        assert error.failure.hint or error.failure.code == "unsupported_type"
