"""JSON as RFC 8259 means it and no more: finite numbers, single keys, whole characters, bounded depth.

Python's own reader takes NaN, Infinity, 1e400, duplicate keys and halves of surrogate pairs, and each of them breaks something later.
"""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from headstart.errors import BadInput, Fault, Malformed, TooLarge, quote

MAX_DEPTH = 64
MAX_VALUES = 50_000
"""Values in one body, counted at every depth; each may become a validation error with a page of memory."""
MAX_DIGITS = 400

Path = tuple[Any, ...]
"""The way to a value, innermost first: (key, (key, ()))."""


class _Bad:
    """Stands for a value that must not be, until the walk knows where it is."""

    __slots__ = ("why",)

    def __init__(self, why: str) -> None:
        self.why = why


def loads(body: bytes, *, pointer: str = "") -> Any:  # noqa: ANN401 - JSON
    """The value in `body`.

    Args:
        body: UTF-8, without a byte order mark.
        pointer: where the value stands in a larger whole, for the errors.

    Raises:
        Malformed: it is not JSON in UTF-8.
        BadInput: `invalid_field`, it holds something that JSON or its readers cannot agree on.
        TooLarge: it has too many values.
    """
    try:
        text = body.decode("utf-8")
        value = json.loads(text, parse_constant=_constant, parse_float=_float, parse_int=_int, object_pairs_hook=_object)
    except RecursionError:
        _refuse(pointer, f"is nested deeper than {MAX_DEPTH}")
    except ValueError as error:
        raise Malformed("malformed_json", _unreadable(error), "Send one JSON value in UTF-8, without a byte order mark.") from None
    _walk(value, pointer)
    return value


def _unreadable(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError) and not error.msg.startswith("Unexpected UTF-8 BOM"):
        return f"The body is not JSON: line {error.lineno}, column {error.colno}."
    return "The body is not JSON in UTF-8."


def _constant(_word: str) -> _Bad:
    return _Bad("must be a finite number")


def _float(digits: str) -> float | _Bad:
    value = float(digits)
    return value if math.isfinite(value) else _Bad("must be a finite number")


def _int(digits: str) -> int | _Bad:
    return int(digits) if len(digits) <= MAX_DIGITS else _Bad("must be a smaller number")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any] | _Bad:
    value = dict(pairs)
    if len(value) == len(pairs):
        return value
    seen: set[str] = set()
    twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
    return _Bad(f"has the key {quote(twice)} twice")


def _walk(root: Any, pointer: str) -> None:  # noqa: ANN401
    todo: list[tuple[Any, Path, int]] = [(root, (), 1)]
    count = 1
    while todo:
        value, path, depth = todo.pop()
        if isinstance(value, str):
            _check_text(value, path, pointer)
        elif isinstance(value, _Bad):
            _refuse(_pointer(path, pointer), value.why)
        elif isinstance(value, dict | list):
            count += len(value)
            if depth > MAX_DEPTH:
                _refuse(pointer, f"is nested deeper than {MAX_DEPTH}")
            if count > MAX_VALUES:
                raise TooLarge("too_large", f"The body has more than {MAX_VALUES:,} values.", "Send it in several requests.")
            if isinstance(value, dict):
                for key in value:
                    _check_text(key, path, pointer)
            pairs = value.items() if isinstance(value, dict) else enumerate(value)
            todo.extend((each, (key, path), depth + 1) for key, each in pairs)


def _check_text(text: str, path: Path, pointer: str) -> None:
    if "\x00" in text:
        _refuse(_pointer(path, pointer), "holds the character U+0000")
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            _refuse(_pointer(path, pointer), "holds half of a surrogate pair")


def _pointer(path: Path, root: str) -> str:
    parts: list[str] = []
    while path:
        key, path = path
        parts.append(quote(str(key))[1:-1].replace("~", "~0").replace("/", "~1"))
    return root + "".join(f"/{part}" for part in reversed(parts))


def _refuse(pointer: str, why: str) -> NoReturn:
    subject = f"The field {quote(pointer[1:].replace('/', '.'))}" if pointer else "The body"
    raise BadInput("invalid_field", f"{subject} {why}.", None, (Fault(pointer, why),))
