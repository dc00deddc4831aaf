"""Which text a value of which type becomes, seen through whole Parquet files."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.parquet_files import written
from tests.data.test_jsonl_rows import kept, words

CENTURY = date(2000, 1, 1)
ENDS = [-62_135_596_800_000_000, 253_402_300_799_999_999]
CASES: dict[str, tuple[pa.Array, list[str | None]]] = {
    "string": (pa.array(["a", "é", "", " \n", None]), ["a", "é", None, None, None]),
    "large string": (pa.array(["a", "", None], pa.large_string()), ["a", None, None]),
    "string view": (pa.array(["a", "long enough to lie elsewhere", None], pa.string_view()), ["a", "long enough to lie elsewhere", None]),
    "dictionary": (pa.array(["x", "y", None, "x", " "]).dictionary_encode(), ["x", "y", None, "x", None]),
    "dictionary of large strings": (pa.array(["x", "y"], pa.large_string()).dictionary_encode(), ["x", "y"]),
    "dictionary of numbers": (pa.array([7, None, 7]).dictionary_encode(), ["7", None, "7"]),
    "boolean": (pa.array([True, False, None]), ["true", "false", None]),
    "int8": (pa.array([-128, 127, None], pa.int8()), ["-128", "127", None]),
    "int64": (pa.array([-(2**63), 2**63 - 1]), ["-9223372036854775808", "9223372036854775807"]),
    "uint64": (pa.array([2**64 - 1, 0], pa.uint64()), ["18446744073709551615", "0"]),
    "double": (pa.array([0.1, 1.0, -0.0, 1e16, 1e-7, 5e-324, None]), ["0.1", "1.0", "-0.0", "1e+16", "1e-07", "5e-324", None]),
    "float": (pa.array([0.1, 16777216, 1e20, None], pa.float32()), ["0.1", "16777216.0", "1e+20", None]),
    "half float": (pa.array([0.1, 30_000, None], pa.float16()), ["0.1", "30000.0", None]),
    "not a number": (pa.array([math.nan, 1.0]), [None, "1.0"]),
    "infinities": (pa.array([math.inf, -math.inf], pa.float32()), ["inf", "-inf"]),
    "decimal": (pa.array([Decimal("1.50"), Decimal("-0.01"), None]), ["1.50", "-0.01", None]),
    "tiny decimal": (pa.array([Decimal("1e-20"), Decimal(0)], pa.decimal128(38, 20)), ["0." + "0" * 19 + "1", "0." + "0" * 20]),
    "large decimal": (pa.array([Decimal("9" * 76)], pa.decimal256(76, 0)), ["9" * 76]),
    "date": (pa.array([CENTURY, date.min, date.max, None]), ["2000-01-01", "0001-01-01", "9999-12-31", None]),
    "date64": (pa.array([CENTURY], pa.date64()), ["2000-01-01"]),
    "time in seconds": (pa.array([time(12, 30), None], pa.time32("s")), ["12:30:00", None]),
    "time in nanoseconds": (pa.array([500_000_000, 1], pa.time64("ns")), ["00:00:00.5", "00:00:00.000000001"]),
    "timestamp in seconds": (pa.array([-1, 0, None], pa.timestamp("s")), ["1969-12-31T23:59:59", "1970-01-01T00:00:00", None]),
    "timestamp in nanoseconds": (pa.array([1, 10**9], pa.timestamp("ns")), ["1970-01-01T00:00:00.000000001", "1970-01-01T00:00:01"]),
    "first and last timestamp": (pa.array(ENDS, pa.timestamp("us")), ["0001-01-01T00:00:00", "9999-12-31T23:59:59.999999"]),
    "timestamp with a zone": (pa.array([0], pa.timestamp("us", "Europe/Berlin")), ["1970-01-01T00:00:00Z"]),
    "timestamp with an offset": (pa.array([1_500], pa.timestamp("ms", "-07:30")), ["1970-01-01T00:00:01.5Z"]),
    "timestamp with a zone that is none": (pa.array([0], pa.timestamp("us", "../../etc/passwd")), ["1970-01-01T00:00:00Z"]),
    "null": (pa.nulls(2), [None, None]),
    "list": (pa.array([[1, None], [], None]), ["[1,null]", "[]", None]),
    "list of texts": (pa.array([["a\n", '"', " ", "é", None]]), ['["a\\n","\\""," ","é",null]']),
    "list of floats": (pa.array([[1.0, math.nan, math.inf, -math.inf]]), ['[1.0,null,"inf","-inf"]']),
    "list of decimals": (pa.array([[Decimal("1.50")]]), ["[1.50]"]),
    "list of dates": (pa.array([[CENTURY, None]]), ['["2000-01-01",null]']),
    "list of nulls": (pa.array([[None], []], pa.list_(pa.null())), ["[null]", "[]"]),
    "large list": (pa.array([[True], [False]], pa.large_list(pa.bool_())), ["[true]", "[false]"]),
    "list of fixed size": (pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int8(), 2)), ["[1,2]", None, "[3,4]"]),
    "list of dictionaries": (
        pa.ListArray.from_arrays(pa.array([0, 2, 3], pa.int32()), pa.array(["x", "y", "x"]).dictionary_encode()),
        ['["x","y"]', '["x"]'],
    ),
    "list of string views": (pa.array([["a"], [None]], pa.list_(pa.string_view())), ['["a"]', "[null]"]),
    "list of lists": (pa.array([[[1], []], [None]]), ["[[1],[]]", "[null]"]),
    "struct": (pa.array([{"a": 1, "é": ["x"]}, {"a": None, "é": None}, None]), ['{"a":1,"é":["x"]}', '{"a":null,"é":null}', None]),
    "list of structs": (pa.array([[{"a": 1}, None], []]), ['[{"a":1},null]', "[]"]),
    "map": (pa.array([[("k", 1), ("l", None)], [], None], pa.map_(pa.string(), pa.int8())), ['{"k":1,"l":null}', "{}", None]),
    "map of lists": (pa.array([[("k", [1])], [("", [])]], pa.map_(pa.string(), pa.list_(pa.int8()))), ['{"k":[1]}', '{"":[]}']),
}


@pytest.mark.parametrize("case", CASES)
def test_a_value_becomes_the_text_that_its_type_says(reader, case):
    array, cells = CASES[case]
    profile = reader.read(written({"value": array}), "parquet")
    assert reader.columns() == {"value": cells}
    assert profile.column("value").missing == cells.count(None)


def test_an_old_kind_of_timestamp_keeps_its_year(reader):
    reader.read(written({"value": pa.array(ENDS, pa.timestamp("us"))}, use_deprecated_int96_timestamps=True), "parquet")
    assert reader.columns() == {"value": ["0001-01-01T00:00:00", "9999-12-31T23:59:59.999999"]}


def test_json_that_a_writer_marks_as_such_without_arrows_word_is_text(reader):
    reader.read(written({"value": pa.array(['{"a": 1}'], pa.json_())}, store_schema=False), "parquet")
    assert reader.columns() == {"value": ['{"a": 1}']}


def test_columns_of_numbers_are_guessed_from_their_texts_as_in_other_formats(reader):
    columns = {"price": [n / 7 for n in range(50)], "stars": [n % 5 for n in range(50)], "zip": [f"0{n}" for n in range(50)]}
    profile = reader.read(written(columns), "parquet")
    assert {column.name: column.type for column in profile.columns} == {"price": "number", "stars": "category", "zip": "text"}


def bad(kind: str, name: str = "value") -> str:
    return f"The column '{name}' holds {kind}, which is not taken."


TWO_OF_A_NAME = pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])


class Hostile(pa.ExtensionType):  # type: ignore[misc]
    """An extension type that the reader has never heard of."""

    def __init__(self) -> None:
        super().__init__(pa.string(), "hostile")

    def __arrow_ext_serialize__(self) -> bytes:
        return b"cbuiltins\nprint\n."


REFUSED: dict[str, tuple[pa.Array, str]] = {
    "binary": (pa.array([b"x"]), bad("'binary'")),
    "large binary": (pa.array([b"x"], pa.large_binary()), bad("'large_binary'")),
    "fixed binary": (pa.array([b"xx"], pa.binary(2)), bad("'fixed_size_binary[2]'")),
    "an image": (pa.array([{"bytes": b"x", "path": "a.png"}]), bad("'binary'")),
    "list of binary": (pa.array([[b"x"]]), bad("'binary'")),
    "duration": (pa.array([1], pa.duration("s")), bad("'duration[s]'")),
    "list view": (pa.array([[1]], pa.list_view(pa.int8())), bad("'list_view<element: int8>'")),
    "map with numbers as keys": (pa.array([[(1, "x")]], pa.map_(pa.int8(), pa.string())), bad("a map whose keys are not text")),
    "struct with two fields of one name": (TWO_OF_A_NAME, bad("a struct with two fields of one name")),
    "struct with a NUL in a name": (pa.array([{"a\0": 1}]), bad("a struct with a NUL character in a field's name")),
    "uuid": (pa.array([b"x" * 16], pa.uuid()), bad("an extension type")),
    "json": (pa.array(["{}"], pa.json_()), bad("an extension type")),
    "unknown extension": (pa.ExtensionArray.from_storage(Hostile(), pa.array(["x"])), bad("an extension type")),
    "list of an unknown extension": (
        pa.ListArray.from_arrays(pa.array([0, 1], pa.int32()), pa.ExtensionArray.from_storage(Hostile(), pa.array(["x"]))),
        bad("an extension type"),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_column_that_has_no_text_is_refused_by_name(reader, case):
    array, message = REFUSED[case]
    error = reader.refused(written({"good": ["x"], "value": array}), "parquet")
    hint = "Take the column out, or write it as text, numbers, dates, or lists, structs and maps of these."
    assert (error.failure.code, error.failure.message, error.failure.hint) == ("unsupported_type", message, hint)
    assert [(problem.row, problem.column) for problem in error.problems] == [(None, "value")]


def test_every_column_that_has_no_text_is_named(reader):
    error = reader.refused(written({"a": [b"x"], "good": ["x"], "b": [b"x"]}), "parquet")
    assert error.failure.message == bad("'binary'", "a") + " There is 1 other problem."
    assert [problem.column for problem in error.problems] == ["a", "b"]


HIDDEN = pa.array([b"\xff"]).view(pa.string())
BAD_VALUES: dict[str, tuple[pa.Array, str, str]] = {
    "nul": (pa.array(["a\0b"]), "bad_data", "holds a NUL character"),
    "nul in a list": (pa.array([["a", "\0"]]), "bad_data", "holds a NUL character"),
    "nul in a dictionary": (pa.array(["\0"]).dictionary_encode(), "bad_data", "holds a NUL character"),
    "latin-1": (HIDDEN, "not_utf8", "holds bytes that are not UTF-8"),
    "latin-1 in a list": (pa.ListArray.from_arrays([0, 1], HIDDEN), "not_utf8", "holds bytes that are not UTF-8"),
    "late date": (pa.array([2_932_897], pa.int32()).view(pa.date32()), "bad_data", "holds a time outside the years 1 to 9999"),
    "early date": (pa.array([-719_163], pa.int32()).view(pa.date32()), "bad_data", "holds a time outside the years 1 to 9999"),
    "late timestamp": (pa.array([253_402_300_800_000], pa.timestamp("ms")), "bad_data", "holds a time outside the years 1 to 9999"),
    "early timestamp": (pa.array([-62_135_596_800_001], pa.timestamp("ms")), "bad_data", "holds a time outside the years 1 to 9999"),
    "time of no day": (pa.array([86_400_000], pa.int32()).view(pa.time32("ms")), "parquet_corrupt", "holds a damaged value"),
    "key twice": (pa.array([[("k", 1), ("k", 2)]], pa.map_(pa.string(), pa.int8())), "bad_data", "has the key 'k' more than once"),
}


@pytest.mark.parametrize("case", BAD_VALUES)
def test_a_value_that_no_cell_can_hold_is_refused_with_its_row_and_column(reader, case):
    array, code, words_ = BAD_VALUES[case]
    column = pa.concat_arrays([pa.nulls(2_000, array.type), array, array])
    error = reader.refused(written({"good": ["x"] * 2_002, "value": column}), "parquet")
    message = f"Row 2001 {words_} in the column 'value'."
    assert (error.failure.code, error.failure.message) == (code, message)
    assert error.failure.hint
    assert [(problem.row, problem.column, problem.message) for problem in error.problems] == [(2001, "value", message)]


@dataclass(frozen=True)
class Kind:
    """A type and its values."""

    type: pa.DataType
    values: st.SearchStrategy[Any]


def integers(bits: int) -> st.SearchStrategy[int]:
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


ZONE = timezone(timedelta(hours=-7, minutes=-30))
PLAIN = [
    *(Kind(kind, words) for kind in (pa.string(), pa.large_string())),
    Kind(pa.bool_(), st.booleans()),
    *(Kind(kind, integers(bits)) for kind, bits in ((pa.int8(), 8), (pa.int16(), 16), (pa.int32(), 32), (pa.int64(), 64))),
    Kind(pa.uint64(), st.integers(0, 2**64 - 1)),
    Kind(pa.float64(), st.floats()),
    Kind(pa.decimal128(30, 9), st.decimals(allow_nan=False, allow_infinity=False, places=9, min_value=-(10**20), max_value=10**20)),
    Kind(pa.date32(), st.dates()),
    Kind(pa.time64("us"), st.times()),
    Kind(pa.timestamp("us"), st.datetimes()),
    Kind(pa.timestamp("us", "-07:30"), st.datetimes(timezones=st.just(ZONE)).filter(lambda moment: 1 < moment.year < 9999)),
]


def nested(inner: st.SearchStrategy[Kind]) -> st.SearchStrategy[Kind]:
    lists = st.builds(lambda kind: Kind(pa.list_(kind.type), st.lists(st.none() | kind.values, max_size=3)), inner)
    maps = st.builds(
        lambda kind: Kind(pa.map_(pa.string(), kind.type), st.dictionaries(words, st.none() | kind.values, max_size=3).map(Pairs)), inner
    )
    structs = st.dictionaries(words, inner, min_size=1, max_size=3).map(
        lambda kinds: Kind(
            pa.struct([(name, kind.type) for name, kind in kinds.items()]),
            st.tuples(*(st.none() | kind.values for kind in kinds.values())).map(lambda row: dict(zip(kinds, row, strict=True))),
        )
    )
    return lists | maps | structs


class Pairs(list[tuple[str, Any]]):
    """A map as pyarrow takes it."""

    def __init__(self, items: dict[str, Any]) -> None:
        super().__init__(items.items())


def expected(value: Any) -> str | None:
    """The text of a value, by a second implementation over Python's own types."""
    match value:
        case str():
            return kept(value)
        case float() if math.isnan(value):
            return None
        case bool() | list() | dict():
            return as_json(value)
        case datetime() if value.tzinfo:
            return f"{expected(value.astimezone(UTC).replace(tzinfo=None))}Z"
        case datetime() | time():
            text = value.isoformat()
            return text.rstrip("0").rstrip(".") if "." in text else text
        case Decimal():
            return format(value, "f")
        case None:
            return None
        case _:
            return str(value)


def as_json(value: Any) -> str:
    match value:
        case Pairs():
            return as_json(dict(value))
        case list():
            return f"[{','.join(map(as_json, value))}]"
        case dict():
            return "{" + ",".join(f"{as_json(key)}:{as_json(item)}" for key, item in value.items()) + "}"
        case bool():
            return "true" if value else "false"
        case str():
            return json.dumps(value, ensure_ascii=False)
        case float() if math.isinf(value):
            return f'"{value}"'
        case date() | time():
            return f'"{expected(value)}"'
        case _:
            return expected(value) or "null"


WRITERS = st.fixed_dictionaries(
    {
        "compression": st.sampled_from(["none", "snappy", "gzip", "zstd", "lz4", "brotli"]),
        "version": st.sampled_from(["1.0", "2.4", "2.6"]),
        "data_page_version": st.sampled_from(["1.0", "2.0"]),
        "use_dictionary": st.booleans(),
        "write_page_checksum": st.booleans(),
        "row_group_size": st.integers(1, 10),
    }
)


@st.composite
def tables(draw: st.DrawFn) -> dict[str, tuple[pa.DataType, list[Any]]]:
    rows = draw(st.integers(1, 8))
    plain = st.sampled_from(PLAIN)
    kinds = draw(st.lists(st.recursive(plain, nested, max_leaves=4), min_size=1, max_size=4))
    cells = [draw(st.lists(st.none() | kind.values, min_size=rows, max_size=rows)) for kind in kinds]
    return {f"column {number}": (kind.type, column) for number, (kind, column) in enumerate(zip(kinds, cells, strict=True))}


@settings(deadline=None)
@given(table=tables(), options=WRITERS)
def test_what_arrow_wrote_reads_back_cell_for_cell(shared_reader, table, options):
    profile = shared_reader.read(written({name: pa.array(cells, kind) for name, (kind, cells) in table.items()}, **options), "parquet")
    assert shared_reader.columns() == {name: [expected(cell) for cell in cells] for name, (_, cells) in table.items()}
    assert [column.name for column in profile.columns] == list(table)


@settings(deadline=None)
@given(values=st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_a_float_is_the_shortest_text_that_reads_back_as_the_same_number(shared_reader, values):
    shared_reader.read(written({"value": pa.array(values, pa.float32())}), "parquet")
    for value, cell in zip(values, shared_reader.columns()["value"], strict=True):
        assert np.float32(cell) == np.float32(value)
        digits = len(Decimal(cell).normalize().as_tuple().digits)
        assert digits == 1 or np.float32(f"{value:.{digits - 2}e}") != np.float32(value)
