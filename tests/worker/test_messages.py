"""Messages survive however the stream is cut."""

from __future__ import annotations

import json
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker import messages

VALUES = st.dictionaries(st.text(max_size=8), st.one_of(st.text(max_size=20), st.integers(), st.none(), st.booleans()), max_size=4)


@given(st.lists(VALUES, max_size=5), st.lists(st.integers(1, 40), max_size=60))
def test_messages_arrive_whole_and_in_order_however_the_stream_is_cut(sent, cuts):
    stream = b"".join(json.dumps(message).encode() + b"\n" for message in sent)
    lines, received, at = messages.Lines(), [], 0
    for cut in [*cuts, len(stream)]:
        received += lines.feed(stream[at : at + cut]) if at < len(stream) else []
        at += cut
    assert received == sent


def test_a_line_without_end_is_refused(monkeypatch):
    monkeypatch.setattr(messages, "MOST_BYTES", 10)
    with pytest.raises(ValueError, match="without end"):
        messages.Lines().feed(b"x" * 11)


def test_number_that_json_has_not_is_never_sent():
    here, there = socket.socketpair()
    with here, there, pytest.raises(ValueError, match="JSON compliant"):
        messages.send(here, {"loss": float("nan")})
