"""References: every name that can be spoken is taken apart, and nothing else is taken."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from headstart.specs.fields import MAX_INT, NAME_PATTERN
from headstart.store.references import Reference, parse_reference

names = st.from_regex(NAME_PATTERN.replace("$", r"\Z"))


@given(names)
def test_a_plain_name_means_the_newest(name):
    assert parse_reference(name) == Reference(name)


@given(names, st.integers(1, 10**16 - 1))
@example("reviews", MAX_INT)
@example("reviews", MAX_INT + 1)
def test_a_version_is_a_plain_positive_number(name, version):
    assert parse_reference(f"{name}:{version}") == (Reference(name, version=version) if version <= MAX_INT else None)


@given(names, names)
def test_an_alias_follows_an_at_sign(name, alias):
    assert parse_reference(f"{name}@{alias}") == Reference(name, alias=alias)


@pytest.mark.parametrize(
    "text",
    ["", ":", "@", "a:", "a@", ":1", "@prod", "a:0", "a:01", "a:-1", "a:+1", "a:1.0", "a: 1", "a:1 ", "a:١", "a:1@prod", "a@prod:1", "a@b@c",
     "A", "a b", "a\n", "a:1\n", "a@prod\n", "-a", "a/b", "a" * 64, "a\x00", "ä", f"a:{'9' * 5000}"],
)  # fmt: skip
def test_what_cannot_name_anything_is_none(text):
    assert parse_reference(text) is None


@given(st.text(st.sampled_from("ab0._-:@ A\n\x00é"), max_size=12))
def test_whatever_is_parsed_says_the_same_again(text):
    parsed = parse_reference(text)
    if parsed is None:
        return
    assert re.fullmatch(NAME_PATTERN.replace("$", r"\Z"), parsed.name)
    assert parsed.version is None or parsed.alias is None
    tail = "" if parsed.version is None else f":{parsed.version}"
    assert text == parsed.name + tail + ("" if parsed.alias is None else f"@{parsed.alias}")
