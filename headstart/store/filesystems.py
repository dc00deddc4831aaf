"""Which kind of file system a path lies on, by the kernel's table of mounts. Elsewhere than on Linux nothing is known."""

from __future__ import annotations

import re
from pathlib import Path

MOUNTS = Path("/proc/self/mountinfo")

NETWORK = frozenset(
    {
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "fuse.ceph",
        "fuse.glusterfs",
        "fuse.rclone",
        "fuse.s3fs",
        "fuse.sshfs",
        "glusterfs",
        "lustre",
        "nfs",
        "nfs4",
        "smb3",
        "smbfs",
    }
)
"""Those whose locks a database in a file cannot trust."""


def read_mounts() -> str:
    """The table as it is now, empty where there is none."""
    try:
        return MOUNTS.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""


def filesystem_of(path: Path, mounts: str) -> str | None:
    """The type of the file system that holds `path`, which need not be there yet; None when the table does not tell.

    Args:
        path: absolute, links followed.
        mounts: lines as proc(5) describes them under /proc/pid/mountinfo.
    """
    kind, depth = None, -1
    for line in mounts.splitlines():
        before, separator, after = line.partition(" - ")
        fields = before.split(" ")
        if not separator or len(fields) < 5:
            continue
        point = Path(re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), fields[4]))
        if path.is_relative_to(point) and len(point.parts) >= depth:  # of two mounts on one point the later hides the earlier
            kind, depth = after.split(" ")[0], len(point.parts)
    return kind
