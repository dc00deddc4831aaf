"""How much an upload may ask of us: limits on its content, and limits on the process that reads it."""

from __future__ import annotations

import resource
import sys
from dataclasses import dataclass

REFUSED_EVENTS = frozenset(
    {
        "socket.connect",
        "socket.bind",
        "socket.sendto",
        "socket.sendmsg",
        "socket.getaddrinfo",
        "subprocess.Popen",
        "os.system",
        "os.exec",
        "os.posix_spawn",
        "os.fork",
        "os.forkpty",
        "pickle.find_class",
    }
)
"""Audit events (PEP 578) that a process which reads strangers' bytes has no business to raise."""


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """Bounds on one file; beyond any of them the dataset is invalid."""

    max_rows: int = 5_000_000
    max_columns: int = 2_000
    max_field_chars: int = 1_000_000
    max_line_bytes: int = 8 * 2**20
    max_depth: int = 32
    max_decoded_bytes: int = 4 * 2**30
    max_members: int = 200_000
    max_directory_bytes: int = 32 * 2**20
    """Of the list of members that ends a zip archive."""
    max_ratio: int = 200
    """An archive may unpack to so many times its size, and to `max_media_bytes` in any case."""
    max_media_bytes: int = 64 * 2**20
    """Of one image or recording."""
    max_seconds: int = 600
    """Of one recording."""
    max_listed_bytes: int = 128 * 2**20
    """Of the table in a zip archive."""
    max_replacing_bytes: int = 512 * 2**20
    """Of rows that replace others, which are held in memory."""
    max_kept_problems: int = 1_000
    max_kept_values: int = 1_000


def confine(memory_bytes: int, cpu_seconds: int, file_bytes: int, open_files: int) -> None:
    """Take from this process, for good, all that reading a file does not need. Only for a child that reads one upload.

    Beyond `memory_bytes` of address space an allocation raises MemoryError; beyond `cpu_seconds` the kernel ends the
    process (SIGXCPU, then SIGKILL); a file that grows beyond `file_bytes` raises OSError (EFBIG). Network, new
    processes and unpickling of classes raise PermissionError.
    """
    _limit(resource.RLIMIT_AS, memory_bytes)
    _limit(resource.RLIMIT_CPU, cpu_seconds, spare=2)
    _limit(resource.RLIMIT_FSIZE, file_bytes)
    _limit(resource.RLIMIT_NOFILE, open_files)
    _limit(resource.RLIMIT_CORE, 0)
    sys.addaudithook(_refuse)


def _limit(kind: int, soft: int, spare: int = 0) -> None:
    _, hard = resource.getrlimit(kind)
    top = soft + spare if hard == resource.RLIM_INFINITY else min(soft + spare, hard)
    resource.setrlimit(kind, (min(soft, top), top))


def _refuse(event: str, _: tuple[object, ...]) -> None:
    if event in REFUSED_EVENTS:
        raise PermissionError(f"{event} is not for a process that reads uploads")
