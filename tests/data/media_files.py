"""Images, recordings and archives of them, made as people's programs make them."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Mapping

import numpy as np
import soundfile
from PIL import Image

Members = Mapping[str, bytes] | Iterable[tuple[str | zipfile.ZipInfo, bytes]]


def image(shade: int = 0, size: tuple[int, int] = (4, 3), kind: str = "PNG") -> bytes:
    """One colour; another for another `shade`."""
    file = io.BytesIO()
    Image.new("RGB", size, (shade % 256, shade // 256, 7)).save(file, kind)
    return file.getvalue()


def recording(number: int = 0, seconds: float = 0.1, rate: int = 8_000, kind: str = "WAV") -> bytes:
    """A tone; another for another `number`."""
    file = io.BytesIO()
    times = np.arange(int(seconds * rate)) / rate
    samples = np.sin(2 * np.pi * (200 + number) * times).astype(np.float32) / 2
    with soundfile.SoundFile(file, "w", rate, 1, format=kind) as sound:
        for begin in range(0, len(samples), 2**14):  # in one piece, a minute of Ogg ends the process
            sound.write(samples[begin : begin + 2**14])
    return file.getvalue()


def archive(members: Members, compression: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as writer:
        for name, content in members.items() if isinstance(members, Mapping) else members:
            writer.writestr(name, content)
    return file.getvalue()


def renamed(content: bytes, old: bytes, new: bytes) -> bytes:
    """The archive with one name changed wherever it stands: names that no writer would write."""
    assert len(old) == len(new)
    assert content.count(old) == 2
    return content.replace(old, new)
