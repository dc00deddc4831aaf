"""On which file system a database would lie, and which are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from headstart.store.filesystems import NETWORK, filesystem_of, read_mounts

MOUNTS = r"""
22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/root rw
30 22 0:26 / /srv rw shared:5 master:1 - nfs4 server:/export rw,vers=4.2
31 30 0:27 / /srv/local rw - xfs /dev/sdb rw
32 22 0:28 / /mnt/with\040space rw - fuse.sshfs host: rw
33 22 0:29 / /hidden rw - nfs server:/old rw
34 33 0:30 / /hidden rw - tmpfs tmpfs rw
a line that is none
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/srvother/headstart.db", "ext4"),
        ("/srv", "nfs4"),
        ("/srv/team/headstart.db", "nfs4"),
        ("/srv/local/headstart.db", "xfs"),
        ("/mnt/with space/headstart.db", "fuse.sshfs"),
        ("/hidden/headstart.db", "tmpfs"),
    ],
)
def test_the_deepest_and_latest_mount_counts(path: str, kind: str):
    assert filesystem_of(Path(path), MOUNTS) == kind


def test_without_a_table_nothing_is_known():
    assert filesystem_of(Path("/srv"), "") is None


def test_this_machines_own_table_is_understood(tmp_path: Path):
    mounts = read_mounts()
    if not mounts:
        pytest.skip("there is no /proc/self/mountinfo here")
    assert filesystem_of(tmp_path.resolve(), mounts) not in {None, *NETWORK}
    assert filesystem_of(Path("/proc/self"), mounts) == "proc"
