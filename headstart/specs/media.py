"""Images and recordings told apart by their first bytes; a name's ending is nobody's word."""

from __future__ import annotations

from collections.abc import Mapping

from headstart.specs.datasets import MediaType

_BEGINNINGS: Mapping[bytes, MediaType] = {
    b"\x89PNG\r\n\x1a\n": "image",
    b"\xff\xd8\xff": "image",  # JPEG
    b"GIF87a": "image",
    b"GIF89a": "image",
    b"BM": "image",
    b"II*\x00": "image",  # TIFF, either end first
    b"MM\x00*": "image",
    b"fLaC": "audio",
    b"OggS": "audio",
    b"ID3": "audio",  # MP3 with a tag
}
_CHUNKED: Mapping[tuple[bytes, bytes], MediaType] = {
    (b"RIFF", b"WEBP"): "image",
    (b"RIFF", b"WAVE"): "audio",
    (b"RF64", b"WAVE"): "audio",
    (b"FORM", b"AIFF"): "audio",
    (b"FORM", b"AIFC"): "audio",
}
"""By the first four bytes and those after the length."""


def medium_of(content: bytes) -> MediaType | None:
    """What a file is, as far as its first bytes tell; None when they tell nothing."""
    chunked = _CHUNKED.get((content[:4], content[8:12]))
    if chunked is not None:
        return chunked
    for beginning, medium in _BEGINNINGS.items():
        if content.startswith(beginning):
            return medium
    return "audio" if _is_mp3(content) else None


def _is_mp3(content: bytes) -> bool:
    """A frame of layer III without a tag: eleven bits set, then a version and a layer that exist (ISO/IEC 11172-3 §2.4.2.3)."""
    return len(content) >= 4 and content[0] == 0xFF and content[1] & 0xE6 == 0xE2 and content[1] & 0x18 != 0x08
