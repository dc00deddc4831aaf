"""Opening an image that a stranger sent: its format is judged by its first bytes, its size before it is decoded."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import numpy as np
from PIL import Image

from headstart.errors import BadInput

MAX_PIXELS = 40_000_000
"""A camera's largest images; decoded, one takes 160 MB."""

_WANTED = "Send it as PNG, JPEG, WebP or TIFF."
_FORMATS = {b"\x89PNG\r\n\x1a\n": "PNG", b"\xff\xd8\xff": "JPEG", b"II*\x00": "TIFF", b"MM\x00*": "TIFF"}
_NOT_TAKEN = {b"GIF8": "GIF", b"BM": "BMP", b"<": "SVG or HTML", b"%!PS": "EPS", b"%PDF": "PDF", b"8BPS": "PSD"}
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What brings a picture upright, by its EXIF orientation."""

_ORIENTATION = 0x0112
_STRANGERS_ERRORS = (
    ArithmeticError,
    AttributeError,
    AssertionError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    Warning,  # where a process makes errors of them
    struct.error,
    zlib.error,
)
"""What Pillow raises about files that are damaged."""


def open_image(content: bytes) -> Image.Image:
    """The image in `content`, decoded: RGB, upright as its EXIF orientation says, whatever is transparent on white.

    Of a JPEG that carries further images (phones add depth and gain maps) the first is taken.

    Raises:
        BadInput: `unknown_format`, `image_too_large`, `animated_image` (also several pages), `bad_image`.
    """
    name = _format(content)
    try:
        if name == "WEBP":
            _check_size(*_webp_size(content))  # Pillow allocates the canvas as soon as it opens one
        image = Image.open(BytesIO(content), formats=[name])
        _check_size(*image.size)
        if name != "JPEG" and getattr(image, "is_animated", False):
            raise BadInput("animated_image", "The image has several frames or pages.", "Send the one that counts.")
        image.load()
        return _upright(_rgb(image), _orientation(image))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as fault:
        raise _too_large() from fault
    except _STRANGERS_ERRORS as fault:
        if isinstance(fault, OSError) and fault.errno is not None:
            raise  # the machine's
        raise bad_image("it is damaged or cut off") from fault


def bad_image(why: str) -> BadInput:
    return BadInput("bad_image", f"The image cannot be read: {why}.", "Save it again as PNG or JPEG.")


def _format(content: bytes) -> str:
    found = next((name for magic, name in _FORMATS.items() if content.startswith(magic)), None)
    if found is not None:
        return found
    if content[:4] == b"RIFF" and content[8:12] == b"WEBP":
        return "WEBP"
    if not content:
        raise bad_image("it has no bytes")
    if content[4:8] == b"ftyp":
        raise BadInput("unknown_format", "The image is HEIC or AVIF, or it is a film.", _WANTED)
    other = next((name for magic, name in _NOT_TAKEN.items() if content.lstrip().startswith(magic)), None)
    raise BadInput("unknown_format", f"The image is {other}." if other else "These bytes begin like no image that is known here.", _WANTED)


def _webp_size(content: bytes) -> tuple[int, int]:
    """Width and height from the header (RFC 9649); (1, 1) where it has none, which Pillow then refuses.

    Source: RFC 9649, sections 2.5 to 2.7.
    """
    kind, head = content[12:16], content[20:30].ljust(10, b"\x00")
    if kind == b"VP8X":
        return int.from_bytes(head[4:7], "little") + 1, int.from_bytes(head[7:10], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(head[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        return int.from_bytes(head[6:8], "little") & 0x3FFF, int.from_bytes(head[8:10], "little") & 0x3FFF
    return 1, 1


def _check_size(width: int, height: int) -> None:
    if width < 1 or height < 1:
        raise bad_image("it has no pixels")
    if width * height > MAX_PIXELS:
        raise _too_large()


def _too_large() -> BadInput:
    return BadInput("image_too_large", f"The image has more than {MAX_PIXELS // 1_000_000} million pixels.", "Send a smaller copy.")


def _orientation(image: Image.Image) -> int:
    """1 where the EXIF says nothing that can be read. Asked after decoding: a PNG may have it at its end, and Pillow turns TIFF itself."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except _STRANGERS_ERRORS:
        return 1


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(_TURNS[orientation]) if orientation in _TURNS else image


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):  # Pillow would cut all that is brighter than 255
        return Image.fromarray((np.asarray(image).astype(np.uint32) * 255 // 65535).astype(np.uint8)).convert("RGB")
    if image.mode in {"I", "F"}:
        raise bad_image("its pixels have 32 bits, and nothing says which of them are white")
    if not image.has_transparency_data:
        return image.convert("RGB")
    image = image.convert("RGBA")
    canvas = Image.new("RGB", image.size, "white")
    canvas.paste(image, mask=image.getchannel("A"))
    return canvas
