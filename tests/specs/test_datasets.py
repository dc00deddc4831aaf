"""What a file's name tells."""

import pytest

from headstart.specs.datasets import COMPRESSED, ENDINGS, format_of, plain_stem


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_name_tells_the_format_whatever_its_case(ending):
    assert format_of(f"My.Reviews{ending.upper()}") == ENDINGS[ending]


@pytest.mark.parametrize("packed", COMPRESSED)
def test_a_name_tells_the_format_behind_its_compression_but_of_a_zip(packed):
    assert {format_of(f"a{ending}{packed}") for ending in ENDINGS} == (set(ENDINGS.values()) - {"zip"}) | {None}
    assert plain_stem(f"my.reviews.csv{packed}") == "my.reviews"


@pytest.mark.parametrize("name", ["", "reviews", "reviews.txt", "reviews.gz", ".csv", "csv"])
def test_another_name_tells_nothing(name):
    assert format_of(name) is None
