"""Rated texts as CSV with the columns id, text, score and label."""

from __future__ import annotations

import csv
import io
import tarfile
from pathlib import PurePosixPath
from typing import BinaryIO
from zipfile import ZipFile

from headstart.demo_assets.files import member

NEUTRAL_BELOW = 0.5
"""A text whose mean rating is nearer to zero than this is labelled `neutral`."""

_RATINGS_ARCHIVE = "additional_resources/hutto_ICWSM_2014.tar.gz"


def make_ratings(inside: str, archive: ZipFile, out: BinaryIO, *, neutral: bool = True) -> None:
    """Write the rated texts of the file `inside` of the package `vaderSentiment`; `neutral`: those that lean neither way too."""
    with tarfile.open(fileobj=io.BytesIO(member(archive, _RATINGS_ARCHIVE))) as inner:
        found = next(item for item in inner.getmembers() if PurePosixPath(item.name).name == inside)
        file = inner.extractfile(found)
        text = file.read().decode("utf-8", "replace") if file is not None else ""
    out.write(ratings_as_csv(text, neutral=neutral).encode())


def ratings_as_csv(text: str, *, neutral: bool = True) -> str:
    """Lines of `id TAB mean rating TAB text` as CSV with the columns id, text, score and label."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["id", "text", "score", "label"])
    for fields in (line.split("\t") for line in text.splitlines()):
        if len(fields) == 3 and (neutral or _label(float(fields[1])) != "neutral"):
            key, score, words = fields
            writer.writerow([key, words, float(score), _label(float(score))])
    return out.getvalue()


def _label(score: float) -> str:
    if abs(score) < NEUTRAL_BELOW:
        return "neutral"
    return "positive" if score > 0 else "negative"
