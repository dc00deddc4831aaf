"""What stands in a cell for a value that has a type, by rules that a person could follow with the file in hand.

- Text is kept as it is, dictionaries as the texts they stand for; booleans are `true` and `false`, integers their digits.
- A float is the shortest text that reads back as the same number. NaN is missing, for that is what pandas and NumPy mean by it;
  infinities are `inf` and `-inf`. A decimal has all the digits of its scale, and no exponent.
- Dates and times are ISO 8601 without idle zeros: `2024-01-31`, `12:30:00.5`, `2024-01-31T12:30:00`; in UTC, with a `Z`, when there is a zone.
- Lists, structs and maps with texts as keys are compact JSON, as JSON Lines has them.

Everything else, such as bytes, durations and extension types, is taken from no column; columns of images and recordings do not come here.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import date
from itertools import islice

import pyarrow as pa
from pyarrow import compute, types

from headstart.errors import quote

_EXTENSION = b"ARROW:extension:name"
_PER_DAY = {"s": 86_400, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
_EPOCH = date(1970, 1, 1).toordinal()
_FIRST_DAY, _LAST_DAY = date.min.toordinal() - _EPOCH, date.max.toordinal() - _EPOCH


class CellError(ValueError):
    """A value that no cell can hold: `code`, and `words` that follow the row and go before the column."""

    def __init__(self, code: str, words: str) -> None:
        super().__init__(words)
        self.code = code
        self.words = words


def plain(kind: pa.DataType) -> pa.DataType:
    """The type that the same values have without dictionaries, views of text, fixed sizes and zones; only such types have rules."""
    if types.is_dictionary(kind):
        return plain(kind.value_type)
    if types.is_string_view(kind):
        return pa.string()
    if types.is_map(kind):
        return pa.map_(*map(_plain_field, _children(kind)))
    if types.is_struct(kind):
        return pa.struct([_plain_field(field) for field in _children(kind)])
    if types.is_large_list(kind):
        return pa.large_list(_plain_field(kind.value_field))
    if types.is_list(kind) or types.is_fixed_size_list(kind):
        return pa.list_(_plain_field(kind.value_field))
    if types.is_timestamp(kind) and kind.tz:
        return pa.timestamp(kind.unit, "UTC")  # it is stored as UTC, and a zone's name may be anything
    return kind


def objection(field: pa.Field) -> str | None:
    """Why a column cannot be taken, as the words after its name; None when it can."""
    kind = field.type
    if isinstance(kind, pa.BaseExtensionType) or _EXTENSION in (field.metadata or {}):
        return "holds an extension type"
    if not any(matches(plain(kind)) for matches, _ in _RULES):
        return f"holds {quote(str(kind))}"
    if types.is_map(kind) and not _is_text(plain(kind.key_type)):
        return "holds a map whose keys are not text"
    children = _children(kind)
    names = [child.name for child in children]
    if len(set(names)) < len(names):
        return "holds a struct with two fields of one name"
    if any("\0" in name for name in names):
        return "holds a struct with a NUL character in a field's name"
    return next((words for child in children if (words := objection(child))), None)


def depth(kind: pa.DataType) -> int:
    """How deep the brackets of its JSON are nested."""
    children = _children(kind)
    return 1 + max(depth(child.type) for child in children) if children else 0


def least_chars(array: pa.Array) -> int:
    """So many characters its texts have at least, found out before there are any."""
    kind = array.type
    if _is_text(kind):
        return (compute.sum(compute.binary_length(array)).as_py() or 0) // 4
    if not types.is_nested(kind):
        return len(array)
    array = array.drop_null()
    if types.is_struct(kind):
        names = sum(len(field.name) for field in kind)
        return len(array) * names + sum(map(least_chars, array.flatten()))
    items = (_entries(array) if types.is_map(kind) else array).flatten()
    return len(items) + least_chars(items)


def texts(array: pa.Array) -> list[str | None]:
    """The text of each value of an array of a `plain` type; None where it is missing.

    Raises:
        CellError: a value is one that no cell can hold.
    """
    return next(convert for matches, convert in _RULES if matches(array.type))(array)


def _tokens(array: pa.Array) -> list[str]:
    """The JSON of each value."""
    found = texts(array)
    if _is_text(array.type) or types.is_temporal(array.type):
        return ["null" if text is None else json.dumps(text, ensure_ascii=False) for text in found]
    return ["null" if text is None else _NO_JSON.get(text, text) for text in found]


_NO_JSON = {"inf": '"inf"', "-inf": '"-inf"'}


def _strings(array: pa.Array) -> list[str | None]:
    if compute.any(compute.match_substring(array, "\0")).as_py():
        raise CellError("bad_data", "holds a NUL character")
    found: list[str | None] = array.to_pylist()
    return found


def _nothing(array: pa.Array) -> list[str | None]:
    return [None] * len(array)


def _as_arrow_says(array: pa.Array) -> list[str | None]:
    found: list[str | None] = array.cast(pa.string()).to_pylist()
    return found


def _floats(array: pa.Array) -> list[str | None]:
    # str() finds the digits for the width, float() has narrow numbers written like wide ones; NaN alone is not itself
    return [None if value != value else str(float(str(value))) for value in array.to_numpy(zero_copy_only=False)]


def _decimals(array: pa.Array) -> list[str | None]:
    return [None if value is None else f"{value:f}" for value in array.to_pylist()]


def _dates(array: pa.Array) -> list[str | None]:
    _check_years(array.view(pa.int32()), 1)
    return _as_arrow_says(array)


def _times(array: pa.Array) -> list[str | None]:
    return [text and _short(text) for text in _as_arrow_says(array)]


def _timestamps(array: pa.Array) -> list[str | None]:
    unit, zone = array.type.unit, "Z" if array.type.tz else ""
    _check_years(array.view(pa.int64()), _PER_DAY[unit])
    found = compute.strftime(array.view(pa.timestamp(unit)), format="%Y-%m-%dT%H:%M:%S").to_pylist()
    return [text and _short(text) + zone for text in found]


def _check_years(counts: pa.Array, per_day: int) -> None:
    ends = compute.min_max(counts).as_py()
    if ends["min"] is not None and not (_FIRST_DAY * per_day <= ends["min"] and ends["max"] < (_LAST_DAY + 1) * per_day):
        raise CellError("bad_data", "holds a time outside the years 1 to 9999")


def _short(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def _lists(array: pa.Array) -> list[str | None]:
    tokens = iter(_tokens(array.flatten()))
    return [None if count is None else f"[{','.join(islice(tokens, count))}]" for count in _lengths(array)]


def _structs(array: pa.Array) -> list[str | None]:
    heads = [json.dumps(field.name, ensure_ascii=False) for field in array.type]
    rows = zip(*map(_tokens, array.flatten()), strict=True)
    return [_object(zip(heads, row, strict=True)) if there else None for there, row in zip(array.is_valid().to_pylist(), rows, strict=True)]


def _maps(array: pa.Array) -> list[str | None]:
    entries = _entries(array)
    pairs = zip(*map(_tokens, entries.flatten().flatten()), strict=True)
    return [None if count is None else _object(_different_keys(list(islice(pairs, count)))) for count in _lengths(entries)]


def _object(pairs: Iterable[tuple[str, str]]) -> str:
    return "{" + ",".join(f"{head}:{token}" for head, token in pairs) + "}"


def _different_keys(pairs: list[tuple[str, str]]) -> list[tuple[str, str]]:
    for key, count in Counter(key for key, _ in pairs).most_common(1):
        if count > 1:
            raise CellError("bad_data", f"has the key {quote(json.loads(key))} more than once")
    return pairs


def _entries(array: pa.Array) -> pa.Array:
    """A map as what it is made of: lists of keys and values."""
    key, value = _children(array.type)
    return array.cast(pa.list_(pa.struct([key, value])))


def _lengths(array: pa.Array) -> list[int | None]:
    found: list[int | None] = compute.list_value_length(array).to_pylist()
    return found


def _children(kind: pa.DataType) -> list[pa.Field]:
    if types.is_map(kind):
        return [kind.key_field, kind.item_field]
    return [kind.field(position) for position in range(kind.num_fields)]


def _plain_field(field: pa.Field) -> pa.Field:
    return field.with_type(plain(field.type))


def _is_text(kind: pa.DataType) -> bool:
    return bool(types.is_string(kind) or types.is_large_string(kind))


def _is_list(kind: pa.DataType) -> bool:
    return bool(types.is_list(kind) or types.is_large_list(kind))


_RULES: tuple[tuple[Callable[[pa.DataType], bool], Callable[[pa.Array], list[str | None]]], ...] = (
    (_is_text, _strings),
    (types.is_boolean, _as_arrow_says),
    (types.is_integer, _as_arrow_says),
    (types.is_floating, _floats),
    (types.is_decimal, _decimals),
    (types.is_date32, _dates),
    (types.is_time, _times),
    (types.is_timestamp, _timestamps),
    (types.is_null, _nothing),
    (_is_list, _lists),
    (types.is_struct, _structs),
    (types.is_map, _maps),
)
"""What becomes of which plain type; a type that matches none is not taken."""
