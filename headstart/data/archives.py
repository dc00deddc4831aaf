"""A zip archive as strangers send it: which members it has, and the bytes of each, read as a stream and never written under its name.

Nothing that the archive says of sizes is believed: what it says is added up and refused first, and no more than that is read. Only
deflate and plain storing are taken, for the other methods unpack without a bound on memory.
"""

from __future__ import annotations

import errno
import io
import stat
import struct
import unicodedata
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, BinaryIO

from headstart.data.limits import ReadLimits
from headstart.data.problems import Problems
from headstart.errors import BadInput, quote

MAX_NAME_CHARS = 1_024

_FIRST, _EMPTY = b"PK\x03\x04", b"PK\x05\x06"  # how a member begins, and an archive that has none
_HEADER_BYTES = 30  # of each member, before its name
_CHUNK_BYTES = 2**20
_ENCRYPTED, _NAMES_IN_UTF8 = 0x1, 0x800
_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}
_KINDS = {0, stat.S_IFREG, stat.S_IFDIR}
_IGNORED_FOLDERS = {"__macosx"}
_IGNORED_FILES = {"thumbs.db", "desktop.ini", "readme", "license", "licence"}
_FAULTS = (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, struct.error, zlib.error, ValueError, OverflowError, OSError)
"""All that the standard library raises over changed bytes."""


class Archive:
    """Members that may be read, by name (NFC), in the order of the archive."""

    def __init__(self, opened: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo]) -> None:
        self._zip = opened
        self.members = members

    def read(self, name: str, most: int, *, whole: bool = True) -> bytes:
        """The bytes of a member; at most `most`, which is an error where the whole is asked for.

        Raises:
            BadInput: `file_too_large`, `archive_corrupt`.
        """
        info = self.members[name]
        size = info.file_size
        if whole and size > most:
            raise BadInput("file_too_large", f"It has {size:,} bytes; at most {most:,} are taken.")
        try:
            with self._zip.open(info) as stream:
                content = b"".join(_chunks(stream, min(size, most)))
        except _FAULTS as error:
            if _is_of_the_machine(error):
                raise
            raise BadInput("archive_corrupt", "It is damaged in the archive, or not all of it is there.") from None
        if whole and len(content) != size:
            raise BadInput("archive_corrupt", "The archive gives another size for it than it has.")
        return content

    def copy(self, name: str, target: BinaryIO) -> None:
        """Write the bytes of a member to `target`, as they come.

        Raises:
            BadInput: `archive_corrupt`.
        """
        info = self.members[name]
        copied = 0
        try:
            with self._zip.open(info) as stream:
                for chunk in _chunks(stream, info.file_size):
                    copied += target.write(chunk)
        except _FAULTS as error:
            if _is_of_the_machine(error):
                raise
            raise BadInput("archive_corrupt", "It is damaged in the archive, or not all of it is there.") from None
        if copied != info.file_size:
            raise BadInput("archive_corrupt", "The archive gives another size for it than it has.")


def _is_of_the_machine(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno not in {None, errno.EINVAL}  # EINVAL: a place before the beginning was looked for


def _chunks(stream: IO[bytes], size: int) -> Iterator[bytes]:
    """The first `size` bytes; the checksum is compared where the member ends."""
    left = size
    while left > 0 and (chunk := stream.read(min(left, _CHUNK_BYTES))):
        left -= len(chunk)
        yield chunk


def open_archive(file: BinaryIO, limits: ReadLimits, problems: Problems) -> Archive:
    """What is in an archive.

    Raises:
        InvalidDataset: it is no zip, is damaged, or would unpack to too much; or a member is no plain file with a plain name.
    """
    size = file.seek(0, io.SEEK_END)
    if size == 0:
        raise problems.refusal("no_rows", "The file is empty.")
    file.seek(0)
    if file.read(4) not in {_FIRST, _EMPTY}:
        raise problems.refusal("archive_corrupt", "The file is not a zip archive: it does not begin like one.")
    opened = _open(file, limits, problems)
    infos = opened.infolist()
    if len(infos) > limits.max_members:
        raise problems.refusal("archive_bomb", f"The archive has {len(infos):,} members; at most {limits.max_members:,} are taken.")
    _check_sizes(infos, size, opened.start_dir, limits, problems)
    members = dict(_named(infos, problems))
    problems.check()
    if not members:
        raise problems.refusal("no_rows", "The archive has no files.")
    return Archive(opened, members)


class _Guarded:
    """A file of which no more is read at once than a list of members may take."""

    def __init__(self, file: BinaryIO, most: int) -> None:
        self.seek, self.tell, self.seekable = file.seek, file.tell, file.seekable
        self._file = file
        self._most = most

    def read(self, count: int = -1) -> bytes:
        if count > self._most:
            raise _TooMuch
        return self._file.read(self._most if count < 0 else count)  # without a count, the last 64 KiB are read


class _TooMuch(Exception):
    pass


def _open(file: BinaryIO, limits: ReadLimits, problems: Problems) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(_Guarded(file, limits.max_directory_bytes))
    except _TooMuch:
        message = f"The list of the archive's members takes more than {limits.max_directory_bytes:,} bytes."
        raise problems.refusal("archive_bomb", message) from None
    except UnicodeDecodeError:
        raise problems.refusal("archive_member", "A name in the archive is said to be UTF-8 and is not.") from None
    except _FAULTS as error:
        if _is_of_the_machine(error):
            raise
        message = "The archive cannot be read: it is damaged, cut off, or of a kind that is not known here."
        raise problems.refusal("archive_corrupt", message) from None


def _check_sizes(infos: Iterable[zipfile.ZipInfo], size: int, end: int, limits: ReadLimits, problems: Problems) -> None:
    ordered = sorted(infos, key=lambda info: info.header_offset)
    unpacked = sum(info.file_size for info in ordered)
    if unpacked > min(limits.max_decoded_bytes, max(limits.max_media_bytes, limits.max_ratio * size)):
        raise problems.refusal("archive_bomb", f"The archive of {size:,} bytes says that it unpacks to {unpacked:,}.")
    ends = [info.header_offset for info in ordered[1:]] + [end]
    for info, following in zip(ordered, ends, strict=False):
        if info.header_offset < 0 or info.header_offset + _HEADER_BYTES + info.compress_size > following:
            raise problems.refusal("archive_bomb", f"Members of the archive lie over each other: {quote(info.filename)} and what follows.")


def _named(infos: Iterable[zipfile.ZipInfo], problems: Problems) -> Iterator[tuple[str, zipfile.ZipInfo]]:
    """The members that count; what cannot be taken goes to `problems`."""
    seen: Counter[str] = Counter()
    for info in infos:
        try:
            name = _name(info)
            if info.is_dir() or _is_ignored(name):
                continue
            _check_kind(info)
        except BadInput as error:
            problems.add(error.code, f"The member {quote(info.orig_filename)} of the archive {error.message}")
            continue
        seen[name] += 1
        if seen[name] == 1:
            yield name, info
        elif seen[name] == 2:
            problems.add("archive_member", f"The member {quote(name)} is in the archive more than once.")


def _name(info: zipfile.ZipInfo) -> str:
    """The name, in NFC.

    Raises:
        BadInput: `archive_member`; the message goes on after the member.
    """
    name = info.orig_filename
    if not info.flag_bits & _NAMES_IN_UTF8 and not name.isascii():
        try:  # the standard library took it for the letters of DOS; most programs write UTF-8 and do not say so
            name = name.encode("cp437").decode("utf-8")
        except ValueError:
            raise BadInput("archive_member", "has a name that is not UTF-8.") from None
    words = _objection(name)
    if words:
        raise BadInput("archive_member", words)
    return unicodedata.normalize("NFC", name)


def _objection(name: str) -> str | None:
    if len(name) > MAX_NAME_CHARS:
        return f"has a name of more than {MAX_NAME_CHARS:,} characters."
    if any(unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} or character in _BIDI for character in name):
        return "has a name with control characters."
    if "\\" in name or name[1:2] == ":":
        return "has a path as on Windows; folders are divided by '/'."
    parts = name.removesuffix("/").split("/")
    if any(part.strip() in {"", ".", ".."} for part in parts):
        return "has a path that is absolute, or goes up, or has a part without a name."
    return None


_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def _is_ignored(name: str) -> bool:
    """What file managers leave behind, hidden files, and what people say about their files."""
    *folders, file = name.lower().split("/")
    hidden = any(part.startswith(".") or part in _IGNORED_FOLDERS for part in [*folders, file])
    return hidden or file in _IGNORED_FILES or file.partition(".")[0] in _IGNORED_FILES


def _check_kind(info: zipfile.ZipInfo) -> None:
    """Raise BadInput for what is no plain file in a plain method; the message goes on after the member."""
    mode = info.external_attr >> 16
    if stat.S_IFMT(mode) not in _KINDS or mode & (stat.S_ISUID | stat.S_ISGID):
        raise BadInput("archive_member", "is a link, a device, or a program with rights of its own, and no plain file.")
    if info.flag_bits & _ENCRYPTED:
        raise BadInput("archive_corrupt", "is encrypted.")
    if info.compress_type not in _METHODS:
        raise BadInput("archive_corrupt", f"is compressed by method {info.compress_type}, which is not taken.")
