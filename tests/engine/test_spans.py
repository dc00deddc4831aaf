"""Spans of characters become tags of words, in both schemes, and what does not fit is told."""

from __future__ import annotations

from typing import Any

import pytest

from headstart.engine.evaluation.entities import entities
from headstart.engine.inputs.words import sentence_of_text
from headstart.engine.tasks.spans import tags_of_spans

TEXT = sentence_of_text("\U0001f600 New York, New Jersey")
"""Words: the emoji at 0, New 2, York 6, the comma 10, New 12, Jersey 16 to 22."""


def tags(spans: list[Any], scheme: str = "BIO", amiss: set[str] | None = None) -> list[str] | None:
    known = ["O", "B-A", "I-A"] if scheme == "BIO" else ["O", "B-A", "E-A", "I-A", "S-A"]
    return tags_of_spans(TEXT, spans, known, set() if amiss is None else amiss)


@pytest.mark.parametrize(
    ("spans", "bio", "iobes"),
    [
        ([], "O O O O O O", "O O O O O O"),
        ([(2, 10, "A")], "O B-A I-A O O O", "O B-A E-A O O O"),
        ([(0, 1, "A")], "B-A O O O O O", "S-A O O O O O"),
        ([(16, 22, "B"), (2, 5, "A")], "O B-A O O O B-B", "O S-A O O O S-B"),
        ([(2, 22, "A")], "O B-A I-A I-A I-A I-A", "O B-A I-A I-A I-A E-A"),
        ([(1, 11, "A")], "O B-A I-A I-A O O", "O B-A I-A E-A O O"),  # the space before it is no word
    ],
)
def test_words_are_tagged_by_the_spans_they_are_in(spans, bio, iobes):
    assert tags(spans) == bio.split()
    assert tags(spans, "IOBES") == iobes.split()


@pytest.mark.parametrize(
    ("spans", "expected", "codes"),
    [
        ([(2, 8, "A")], "O B-A I-A O O O", {"span_cuts_word"}),
        ([(3, 5, "A")], "O B-A O O O O", {"span_cuts_word"}),
        ([(2, 5, "A"), (2, 10, "B")], "O B-B I-B O O O", {"spans_overlap"}),
        ([(2, 7, "A"), (7, 10, "B")], "O B-A I-A O O O", {"span_cuts_word", "span_without_words"}),
        ([(1, 2, "A")], "O O O O O O", {"span_without_words"}),
    ],
)
def test_spans_that_do_not_fit_words_or_each_other_are_told_and_the_rest_stands(spans, expected, codes):
    amiss: set[str] = set()
    assert tags(spans, amiss=amiss) == expected.split()
    assert amiss == codes


@pytest.mark.parametrize("span", [(-1, 2, "A"), (5, 5, "A"), (7, 3, "A"), (2, 23, "A"), (0, 10**30, "A")])
def test_row_with_a_span_outside_of_its_text_has_no_tags(span):
    amiss: set[str] = set()
    assert tags([(2, 5, "A"), span], amiss=amiss) is None
    assert amiss == {"span_outside"}


def test_tags_of_spans_name_the_entities_that_the_spans_are():
    spans = [(2, 10, "A"), (12, 22, "B")]
    for scheme in ("BIO", "IOBES"):
        found = entities(tags(spans, scheme) or [])
        assert [(label, TEXT.places[first, 0], TEXT.places[end - 1, 1]) for label, first, end in found] == [("A", 2, 10), ("B", 12, 22)]
