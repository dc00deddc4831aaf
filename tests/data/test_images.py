"""Every picture that is taken comes out upright and in the colours that were meant; every other one is refused in words."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from headstart.data.images import MAX_PIXELS, open_image
from headstart.errors import BadInput

RED, GREEN, BLUE = (250, 10, 10), (10, 250, 10), (10, 10, 250)


def saved(image: Image.Image, name: str, **options) -> bytes:
    out = io.BytesIO()
    image.save(out, name, **options)
    return out.getvalue()


def quarters() -> Image.Image:
    """60 × 40: red, green / blue, white."""
    image = Image.new("RGB", (60, 40), "white")
    for colour, box in ((RED, (0, 0, 30, 20)), (GREEN, (30, 0, 60, 20)), (BLUE, (0, 20, 30, 40))):
        image.paste(colour, box)
    return image


def refused(content: bytes) -> BadInput:
    with pytest.raises(BadInput) as caught:
        open_image(content)
    assert caught.value.hint
    return caught.value


def looks_like(image: Image.Image, expected: Image.Image, tolerance: float = 12) -> bool:
    if image.mode != "RGB" or image.size != expected.size:
        return False
    return bool(np.abs(np.asarray(image, np.float64) - np.asarray(expected, np.float64)).mean() < tolerance)


FORMATS: list[tuple[str, dict[str, Any]]] = [
    ("PNG", {}),
    ("JPEG", {"quality": 95}),
    ("JPEG", {"quality": 95, "progressive": True}),
    ("WEBP", {"lossless": True}),
    ("WEBP", {"quality": 95}),
    ("TIFF", {}),
    ("TIFF", {"compression": "tiff_lzw"}),
]


@pytest.mark.parametrize(("name", "options"), FORMATS)
def test_each_format_shows_the_same_picture(name, options):
    assert looks_like(open_image(saved(quarters(), name, **options)), quarters())


@pytest.mark.parametrize("name", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_is_upright_whatever_way_the_camera_was_held(name, orientation):
    turn = [None, None, 0, 3, 1, 5, 2, 6, 4][orientation]  # what a camera does to the picture; the inverse of what shows it upright
    stored = quarters() if turn is None else quarters().transpose(Image.Transpose(turn))
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert looks_like(open_image(saved(stored, name, exif=exif.tobytes())), quarters())


def test_unreadable_exif_leaves_the_picture_as_it_is():
    assert looks_like(open_image(saved(quarters(), "PNG", exif=b"Exif\x00\x00" + b"\xff" * 40)), quarters())


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK"])
def test_other_colour_spaces_become_rgb(mode):
    image = quarters().convert(mode)
    name = "JPEG" if mode == "CMYK" else "PNG"
    assert looks_like(open_image(saved(image, name)), image.convert("RGB"))


@pytest.mark.parametrize("name", ["PNG", "TIFF"])
def test_16_bits_keep_their_greys(name):
    ramp = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    opened = np.asarray(open_image(saved(Image.fromarray(ramp), name)))
    assert np.abs(opened[:, :, 0].astype(int) - (ramp // 257).astype(int)).max() <= 1
    assert (opened == opened[:, :, :1]).all()


def test_16_bit_colours_keep_their_shades():
    pixels = np.array([[[65535, 32768, 0], [257, 514, 65000]]], ">u2")
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0))
    png = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\x00" + pixels.tobytes())) + chunk(b"IEND", b"")
    assert np.asarray(open_image(png)).tolist() == [[[255, 128, 0], [1, 2, 253]]]


def test_pixels_without_a_known_white_are_refused():
    assert refused(saved(Image.fromarray(np.ones((4, 4), np.float32)), "TIFF")).code == "bad_image"


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_lies_on_white(mode):
    image = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    image.paste((0, 0, 0, 255), (0, 0, 4, 8))
    image.paste((0, 0, 0, 128), (4, 0, 6, 8))
    opened = np.asarray(open_image(saved(image.convert(mode), "PNG")))
    assert opened[0, 0].tolist() == [0, 0, 0]
    assert opened[0, 7].tolist() == [255, 255, 255]
    if mode != "P":
        assert abs(int(opened[0, 4, 0]) - 127) <= 1


def test_a_colour_that_is_named_transparent_lies_on_white():
    image = Image.new("RGB", (4, 4), (1, 2, 3))
    assert np.asarray(open_image(saved(image, "PNG", transparency=(1, 2, 3)))).min() == 255


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (saved(quarters(), "GIF"), "GIF"),
        (saved(quarters(), "BMP"), "BMP"),
        (b'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY a "aaaa">]><svg>&a;</svg>', "SVG"),
        (b"  \n<html><body>not found</body></html>", "HTML"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "EPS"),
        (b"8BPS\x00\x01" + b"\x00" * 40, "PSD"),
        (b"\x00\x00\x00\x18ftypheic" + b"\x00" * 40, "HEIC"),
        (saved(quarters(), "ICNS"), "known"),
        (saved(quarters(), "PPM"), "known"),
        (b"hello", "known"),
    ],
)
def test_other_formats_are_refused_by_their_first_bytes(content, word):
    refusal = refused(content)
    assert refusal.code == "unknown_format"
    assert word in refusal.message


def test_no_bytes_are_no_image():
    assert refused(b"").code == "bad_image"


@pytest.mark.parametrize("name", ["PNG", "WEBP", "TIFF"])
def test_several_frames_are_refused(name):
    frames = [quarters(), quarters().transpose(Image.Transpose.ROTATE_180)]
    assert refused(saved(frames[0], name, save_all=True, append_images=frames[1:])).code == "animated_image"


def test_a_phone_photo_with_a_second_picture_shows_its_first():
    photo = saved(quarters(), "MPO", save_all=True, append_images=[Image.new("RGB", (60, 40), "black")], quality=95)
    assert looks_like(open_image(photo), quarters())


def test_sides_are_multiplied_before_anything_is_decoded():
    side = int(MAX_PIXELS**0.5) + 1
    assert refused(saved(Image.new("1", (side, side)), "PNG")).code == "image_too_large"
    assert refused(saved(Image.new("1", (20_000, 20_000)), "PNG")).code == "image_too_large"


@pytest.mark.parametrize(
    "chunk_of_header",
    [
        b"VP8X" + struct.pack("<I", 10) + b"\x00" * 4 + b"\xfe\x3f\x00" * 2,
        b"VP8L" + struct.pack("<I", 10) + b"\x2f" + struct.pack("<I", 0x0FFFFFFF) + b"\x00" * 5,
        b"VP8 " + struct.pack("<I", 10) + b"\x00\x00\x00\x9d\x01\x2a" + struct.pack("<HH", 16383, 16383),
    ],
)
def test_a_webp_is_too_large_before_its_canvas_is_allocated(chunk_of_header):
    assert refused(b"RIFF" + struct.pack("<I", 4 + len(chunk_of_header)) + b"WEBP" + chunk_of_header).code == "image_too_large"


def test_a_text_in_a_png_that_unpacks_to_gigabytes_is_refused():
    png = saved(quarters(), "PNG")
    bomb = chunk(b"zTXt", b"a\x00\x00" + zlib.compress(b"\x00" * (64 << 20)))
    assert refused(png[:33] + bomb + png[33:]).code == "bad_image"


@pytest.mark.parametrize(("name", "options"), FORMATS)
def test_cut_off_anywhere_an_image_is_refused(name, options):
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3)).astype(np.uint8)
    whole = saved(Image.fromarray(pixels), name, **options)
    for part in range(1, 32):
        assert refused(whole[: len(whole) * part // 32]).code in {"bad_image", "unknown_format"}


ORIGINALS = [saved(quarters(), name, **options) for name, options in FORMATS]


@settings(max_examples=300)
@given(st.sampled_from(ORIGINALS), st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), min_size=1, max_size=8))
@pytest.mark.filterwarnings("ignore")
def test_damaged_images_are_opened_or_refused_and_nothing_else(original, changes):
    content = bytearray(original)
    for place, value in changes:
        content[place % len(content)] = value
    try:
        assert open_image(bytes(content)).mode == "RGB"
    except BadInput as refusal:
        assert refusal.code in {"bad_image", "image_too_large", "animated_image", "unknown_format"}


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
