"""Pages: every row once, newest first, and no cursor but our own."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstart.errors import BadInput
from headstart.specs.ids import new_id
from headstart.store import workspaces
from headstart.store.pages import decode_cursor, encode_cursor
from tests.store.world import add_workspace


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=64))
def test_a_cursor_gives_back_its_id(last_id):
    assert decode_cursor(encode_cursor(last_id)) == last_id


@given(st.text(max_size=300) | st.binary(max_size=200).map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
def test_a_garbage_cursor_is_a_422_in_words(cursor):
    try:
        last_id = decode_cursor(cursor)
    except BadInput as refusal:
        assert (refusal.code, refusal.status, refusal.faults[0].pointer) == ("invalid_field", 422, "/after")
    else:  # made by chance: then it must be one that could have been ours
        assert last_id.isascii()
        assert last_id.isprintable()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


@given(json_values | st.fixed_dictionaries({"i": json_values}))
def test_a_cursor_of_other_json_is_refused_or_harmless(value):
    cursor = base64.urlsafe_b64encode(json.dumps(value).encode()).decode()
    try:
        assert decode_cursor(cursor).isprintable()
    except BadInput as refusal:
        assert refusal.code == "invalid_field"


@pytest.mark.parametrize("inner", ["[" * 100_000, '{"i":' * 50_000, "9" * 5000, '{"i":"' + "a" * 65 + '"}', '{"i":"a\\u0000"}'])
def test_a_hostile_cursor_is_refused(inner):
    with pytest.raises(BadInput):
        decode_cursor(base64.urlsafe_b64encode(inner.encode()).decode())


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 100])
def test_pages_show_every_row_once_and_newest_first(database, limit):
    with database.write() as session:
        made = sorted((add_workspace(session) for _ in range(6)), reverse=True)
    shown: list[str] = []
    after = None
    with database.read() as session:
        for _ in range(10):
            rows, after = workspaces.list_workspaces(session, only=None, limit=limit, after=after)
            assert len(rows) <= limit
            shown += [row.id for row in rows]
            if after is None:
                break
    assert shown == made


def test_a_row_made_between_two_pages_disturbs_neither(database):
    with database.write() as session:
        older = [add_workspace(session) for _ in range(4)]
    with database.read() as session:
        first, after = workspaces.list_workspaces(session, only=None, limit=2, after=None)
    with database.write() as session:
        add_workspace(session)
    with database.read() as session:
        second, after = workspaces.list_workspaces(session, only=None, limit=2, after=after)
    assert {row.id for row in first + second} == set(older)
    assert after is None


def test_a_well_made_cursor_of_an_unknown_id_is_an_empty_page_or_a_page(database):
    with database.write() as session:
        add_workspace(session)
    with database.read() as session:
        for last_id in ("", "~", new_id("ds"), "'; DROP TABLE workspaces; --"):
            rows, _ = workspaces.list_workspaces(session, only=None, limit=2, after=encode_cursor(last_id))
            assert len(rows) <= 1
