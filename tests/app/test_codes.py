"""The page of error codes is complete: a code that is raised and not explained sends its reader to nothing."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import headstart.errors
from app.codes import CODES, title_of

ROOT = Path(__file__).parents[2]
NEVER_SERVED = ("headstart/client/", "headstart/cli/")
"""What these raise stays in the user's own process."""
RAISING = {name for name, each in vars(headstart.errors).items() if isinstance(each, type) and issubclass(each, Exception)}
FIRST_IS_CODE = RAISING | {"Failure", "CellError", "_RowError", "refusal", "add", "skip"}


def codes_of(source: str) -> Iterator[str]:
    """Every code that is written down where an error, a failure or a row's problem is made."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).rpartition(".")[2]
            said = node.args[:1] if name in FIRST_IS_CODE else []
            if name in FIRST_IS_CODE | {"invalid_field"}:
                said += [keyword.value for keyword in node.keywords if keyword.arg == "code"]
            for argument in said:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str) and argument.value.isidentifier():
                    yield argument.value


def test_every_code_that_is_raised_is_explained():
    raised: dict[str, str] = {}
    for part in ("headstart", "app", "worker"):
        for path in (ROOT / part).rglob("*.py"):
            name = path.relative_to(ROOT).as_posix()
            if not name.startswith(NEVER_SERVED):
                raised |= dict.fromkeys(codes_of(path.read_text()), name)
    assert len(raised) > 40
    assert {code: name for code, name in raised.items() if code not in CODES} == {}


def test_the_search_sees_each_way_to_give_a_code():
    source = """
raise BadInput("a", "…")
raise problems.refusal("b", "…", row)
problems.add("c", "…")
raise _RowError("d", "…")
raise invalid_field("/x", "…", code="e")
Failure(code="f", message="…")
Warning(code="no_error", message="…")
"""
    assert list(codes_of(source)) == ["a", "b", "c", "d", "e", "f"]


def test_each_explanation_is_a_sentence_and_each_code_has_a_title():
    assert [code for code, words in CODES.items() if not (words[0].isupper() or words.startswith("`")) or not words.endswith(".")] == []
    assert title_of("column_not_found") == "Column not found"
