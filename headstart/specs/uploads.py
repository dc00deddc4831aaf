"""Resumable uploads: files on their way, by the tus protocol 1.0.

Source: https://tus.io/protocols/resumable-upload (1.0.0).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from headstart.specs.fields import Moment, View

VERSION = "1.0.0"
EXTENSIONS = ("creation", "creation-with-upload", "expiration", "termination")
CONTENT_TYPE = "application/offset+octet-stream"
MAX_METADATA_CHARS = 4096
"""Of the header `Upload-Metadata`."""
MAX_METADATA_KEYS = 16

_KEY = re.compile(r"[!-+\--~]{1,128}")  # printable ASCII but space and comma


class Upload(View):
    """A file that was announced, and how much of it is here."""

    object: Literal["upload"]
    id: str = Field(examples=["upl_01h455vb4pex5vsknk084sn02q"])
    bytes: int = Field(description="As announced.", examples=[1_073_741_824])
    received_bytes: int = Field(description="What is safely here; the offset to go on at.", examples=[536_870_912])
    metadata: dict[str, str] = Field(
        description="What `Upload-Metadata` said, without values that are not text.", examples=[{"filename": "reviews.csv"}]
    )
    dataset: str | None = Field(description="The dataset that it has become.")
    created_at: Moment
    expires_at: Moment = Field(description="When it goes if nothing more comes.")


def written_metadata(pairs: Mapping[str, str]) -> str:
    """The header `Upload-Metadata` for pairs of a word and a text."""
    return ",".join(f"{key} {base64.b64encode(value.encode()).decode()}".strip() for key, value in pairs.items())


def read_metadata(header: str) -> dict[str, bytes]:
    """The pairs of a header `Upload-Metadata`; a key without a value has an empty one.

    Raises:
        ValueError: it is not written as the protocol says; the message goes on after the header's name.
    """
    pairs: dict[str, bytes] = {}
    for pair in header.split(",") if header.strip() else []:
        key, _, encoded = pair.strip().partition(" ")
        if not _KEY.fullmatch(key):
            raise ValueError("has a key that is empty or not ASCII")
        if key in pairs:
            raise ValueError("has a key twice")
        try:
            pairs[key] = base64.b64decode(encoded, validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("has a value that is not base64") from None
    if len(pairs) > MAX_METADATA_KEYS:
        raise ValueError(f"has more than {MAX_METADATA_KEYS} keys")
    return pairs


def texts_of(header: str) -> dict[str, str]:
    """The values of `Upload-Metadata` that are text, of a header that was checked."""
    texts = {}
    for key, value in read_metadata(header).items():
        try:
            texts[key] = value.decode()
        except UnicodeDecodeError:
            continue
    return texts
