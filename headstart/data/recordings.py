"""Reading a recording that a stranger sent: its length from the header, its samples in blocks, as one channel of one rate.

Axes: N samples, C channels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from headstart.errors import BadInput

MIN_RATE, MAX_RATE = 1_000, 384_000
MAX_CHANNELS = 32
MIN_SECONDS = 0.01
"""Shorter than any sound that could be told from another."""

MAX_PEAK = 2.0**31
"""Beyond the loudest sample of any format of integers, so that no later product overflows."""

BLOCK_FRAMES = 65_536
_MISSING_FRAMES = 2_304
"""Two blocks of MP3: so many may lack of what a header says without a word, as encoders count their padding differently."""

_OPEN_BYTES = 0x7FFF0000
"""From here on, and 0, a RIFF header means that its writer did not know the size."""

_UNKNOWN = 2**62
"""libsndfile gives its largest number of frames where a header leaves it open."""

_FORMATS = frozenset({"WAV", "WAVEX", "RF64", "FLAC", "OGG", "MP3"})
_CODECS = frozenset(
    {"PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW", "IMA_ADPCM", "MS_ADPCM"}
    | {"VORBIS", "OPUS", "MPEG_LAYER_III"}
)
_SHORT = "it ends before its header says"
_WANTED = "Send it as WAV, FLAC, OGG or MP3."


def length_of(content: bytes) -> tuple[float, int]:
    """How many seconds a recording lasts, and its samples a second, from its header; only one whose header leaves that open is decoded.

    Raises:
        BadInput: `unknown_format`, `bad_audio`, `empty_audio`.
    """
    with _opened(content) as sound:
        frames = sound.frames if sound.frames < _UNKNOWN else sum(map(len, _blocks(sound, _UNKNOWN)))
        if frames < MIN_SECONDS * sound.samplerate:
            raise _empty()
        return float(frames / sound.samplerate), int(sound.samplerate)


def seconds_of(content: bytes) -> float:
    """How long a recording is; see `length_of`."""
    return length_of(content)[0]


def read_recording(content: bytes, rate: int, max_seconds: float) -> NDArray[np.float32]:
    """The mean of the channels, at `rate` samples a second, [N]; what goes beyond `max_seconds` is not read.

    Read in blocks, so that a header that promises hours allocates nothing.

    Raises:
        BadInput: `unknown_format`, `bad_audio`, `empty_audio`, `silent_audio`.
    """
    with _opened(content) as sound:
        most = math.ceil(max_seconds * sound.samplerate)
        blocks = [block.mean(axis=1, dtype=np.float32) for block in _blocks(sound, most)]
        heard = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
        if sound.frames < _UNKNOWN and len(heard) + _MISSING_FRAMES < min(sound.frames, most):
            raise _bad(_SHORT)
        if len(heard) < MIN_SECONDS * sound.samplerate:
            raise _empty()
        given, whole = sound.samplerate, len(heard) < most or sound.frames <= most
    if whole and np.ptp(heard) == 0:  # what follows a long pause at the beginning may well be heard by others
        raise BadInput("silent_audio", "The recording is silent from beginning to end.", "Leave it out, or record it again.")
    made = heard if given == rate else soxr.resample(heard, given, rate)
    return np.ascontiguousarray(made[: math.ceil(max_seconds * rate)], np.float32)


class _Stream(soundfile.SoundFile):  # type: ignore[misc] # the library is untyped
    """A sound that is read from its beginning on: the library would seek after each block, which MP3 and FLAC without a length cannot."""

    def seekable(self) -> bool:
        return False


@contextmanager
def _opened(content: bytes) -> Iterator[_Stream]:
    if not content:
        raise _empty()
    if not _is_known(content):
        raise BadInput("unknown_format", "These bytes begin like no recording that is known here.", _WANTED)
    if content[:4] == b"RIFF" and len(content) + 9 < int.from_bytes(content[4:8], "little") + 8 < _OPEN_BYTES:
        raise _bad(_SHORT)
    try:
        with _Stream(BytesIO(content)) as sound:
            if sound.format not in _FORMATS or sound.subtype not in _CODECS:
                raise BadInput("unknown_format", "The recording is of a kind that is not read here.", _WANTED)
            if not MIN_RATE <= sound.samplerate <= MAX_RATE or not 1 <= sound.channels <= MAX_CHANNELS:
                raise _bad(f"it must have {MIN_RATE:,} to {MAX_RATE:,} samples a second and at most {MAX_CHANNELS} channels")
            yield sound
    except (soundfile.SoundFileError, ValueError, TypeError) as fault:  # what the library raises for damaged files
        raise _bad("it is damaged or cut off") from fault


def _is_known(content: bytes) -> bool:
    """By its first bytes, never by a name: RIFF and RF64, FLAC, Ogg, MP3 with tags or without."""
    if content[:4] in {b"RIFF", b"RF64"}:
        return content[8:12] == b"WAVE"
    if content[:4] in {b"fLaC", b"OggS"} or content[:3] == b"ID3":
        return True
    return begins_frame(content)


def begins_frame(content: bytes) -> bool:
    """Whether this begins as a frame of MPEG audio, layer III, does: MP3 without tags has no other magic."""
    return len(content) > 1 and content[0] == 0xFF and content[1] & 0xE6 == 0xE2


def _blocks(sound: _Stream, most: int) -> Iterator[NDArray[np.float32]]:
    """The first `most` frames [≤ BLOCK_FRAMES, C]."""
    left = most
    while left > 0:
        block = sound.read(min(BLOCK_FRAMES, left), dtype="float32", always_2d=True)
        if not len(block):
            return
        if not np.isfinite(block).all():
            raise _bad("some of its samples are no numbers (NaN or infinite)")
        if np.abs(block).max() > MAX_PEAK:
            raise _bad("some of its samples are louder than any format can be")
        left -= len(block)
        yield block


def _bad(why: str) -> BadInput:
    return BadInput("bad_audio", f"The recording cannot be read: {why}.", "Save it again as 16-bit WAV or FLAC.")


def _empty() -> BadInput:
    return BadInput("empty_audio", f"The recording is shorter than {MIN_SECONDS} seconds.", "Leave it out, or record it again.")
