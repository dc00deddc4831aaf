"""Labels: what makes two cells one class."""

from hypothesis import given
from hypothesis import strategies as st

from headstart.specs.labels import normal_label


def test_space_around_and_composition_of_accents_make_no_difference():
    assert normal_label("  caf\u0065\u0301\t") == "caf\u00e9"


def test_case_and_inner_space_make_a_difference():
    assert len({normal_label(text) for text in ("Cat", "cat", "c at")}) == 3


@given(st.text())
def test_a_normal_label_stays_as_it_is(text):
    assert normal_label(normal_label(text)) == normal_label(text)
