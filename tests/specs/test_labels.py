"""Labels: what makes two cells one class, and what cells hold that are lists."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstart.specs.labels import json_spans, json_texts, listed_labels, normal_label, scheme_faults, tag_labels


def test_space_around_and_composition_of_accents_make_no_difference():
    assert normal_label("  caf\u0065\u0301\t") == "caf\u00e9"


def test_case_and_inner_space_make_a_difference():
    assert len({normal_label(text) for text in ("Cat", "cat", "c at")}) == 3


@given(st.text())
def test_a_normal_label_stays_as_it_is(text):
    assert normal_label(normal_label(text)) == normal_label(text)


SPANS = '[{"start": 0, "end": 2, "label": " PER ", "text": "Bo"}, {"label": "LOC", "start": 12, "end": 16}]'


def test_spans_are_objects_with_start_end_and_label_whatever_else_they_hold():
    assert json_spans(SPANS) == [(0, 2, "PER"), (12, 16, "LOC")]
    assert json_spans(" []") == []


@pytest.mark.parametrize(
    "cell",
    [
        "Bo",
        "",
        "{}",
        '["PER"]',
        "[[0, 2]]",
        '[{"start": 0, "end": 2}]',
        '[{"start": 0, "end": 2, "label": " "}]',
        '[{"start": "0", "end": 2, "label": "PER"}]',
        '[{"start": true, "end": 2, "label": "PER"}]',
        '[{"start": 0.0, "end": 2, "label": "PER"}]',
        '[{"start": 0, "end": 2, "label": "\\ud800"}]',
        "[" * 100_000,
        "[NaN",
        '[{"start": 1' + "0" * 5_000 + ', "end": 2, "label": "PER"}]',
        '[{"start": 0, "end": 9007199254740993, "label": "PER"}]',
        '[{"start": -1' + "0" * 4_000 + ', "end": 2, "label": "PER"}]',
    ],
)
def test_other_cells_are_no_spans(cell):
    assert json_spans(cell) is None


def test_the_labels_of_tags_are_counted_as_often_as_they_stand_there():
    assert tag_labels('["O", "B-PER ", "O"]') == ["O", "B-PER", "O"]
    assert tag_labels(SPANS) == ["PER", "LOC"]
    assert tag_labels("[]") == []
    assert tag_labels("O O") is None
    assert listed_labels('["b", "a", "b"]') == ["b", "a"]


@pytest.mark.parametrize("cell", ['["\\ud800"]', '["a\\u0000"]'])
def test_texts_that_no_database_keeps_are_no_texts(cell):
    assert json_texts(cell) is None


FAULTS = {
    "nothing": ("", []),
    "IOB2": ("O B-PER I-PER O B-PER B-PER I-PER", []),
    "IOBES": ("O B-PER I-PER E-PER S-LOC O", []),
    "BILOU": ("U-LOC B-PER L-PER", []),
    "BMES": ("B-PER M-PER M-PER E-PER S-LOC O", []),
    "BMES that is not ended": ("B-PER M-PER O", ["tag 2 is the last of a chunk that is not ended"]),
    "parts of speech": ("NOUN VERB O X-RAY", []),
    "inside without a beginning": ("O I-PER", ["tag 2 goes on with a chunk that has not begun"]),
    "inside of another": ("B-PER I-LOC", ["tag 2 goes on with a chunk that has not begun"]),
    "no label": ("B-PER B-", ["tag 2 is neither O nor a label behind B-, I- and the like"]),
    "an outside of another spelling": ("B-PER o", ["tag 2 is neither O nor a label behind B-, I- and the like"]),
    "IOBES that is not ended": ("S-LOC B-PER O", ["tag 2 is the last of a chunk that is not ended"]),
    "IOBES that is not ended at the end": ("S-LOC B-PER", ["tag 2 is the last of a chunk that is not ended"]),
    "an end without a beginning": ("O E-PER", ["tag 2 goes on with a chunk that has not begun"]),
}


@pytest.mark.parametrize("case", FAULTS)
def test_tags_that_break_their_scheme_are_told_in_words(case):
    tags, expected = FAULTS[case]
    assert scheme_faults(tags.split()) == expected
